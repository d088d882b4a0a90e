"""`coldplate probe` and `coldplate devices` as people call them."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.main import main
from devices.catalogue import catalogue_text
from devices.profiles import load_profile, read_profile
from simulator.profile_device import ProfileDevice
from simulator.wire import ModbusServer

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(units):
    """Units behind a socket, in a thread with a loop of its own: the port."""
    loop, server = asyncio.new_event_loop(), ModbusServer(units, lambda name: name == "silent")
    port = loop.run_until_complete(server.start("127.0.0.1", 0))[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.fixture
def probe(capsys, monkeypatch):
    """Probe a port of this host: (status, output, errors)."""

    def run(port, *words):
        given = ["probe", "127.0.0.1", "--port", port, "--pause", 0, "--timeout", 0.5, *words]
        monkeypatch.setattr(sys, "argv", ["coldplate", *map(str, given)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


def test_the_document_of_devices_is_up_to_date():
    """docs/devices.md is what `coldplate devices` prints; else run it again."""
    assert (ROOT / "docs" / "devices.md").read_text(encoding="utf-8") == catalogue_text()


def test_an_unknown_device_becomes_a_profile(probe, tmp_path):
    """A rear door is shown in its word order, drafted, and read by its draft: the same values again."""
    device, out = ProfileDevice(load_profile("liebert-dcd")), tmp_path / "My Door.yaml"
    with serving({3: device}) as port:
        area = ("--unit", 3, "--table", "input", "--first", 80, "--count", 60)
        status, text, errors = probe(port, *area, "--draft", out)
        assert (status, errors) == (0, "")
        assert "readable: 82..83, 110..111" in text
        assert "32-bit floats seem to come as CDAB" in text
        exhaust = device.values["exhaust_temperature"]
        line = next(x for x in text.splitlines() if x.split()[:1] == ["82"])
        assert f"{exhaust:.6g}*" in line
        assert f"{out}: a draft with 9 points" in text
        draft = read_profile(out)
        assert draft.profile == "my-door"
        assert {p.address: p.order for p in draft.points}[82] == "CDAB"
        status, text, _ = probe(port, "--unit", 3, "--profile", out)
        assert status == 0
        shown = dict(line.split() for line in text.splitlines())
        assert float(shown["input_82"]) == pytest.approx(exhaust)
        status, _, errors = probe(port, *area, "--draft", out)
        assert status == 2
        assert "My Door.yaml: exists" in errors


def test_a_sunspec_device_is_recognised(probe):
    """Its models are listed, and the profile that fits is named."""
    with serving({1: ProfileDevice(load_profile("sunspec-meter"))}) as port:
        status, text, _ = probe(port, "--first", 40000, "--count", 4)
    assert status == 0
    assert "model 203 with 105 registers after its header at 40070" in text
    assert "sunspec-meter" in text


def test_a_device_is_read_by_a_shipped_profile(probe):
    """Values in the profile's units with names of states and bits, texts, what is not plausible, and what is missing."""
    device = ProfileDevice(load_profile("aalc-rpu"))
    device.set_alarm("leakage", 4)
    device.put("hex_air_outlet1_temperature", 99.0)
    del device.words["holding"][0xA480]
    with serving({12: device}) as port:
        status, text, _ = probe(port, "--unit", 12, "--profile", "aalc-rpu")
    assert status == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}
    assert lines["leakage"] == "16  RPU_Internal_Leakage_Abnormal"
    assert lines["hex_air_outlet1_temperature"] == "99 degC  above what is plausible"
    assert lines["rpu_mfr_serial"] == f"'{device.text(device.profile.texts[3])}'"
    assert lines["manual_control_rpu_fan_onoff"] == "the device does not have it"
    assert lines["tcs_flow"].endswith(" LPM")


def test_coils_are_shown_as_bits(probe):
    """A table of bits has no 32-bit readings."""
    with serving({1: ProfileDevice(load_profile("bac-trillium"))}) as port:
        status, text, _ = probe(port, "--table", "coil", "--first", 2840, "--count", 20)
    assert status == 0
    assert "readable: 2848..2849" in text
    assert "f32" not in text


def test_nothing_readable_says_so(probe, tmp_path):
    """No registers there is no crash, and no draft."""
    with serving({1: ProfileDevice(load_profile("bac-trillium"))}) as port:
        status, text, _ = probe(port, "--first", 500, "--count", 3)
        assert status == 0
        assert "try another --table, or other addresses with --first" in text
        status, _, errors = probe(port, "--first", 500, "--count", 3, "--draft", tmp_path / "x.yaml")
        assert status == 2
        assert "nothing could be read, so there is no draft" in errors
    assert not (tmp_path / "x.yaml").exists()


def test_a_closed_port_and_a_mute_one_are_told_apart(probe):
    """One sentence each, with what to try."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        status, _, errors = probe(held.getsockname()[1])
    assert status == 2
    assert "nobody listens there; check power, cable, host and --port" in errors
    with serving({1: ProfileDevice(load_profile("generic-chiller"), "silent")}) as port:
        status, _, errors = probe(port)
        assert status == 2
        assert "the port is open, but no valid answer comes; try another --unit, --framing rtu" in errors
        status, _, errors = probe(port, "--unit", 2)
        assert status == 2
        assert "exception 11" in errors
        assert "try another --unit" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--table", "holdings"), "--table: 'holdings'; use one of holding, input, coil, discrete"),
        (("--framing", "ascii"), "--framing: 'ascii'; use tcp or rtu"),
        (("--profile", "nobody"), "unknown profile 'nobody'"),
        (("--profile", "dsx-rack"), "dsx-rack speaks mqtt"),
        (("--profile", "/nowhere/x.yaml"), "/nowhere/x.yaml"),
    ],
)
def test_wrong_options_are_told(probe, words, message):
    """Before anything is sent."""
    status, _, errors = probe(1, *words)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors


def test_a_simulated_device_is_served_and_probed(probe):
    """`coldplate simulate` is a process that people can point a probe or a site at; a second one on its port says so."""
    program = str(Path(sys.executable).parent / "coldplate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "simulate", "bac-trillium", "--port", str(port), "--unit", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == f"bac-trillium as unit 5 at 127.0.0.1:{port}; Ctrl-C ends it\n"
            status, text, _ = probe(port, "--unit", 5, "--profile", "bac-trillium")
            assert status == 0
            assert "leaving_temperature_setpoint" in text
            second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert second.returncode == 2
            assert f"port {port} can't be opened" in second.stderr
        finally:
            process.send_signal(signal.SIGINT)  # also where the tests run in the background and SIGINT is ignored
        assert process.wait(20) == 0
