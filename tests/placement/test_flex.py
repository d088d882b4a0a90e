"""Load targets of the grid: what DSX Flex 1.7.0 sends is understood, anything else is refused with its place."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from placement.flex import limits, load_targets, with_targets
from placement.signature import signed_payload
from plant.errors import ConfigError

TOPIC = "grid/v1/isv/acme-energy/loadtarget/set"
NOW_S = 1_780_000_000.0
FEEDS = {"main-a": "site", "main-b": "rack-01"}


def event(data: object, **more: object) -> bytes:
    """As the schema's envelope."""
    given = {
        "specversion": "1.0.2",
        "id": "6f6c9e7e-4a4b-4b53-8d3e-0f3a4a1b2c3d",
        "source": "//grid/v1/isv/acme-energy",
        "type": "grid.loadtarget.set.v1",
        "time": "2026-05-28T20:26:40Z",
        "datacontenttype": "application/json",
        "subject": "loadtarget",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "correlationid": "a1f2",
    }
    return json.dumps(given | more | {"data": data}).encode()


def target(mw: float | None, start: str = "", end: str = "", feeds: tuple[str, ...] = ()) -> dict:
    """One of the data's targets."""
    interval = ({"start_time": start} if start else {}) | ({"end_time": end} if end else {})
    limit = None if mw is None else {"value": mw, "unit": "megawatt"}
    return {"interval": interval, "feed_tags": list(feeds), "load_constraint": limit, "strategy": {"best_effort": True}}


def heard(*targets: dict, **more: object) -> list:
    """Plain data, as its publishers in dsx-exchange send them."""
    return load_targets(TOPIC, event({"targets": list(targets)}, **more), str.encode, NOW_S, unsigned=True)


def test_a_target_is_understood():
    """Units, times, feeds; without a start it holds from now on, without an end until it is replaced."""
    (one,) = heard(target(20.0, end="2026-05-29T00:00:00+02:00", feeds=("main-a",)))
    assert (one.power_w, one.start_s, one.end_s, one.feeds) == (20e6, NOW_S, 1780005600.0, ("main-a",))
    assert (one.isv, one.correlation) == ("acme-energy", "a1f2")
    data = {"targets": [{"interval": {}, "load_constraint": {"value": 500, "unit": "kilowatt"}}]}
    (other,) = load_targets(TOPIC, event(data), str.encode, NOW_S, unsigned=True)
    assert (other.power_w, other.end_s, other.feeds) == (500e3, math.inf, ())


def test_for_ever_is_the_last_second_of_9999_in_any_time_zone():
    """West of Greenwich it is a second that no calendar has; what is none may not end the process that hears it."""
    (one,) = heard(target(20.0, start="0001-01-01T00:00:00+05:00", end="9999-12-31T23:59:59-05:00"))
    assert (one.start_s, datetime.fromtimestamp(one.end_s, UTC).year) == (0.0, 9999)


def test_of_a_feeds_targets_the_newest_that_holds_counts():
    """A later one within a longer one; afterwards the longer one again; another feed has its own."""
    long = heard(target(20.0, feeds=("main-a",)), id="1")
    deep = heard(target(10.0, "2026-05-28T21:00:00Z", "2026-05-28T22:00:00Z"), id="2")
    known = with_targets(with_targets([], long, NOW_S), deep, NOW_S)
    assert {s: t.power_w for s, t in limits(known, FEEDS, NOW_S).items()} == {"site": 20e6}
    during_s = NOW_S + 2600.0
    assert {s: t.power_w for s, t in limits(known, FEEDS, during_s).items()} == {"site": 10e6, "rack-01": 10e6}
    assert {s: t.power_w for s, t in limits(known, FEEDS, during_s + 3600.0).items()} == {"site": 20e6}
    assert with_targets(known, long, NOW_S) == known, "a message that comes twice changes nothing"


def test_null_takes_a_constraint_away():
    """Of its feeds only, also what is planned within its time; and what is over is forgotten."""
    known = with_targets([], heard(target(20.0, feeds=("main-a",)), target(5.0, feeds=("main-b",)), id="1"), NOW_S)
    known = with_targets(known, heard(target(None, feeds=("main-a",)), id="2"), NOW_S)
    assert list(limits(known, FEEDS, NOW_S)) == ["rack-01"]
    known = with_targets(known, heard(target(None), id="3"), NOW_S)
    assert limits(known, FEEDS, NOW_S) == {}
    past = heard(target(1.0, "2026-05-28T20:00:00Z", "2026-05-28T20:10:00Z"), id="4")
    assert past[0] not in with_targets([], past, NOW_S)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\xff\x00", "grid/v1/isv/acme-energy/loadtarget/set: "),
        (b"[]", "Expected `object`"),
        (event({"targets": []}), r"data: .*targets"),
        (event({"targets": [target(1.0)]}, type="grid.powerstate.status.v1"), "is not grid.loadtarget.set.v1"),
        (event({"targets": [target(1.0)]}, source="//grid/v1/isv/other"), "is not that of the topic"),
        (event({"targets": [target(1.0, "yesterday")]}), r"targets\[0\].interval.start_time: 'yesterday' is no time"),
        (event({"targets": [target(1.0, "2026-05-28T20:00:00")]}), "has no time zone"),
        (event({"targets": [target(1.0, end="2020-01-01T00:00:00Z")]}), "the end does not come after the start"),
        (event({"targets": [target(0.0)]}), "send null to remove a constraint"),
        (event({"targets": [target(-1.0)]}), "Expected `float` >= 0"),
        (event({"targets": [{"interval": {}, "load_constraint": {"value": 1, "unit": "gigawatt"}}]}), "gigawatt"),
        (event({"targets": [{"interval": {}}]}), "load_constraint"),
        (b" " * 300_000, "are too many"),
    ],
)
def test_garbage_is_refused_with_its_place(payload, words):
    """Nothing of it is taken."""
    with pytest.raises(ConfigError, match=words):
        load_targets(TOPIC, payload, str.encode, NOW_S, unsigned=True)


def test_unsigned_data_are_refused_unless_allowed():
    """The schema demands a signature."""
    with pytest.raises(ConfigError, match="not signed"):
        load_targets(TOPIC, event({"targets": [target(1.0)]}), str.encode, NOW_S, unsigned=False)


def base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A sender's key pair, by OpenSSL itself."""

    def __init__(self, folder, algorithm: str) -> None:
        folder.mkdir(exist_ok=True)
        self.algorithm, self.private, self.public = algorithm, folder / "private.pem", folder / "public.pem"
        kind = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ES256" else ["RSA"]
        self._run("genpkey", "-algorithm", *kind, "-out", str(self.private))
        self._run("pkey", "-in", str(self.private), "-pubout", "-out", str(self.public))

    def _run(self, *words: str, text: bytes = b"") -> bytes:
        return subprocess.run(["openssl", *words], input=text, capture_output=True, check=True).stdout

    def jws(self, payload: bytes, kid: str = "k1") -> str:
        """Compact."""
        head = base64url(json.dumps({"alg": self.algorithm, "kid": kid}).encode())
        signed = f"{head}.{base64url(payload)}"
        made = self._run("dgst", "-sha256", "-sign", str(self.private), text=signed.encode())
        return f"{signed}.{base64url(made if self.algorithm == 'RS256' else side_by_side(made))}"


def side_by_side(der: bytes) -> bytes:
    """The two numbers of an ECDSA signature in DER, 32 bytes each."""
    first_length = der[3]
    first, second = der[4 : 4 + first_length], der[6 + first_length :]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_signed_target_is_believed_and_a_forged_one_is_not(tmp_path, algorithm):
    """Both algorithms of the schema; changed data, another's key, an unknown key and no signature at all."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    signer = Signer(tmp_path, algorithm)
    data = json.dumps({"targets": [target(20.0)]}).encode()
    text = signer.jws(data)
    (one,) = load_targets(
        TOPIC, event(text), lambda jws: signed_payload(jws, {"k1": signer.public}), NOW_S, unsigned=False
    )
    assert one.power_w == 20e6
    head, _, signature = text.split(".")
    none = base64url(b'{"alg": "none"}')
    forged = f"{head}.{base64url(data.replace(b'20.0', b'90.0'))}.{signature}"
    for wrong, words in (
        (forged, "signature is not one of key 'k1'"),
        (signer.jws(data, "k2"), "key 'k2', which is not known"),
        (f"{none}.{base64url(data)}.", "is signed with 'none'"),
        ("a.b", "is no JWS: Not enough segments"),
        ("!.!.!", "is no JWS: Invalid header"),
        (f"{head}.!.{signature}", "is no JWS"),
    ):
        with pytest.raises(ConfigError, match=words):
            signed_payload(wrong, {"k1": signer.public})
    other = Signer(tmp_path / "other", "RS256" if algorithm == "ES256" else "ES256")
    with pytest.raises(ConfigError, match=f"is no such key.*key for {algorithm}"):
        signed_payload(text, {"k1": other.public})
    (tmp_path / "no.pem").write_text("no key")
    with pytest.raises(ConfigError, match="is no such key"):
        signed_payload(text, {"k1": tmp_path / "no.pem"})
