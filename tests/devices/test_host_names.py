"""A host that no resolver takes, e.g. a doubled dot: as silent as one that is not there."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from cli.main import main
from devices.mqtt import Subscriber
from devices.mqtt_probe import knock
from plant.errors import SilentError

NAMES = ["broker..lan", f"{'x' * 64}.lan"]


async def nothing(_batch):
    """Take a batch."""


@pytest.mark.parametrize("host", NAMES)
async def test_a_subscriber_tells_it_and_tries_again(host, monkeypatch):
    """The link stays, says why, and takes the name once it is one."""
    monkeypatch.setattr("devices.mqtt.FIRST_BACKOFF_S", 0.01)
    subscriber = Subscriber(host, 1883, "edge", ["t/#"])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await subscriber.run(nothing)
    assert not subscriber.connected
    assert subscriber.last_error


@pytest.mark.parametrize("host", NAMES)
async def test_a_knock_at_it_is_not_answered(host):
    """What `coldplate doctor` shows of such a broker is one line."""
    with pytest.raises(SilentError, match="is no host name"):
        await knock(host, 1883, protocol=4)


@pytest.mark.parametrize("host", NAMES)
def test_a_probe_of_it_says_that_nobody_listens(host, monkeypatch, capsys):
    """`coldplate probe`: one line with a remedy, no trace."""
    monkeypatch.setattr("sys.argv", ["coldplate", "probe", host, "--unit", "1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code
    assert "nobody listens there; check power, cable, host and --port" in capsys.readouterr().err


def test_a_port_beyond_all_is_told_at_once(monkeypatch, capsys):
    """`coldplate grid --broker`: what to give, before anything is tried."""
    monkeypatch.setattr("sys.argv", ["coldplate", "grid", "--broker", "bus:70000", "--isv", "a", "--feed", "a=site"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code
    assert "'bus:70000' is no broker" in capsys.readouterr().err
