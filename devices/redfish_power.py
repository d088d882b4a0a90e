"""Power limits of GPUs and nodes over Redfish, in the three forms that makers use; read, set, read back.

- `…/Processors/GPU_0/EnvironmentMetrics`, property `PowerLimitWatts` (DMTF EnvironmentMetrics 1.1 and later; NVIDIA's
  DPS uses it on DGX B200, GB200 and B300);
- `…/Controls/GPU1_PowerLimit`, a DMTF Control with `SetPoint` and `ControlMode` (Lenovo XCC2 in watts, NVIDIA BlueField
  in percent: the resource's own `SetPointUnits` counts);
- `…/Power`, `PowerControl[n].PowerLimit.LimitInWatts` (DMTF Power, deprecated, still on many servers).

A limit is clipped to what the device allows. It is only believed when the device tells it back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from devices.http import HttpEndpoint, Reply
from plant.errors import RefusedError

TOLERANCE_W = 2.0
"""Devices round."""
_PERCENT = "%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit as the device tells it [W]; least_w, most_w: what it may be set to; on: whether it holds now.

    unit_w: watts of one of the resource's own units; draw_w: what is drawn now, NaN where the resource does not tell.
    """

    watts: float
    least_w: float
    most_w: float
    on: bool
    unit_w: float = 1.0
    draw_w: float = math.nan


class PowerLimit:
    """The limit of one GPU or node. path: the resource's; `#n` behind a Power resource takes its n-th PowerControl."""

    def __init__(self, endpoint: HttpEndpoint, path: str, full_w: float) -> None:
        """full_w: power of the GPU or node without a limit [W]; what percents are of."""
        self._endpoint, self._full_w = endpoint, full_w
        self._path, _, index = path.partition("#")
        self._index = int(index or 0)

    async def read(self) -> Limit:
        """The limit now.

        Raises:
            RefusedError: there is no such resource, or no limit in it; SilentError: no answer.
        """
        return self._limit(await self._document())

    async def set(self, watts: float) -> Limit:
        """Set a limit [W], clipped to what the device allows; what it tells afterwards.

        Raises:
            RefusedError: it did not take it, or tells another one; SilentError: no answer.
        """
        if not math.isfinite(watts):
            raise RefusedError(f"{self._path}: {watts} W is no power limit")
        document = await self._document()
        found = self._limit(document)
        wanted_w = min(max(watts, found.least_w), found.most_w)
        await self._patch(self._body(document, round(wanted_w / found.unit_w)))
        told = await self.read()
        if abs(told.watts - wanted_w) > max(TOLERANCE_W, 0.5 * found.unit_w) or not told.on:
            raise RefusedError(
                f"{self._path}: asked for {wanted_w:.0f} W, tells {told.watts:.0f} W"
                + ("" if told.on else " and that it is off")
            )
        return told

    async def lift(self) -> Limit:
        """As high as it goes: a limit at full power limits nothing."""
        return await self.set(math.nextafter(1e12, 0.0))

    async def _document(self) -> dict[str, Any]:
        reply = await self._endpoint.get(self._path)
        if not reply.found:
            raise RefusedError(f"{self._path}: {reply.why_not()}; check the path of the power limit")
        return _object(reply, self._path)

    async def _patch(self, body: dict[str, Any]) -> None:
        reply = await self._endpoint.patch(self._path, body)
        if not reply.found:
            raise RefusedError(f"{self._path}: the power limit was refused: {reply.why_not()}{_said(reply)}")

    def _limit(self, document: dict[str, Any]) -> Limit:
        if "PowerLimitWatts" in document:
            return replace(
                self._control(_part(document["PowerLimitWatts"], self._path), "W"),
                draw_w=_reading(document.get("PowerWatts")),
            )
        if "SetPoint" in document:
            limit = self._control(document, str(document.get("SetPointUnits", "W")))
            return replace(limit, draw_w=limit.unit_w * _reading(document.get("Sensor")))
        if isinstance(document.get("PowerControl"), list):
            return self._legacy(document["PowerControl"])
        raise RefusedError(f"{self._path}: no PowerLimitWatts, SetPoint or PowerControl in it")

    def _control(self, part: dict[str, Any], units: str) -> Limit:
        unit_w = self._full_w / 100.0 if units == _PERCENT else 1.0
        set_point = part.get("SetPoint")
        on = part.get("ControlMode", "Manual") != "Disabled" and set_point is not None
        most_w = unit_w * _number(part.get("AllowableMax"), self._full_w / unit_w)
        return Limit(
            watts=unit_w * _number(set_point, most_w / unit_w),
            least_w=unit_w * _number(part.get("AllowableMin"), 0.0),
            most_w=most_w,
            on=on,
            unit_w=unit_w,
        )

    def _legacy(self, controls: list[Any]) -> Limit:
        if self._index >= len(controls):
            raise RefusedError(f"{self._path}: has no PowerControl {self._index}")
        control = _part(controls[self._index], self._path)
        limit = _part(control.get("PowerLimit") or {}, self._path)
        watts = limit.get("LimitInWatts")
        most_w = _number(control.get("PowerCapacityWatts"), self._full_w)
        draw_w = _number(control.get("PowerConsumedWatts"), math.nan)
        return Limit(watts=_number(watts, most_w), least_w=0.0, most_w=most_w, on=watts is not None, draw_w=draw_w)

    def _body(self, document: dict[str, Any], value: int) -> dict[str, Any]:
        if "PowerLimitWatts" in document:
            return {"PowerLimitWatts": {"SetPoint": value}}
        if "SetPoint" in document:
            return {"SetPoint": value, "ControlMode": "Manual"}
        rest: list[dict[str, Any]] = [{} for _ in range(self._index)]  # an empty object leaves its place as it is
        return {"PowerControl": [*rest, {"PowerLimit": {"LimitInWatts": value}}]}


def _object(reply: Reply, path: str) -> dict[str, Any]:
    try:
        return _part(msgspec.json.decode(reply.body), path)
    except msgspec.DecodeError as error:
        raise RefusedError(f"{path}: does not answer in JSON ({error})") from error


def _part(found: object, path: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise RefusedError(f"{path}: is not a Redfish resource with a power limit")
    return found


def _number(found: object, otherwise: float) -> float:
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else otherwise


def _reading(sensor: object) -> float:
    """Of a sensor's excerpt."""
    return _number(sensor.get("Reading"), math.nan) if isinstance(sensor, dict) else math.nan


def _said(reply: Reply) -> str:
    text = reply.body[:300].decode("utf-8", "replace").strip()
    return f": {text}" if text else ""
