"""A commissioning file that is damaged or forged: it allows nothing, and reading it never fails."""

from __future__ import annotations

import pytest

from plant.errors import ConfigError
from plant.intents import Mode
from store import commissioning
from store.commissioning import Commissioned, append_record, read_commissioning
from store.state import StateDir

GOOD = {"identity": "cdu-1", "equipment": "cdu-1", "highest": Mode.CONFIRM}
ZERO = "0" * 64


@pytest.fixture
def state(tmp_path):
    """A state directory with one good record."""
    made = StateDir(tmp_path / "state")
    append_record(made, GOOD)
    assert read_commissioning(made).devices == {"cdu-1": Mode.CONFIRM}
    return made


def sealed(state, **body):
    """A record that is signed with the right key, whatever it says."""
    plain = {"seq": 1, "previous": ZERO, **body}
    digest = commissioning._hash(plain)
    mac = commissioning._mac(commissioning._key(state.path, make=False), digest)
    return {"records": [{**plain, "hash": digest, "mac": mac}]}


def refused(state):
    """Nothing is allowed, the reason is said, and no record is added to it."""
    found = read_commissioning(state)
    assert found.fault
    assert found == Commissioned(fault=found.fault)
    with pytest.raises(ConfigError, match="backup"):
        append_record(state, GOOD)


@pytest.mark.parametrize(
    "text",
    [
        b'{"endpoints": null}',
        b'{"endpoints": 5, "start_mode": "auto"}',
        b'{"endpoints": ["127.0.0.1:502", "10.0.0.5:502"], "start_mode": "auto"}',
        b'{"records": null}',
        b'{"records": 7}',
        b'{"records": [null]}',
        b"[]",
        b"7",
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"records": [{"seq": 1, "n": ' + b"9" * 400 + b"}]}",
    ],
)
def test_nonsense_allows_nothing(state, text):
    """Of whatever kind it is."""
    (state.path / commissioning.FILE).write_bytes(text)
    refused(state)


@pytest.mark.parametrize(
    "body",
    [
        {"identity": "cdu-1", "highest": "everything"},
        {"identity": "cdu-1", "highest": None},
        {"identity": "cdu-1"},
        {"highest": "auto"},
    ],
)
def test_a_signed_record_that_says_too_little_allows_nothing(state, body):
    """An unknown mode, or no device: not even the records before it count."""
    state.write_json(commissioning.FILE, sealed(state, **body))
    refused(state)


@pytest.mark.parametrize("mac", ["é", "\ud800", None, 5])
def test_a_seal_of_other_letters_is_a_forgery(state, mac):
    """Compared, not fallen over."""
    plain = {"seq": 1, "previous": ZERO, "identity": "cdu-1", "highest": "auto"}
    record = {**plain, "hash": commissioning._hash(plain), "mac": mac}
    if mac == "\ud800":
        (state.path / commissioning.FILE).write_text(
            str({"records": [record]}).replace("'", '"'), "utf-8", "surrogatepass"
        )
    else:
        state.write_json(commissioning.FILE, {"records": [record]})
    refused(state)


@pytest.mark.parametrize("name", [commissioning.FILE, commissioning.KEY])
def test_a_folder_in_its_place_allows_nothing(state, name):
    """Unreadable, so it counts for nothing."""
    (state.path / name).unlink()
    (state.path / name).mkdir()
    refused(state)
