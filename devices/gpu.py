"""Coldplate's own JSON for GPU nodes, one message a node; field names after NVIDIA DCGM's default counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from plant.errors import PermanentError

FIELDS = ("temp_c", "power_w", "util_pct", "sm_clock_mhz", "xid")


class _Gpu(msgspec.Struct):
    index: int
    temp_c: float | None = None
    power_w: float | None = None
    util_pct: float | None = None
    sm_clock_mhz: float | None = None
    xid: float | None = None


class _Node(msgspec.Struct):
    timestamp: int
    gpus: list[_Gpu]


_decoder = msgspec.json.Decoder(_Node)


@dataclass(frozen=True, slots=True)
class GpuMessage:
    """One node's GPUs at one time [s since 1970]: index within the rack -> field -> value as sent (None: no value)."""

    rack: str
    node: str
    time_s: float
    gpus: Mapping[int, Mapping[str, float | None]]


def subscription(site: str) -> str:
    """The filter that catches a site's GPU messages."""
    return f"coldplate/v1/{site}/gpu/#"


def topic(site: str, rack: str, node: str) -> str:
    """Where a node publishes."""
    return f"coldplate/v1/{site}/gpu/{rack}/{node}"


def decode(message_topic: str, payload: bytes) -> GpuMessage:
    """A node's message.

    Raises:
        PermanentError: not of this form.
    """
    parts = message_topic.split("/")
    if len(parts) != 6 or parts[:2] != ["coldplate", "v1"] or parts[3] != "gpu":
        raise PermanentError(f"topic {message_topic}: expected coldplate/v1/SITE/gpu/RACK/NODE")
    try:
        node = _decoder.decode(payload)
        time_s = node.timestamp / 1000
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        raise PermanentError(f"topic {message_topic}: {str(error).lower()}") from error
    gpus = {gpu.index: {name: getattr(gpu, name) for name in FIELDS} for gpu in node.gpus}
    return GpuMessage(parts[4], parts[5], time_s, gpus)


def encode(time_s: float, gpus: Mapping[int, Mapping[str, float | None]]) -> bytes:
    """A node's payload; absent fields stay absent."""
    rows = [{"index": index, **{k: v for k, v in fields.items() if v is not None}} for index, fields in gpus.items()]
    return msgspec.json.encode({"timestamp": round(time_s * 1000), "gpus": rows})
