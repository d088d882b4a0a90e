"""MQTT 3.1.1 and 5 on the wire: what a subscriber sends, and what a broker's bytes mean. No sockets here.

Sources: OASIS MQTT 3.1.1 (2014-10-29) and 5.0 (2019-03-07); section numbers are the same in both where one is given.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from plant.errors import ConfigError, PermanentError

V311 = 4
V5 = 5
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
PUBACK = struct.Struct(">HH")
PUBACK_HEAD = 0x4002
_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _PINGRESP, _BYE = 0x20, 0x30, 0x40, 0x90, 0xD0, 0xE0
_SESSION_EXPIRY, _RECEIVE_MAXIMUM, _SERVER_KEEP_ALIVE = 0x11, 0x21, 0x13
_FIRST_FAILURE = 0x80
_REFUSALS = {
    1: "protocol version not accepted", 2: "client id refused", 3: "server unavailable",
    4: "bad user name or password", 5: "not authorised",
}  # fmt: skip  # 3.1.1 §3.2.2.3
_REASONS = {
    0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x84: "protocol version not accepted",
    0x85: "client id refused", 0x86: "bad user name or password", 0x87: "not authorised", 0x88: "server unavailable",
    0x89: "server busy", 0x8A: "banned", 0x8B: "server shutting down", 0x8D: "keep alive timeout",
    0x8E: "session taken over by another client of the same id", 0x8F: "topic filter invalid",
    0x93: "receive maximum exceeded", 0x95: "packet too large", 0x97: "quota exceeded", 0x98: "administrative action",
}  # fmt: skip
_SIZES = {0x01: 1, 0x17: 1, 0x19: 1, 0x24: 1, 0x25: 1, 0x28: 1, 0x29: 1, 0x2A: 1, 0x13: 2, 0x21: 2, 0x22: 2, 0x23: 2,
          0x02: 4, 0x11: 4, 0x18: 4, 0x27: 4}  # fmt: skip  # 5.0 §2.2.2.2: properties of a fixed size
_TEXTS = {0x03: 1, 0x08: 1, 0x09: 1, 0x12: 1, 0x15: 1, 0x16: 1, 0x1A: 1, 0x1C: 1, 0x1F: 1, 0x26: 2}


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as it came; `mid` and `session` are for its acknowledgement; dup: the broker sends it again."""

    topic: str
    payload: bytes
    retain: bool
    qos: int
    mid: int
    session: int
    dup: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker took the connection. keepalive_s: the broker's own wish [s], None if it has none."""

    session_present: bool
    keepalive_s: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker refuses the connection or ends it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Answer to a subscription: the places of the topics that the broker refused."""

    refused: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """The broker's answer to a message of ours at QoS 1. refused: why it did not take it, empty if it did."""

    mid: int
    refused: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A sign of life."""


Packet = Message | Accepted | Refused | Subscribed | Taken | Alive


def connect(
    client_id: str, *, protocol: int, keepalive_s: int, username: str, password: str, expiry_s: int, maximum: int
) -> bytes:
    """CONNECT (§3.1). expiry_s: how long the session outlives the connection [s] (3.1.1 knows only 0 and for ever).

    maximum: messages in flight, for v5.

    Raises:
        ConfigError: a password without a user name, which 3.1.1 does not allow.
    """
    if password and not username and protocol == V311:
        raise ConfigError("a password without a user name", remedy="add username, or use protocol: 5")
    flags = (0x80 if username else 0) | (0x40 if password else 0) | (0 if expiry_s else 0x02)
    head = _text("MQTT") + struct.pack(">BBH", protocol, flags, keepalive_s)
    if protocol == V5:
        head += _properties(struct.pack(">BIBH", _SESSION_EXPIRY, expiry_s, _RECEIVE_MAXIMUM, maximum))
    names = [client_id, *([username] if username else []), *([password] if password else [])]
    return _packet(0x10, head + b"".join(map(_text, names)))


def subscribe(mid: int, topics: Sequence[str], protocol: int) -> bytes:
    """SUBSCRIBE (§3.8) at QoS 1."""
    head = struct.pack(">H", mid) + (_properties(b"") if protocol == V5 else b"")
    return _packet(0x82, head + b"".join(_text(topic) + b"\x01" for topic in topics))


def publish(topic: str, payload: bytes, protocol: int, mid: int = 0) -> bytes:
    """PUBLISH (§3.3), never retained: at QoS 0, or with a packet id at QoS 1."""
    number = struct.pack(">H", mid) if mid else b""
    rest = _text(topic) + number + (_properties(b"") if protocol == V5 else b"") + payload
    return _packet(_PUBLISH | (0x02 if mid else 0), rest)


class Parser:
    """Cuts a broker's bytes into packets. session: stamped on each message."""

    def __init__(self, protocol: int, session: int) -> None:
        self._v5, self._session = protocol == V5, session
        self._held = b""
        self._more: list[bytes] = []
        self._wanted = 2

    @property
    def waiting(self) -> bool:
        """Whether bytes are held that may be a whole packet."""
        return len(self._held) >= self._wanted

    def feed(self, data: bytes) -> None:
        """Bytes as they come; big packets gather as chunks until they are whole."""
        self._more.append(data)
        if len(self._held) + sum(map(len, self._more)) >= self._wanted:
            self._held = b"".join([self._held, *self._more])
            self._more = []

    def take(self, room: int) -> list[Packet]:
        """Up to `room` whole packets; the rest stays for the next call.

        Raises:
            PermanentError: the bytes are not MQTT.
        """
        packets: list[Packet] = []
        data, at, end = self._held, 0, len(self._held)
        self._wanted = 2
        try:
            while end - at >= 2 and len(packets) < room:
                length, body = data[at + 1], at + 2
                if length > 127:
                    length, body = _length(data, at + 1)
                if body < 0 or body + length > end:
                    self._wanted = (length + body - at) if body > 0 else end - at + 1
                    break
                packets.append(self._packet(data[at], data, body, body + length))
                at = body + length
        except (IndexError, struct.error, UnicodeDecodeError, KeyError) as error:
            raise PermanentError(f"the broker sent a malformed packet: {error}") from error
        self._held = data[at:] if at else data
        return packets

    def _packet(self, head: int, data: bytes, body: int, end: int) -> Packet:
        kind = head & 0xF0
        if kind == _PUBLISH:
            return self._message(head, data, body, end)
        if kind == _CONNACK:
            return self._connack(data[body:end])
        if kind == _SUBACK:
            codes = data[body + 2 : end]
            if self._v5:
                length, start = _length(codes, 0)
                codes = codes[start + length :]
            return Subscribed(tuple(i for i, code in enumerate(codes) if code >= _FIRST_FAILURE))
        if kind == _PUBACK:
            code = data[body + 2] if end > body + 2 else 0  # 5.0 §3.4.2.1
            return Taken(data[body] << 8 | data[body + 1], _reason(code) if code >= _FIRST_FAILURE else "")
        if kind == _BYE:
            return Refused(_reason(data[body] if end > body else 0))
        return Alive()

    def _message(self, head: int, data: bytes, body: int, end: int) -> Message:
        at = body + 2 + (data[body] << 8 | data[body + 1])
        topic = data[body + 2 : at].decode()
        qos = head >> 1 & 3
        mid = 0
        if qos:
            mid = data[at] << 8 | data[at + 1]
            at += 2
        if self._v5:
            length, at = _length(data, at)
            at += length
        if not body <= at <= end or qos > 1:
            raise IndexError(f"message on {topic[:80]!r}")
        return Message(topic, data[at:end], head & 1 == 1, qos, mid, self._session, head & 8 == 8)

    def _connack(self, body: bytes) -> Packet:
        flags, code = body[0], body[1]
        if code:
            return Refused(_reason(code) if self._v5 else _REFUSALS.get(code, f"code {code}"))
        found = _find_properties(body[2:]) if self._v5 else {}
        return Accepted(flags & 1 == 1, found.get(_SERVER_KEEP_ALIVE))


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + _varint(len(body)) + body


def _properties(body: bytes) -> bytes:
    return _varint(len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer (§2.2.3 / 5.0 §1.5.5) and the place behind it; place -1 while it is not whole."""
    value = 0
    for step in range(4):
        if at + step >= len(data):
            return 0, -1
        byte = data[at + step]
        value |= (byte & 0x7F) << 7 * step
        if byte < 0x80:
            return value, at + step + 1
    raise IndexError("a length of more than 4 bytes")


def _find_properties(data: bytes) -> dict[int, int]:
    """Properties that are numbers; texts are passed over."""
    length, at = _length(data, 0)
    end = at + length
    found: dict[int, int] = {}
    while at < end:
        name, at = data[at], at + 1
        if name in _TEXTS:
            for _ in range(_TEXTS[name]):
                at += 2 + (data[at] << 8 | data[at + 1])
        else:
            size = _SIZES[name]
            found[name] = int.from_bytes(data[at : at + size])
            at += size
    return found


def _reason(code: int) -> str:
    return _REASONS.get(code, f"reason 0x{code:02x}") if code else "closed by the broker"
