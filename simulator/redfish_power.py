"""A simulated node controller with power limits, in the three forms of `devices.redfish_power`, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SYSTEM, CHASSIS = "/redfish/v1/Systems/1", "/redfish/v1/Chassis/1"


@dataclass
class GpuNode:
    """A node with GPUs and their limits [W].

    limits: by GPU; None: none is set. draws: what each would draw without a limit [W], not told
    where not given. least_w, most_w: what each may be. Faults: `locked` refuses with 400, `deaf`
    answers 200 and changes nothing, `off` has its controls disabled.
    """

    gpus: int = 4
    most_w: float = 1350.0
    least_w: float = 600.0
    percent: bool = False
    locked: bool = False
    deaf: bool = False
    off: bool = False
    limits: dict[int, float | None] = field(default_factory=dict)
    draws: dict[int, float] = field(default_factory=dict)
    patches: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def limit_w(self, gpu: int) -> float:
        """What a GPU may draw now [W]."""
        limit = None if self.off else self.limits.get(gpu)
        return self.most_w if limit is None else limit

    def draw_w(self, gpu: int) -> float | None:
        """What a GPU draws under its limit [W]; None where nobody said what it wants."""
        return None if gpu not in self.draws else min(self.draws[gpu], self.limit_w(gpu))

    @property
    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route(
                    f"{SYSTEM}/Processors/GPU_{{gpu:int}}/EnvironmentMetrics", self._metrics, methods=["GET", "PATCH"]
                ),
                Route(f"{CHASSIS}/Controls/GPU{{gpu:int}}_PowerLimit", self._control, methods=["GET", "PATCH"]),
                Route(f"{CHASSIS}/Power", self._power, methods=["GET", "PATCH"]),
            ]
        )

    async def _metrics(self, request: Request) -> Response:
        gpu = int(request.path_params["gpu"])
        if request.method == "PATCH":
            body = await self._body(request)
            return self._set(gpu, body["PowerLimitWatts"]["SetPoint"])
        control = {"SetPoint": self.limits.get(gpu), "AllowableMin": self.least_w, "AllowableMax": self.most_w}
        shown: dict[str, Any] = {"PowerLimitWatts": control | {"ControlMode": self._mode}}
        draw_w = self.draw_w(gpu)
        return self._answer(request, shown if draw_w is None else shown | {"PowerWatts": {"Reading": draw_w}})

    async def _control(self, request: Request) -> Response:
        gpu = int(request.path_params["gpu"])
        unit_w = self.most_w / 100.0 if self.percent else 1.0
        if request.method == "PATCH":
            body = await self._body(request)
            return self._set(gpu, body["SetPoint"] * unit_w)
        limit = self.limits.get(gpu)
        shown: dict[str, Any] = {
            "ControlType": "Power",
            "SetPointUnits": "%" if self.percent else "W",
            "SetPoint": None if limit is None else round(limit / unit_w),
            "AllowableMin": self.least_w / unit_w,
            "AllowableMax": self.most_w / unit_w,
            "ControlMode": self._mode,
        }
        draw_w = self.draw_w(gpu)
        if draw_w is not None:
            shown["Sensor"] = {"Reading": draw_w / unit_w}
        return self._answer(request, shown)

    async def _power(self, request: Request) -> Response:
        if request.method == "PATCH":
            body = await self._body(request)
            for gpu, control in enumerate(body["PowerControl"]):
                if "PowerLimit" in control:
                    return self._set(gpu, control["PowerLimit"]["LimitInWatts"])
        rows = [
            {
                "PowerCapacityWatts": self.most_w,
                "PowerConsumedWatts": self.draw_w(gpu),
                "PowerLimit": {"LimitInWatts": self.limits.get(gpu)},
            }
            for gpu in range(self.gpus)
        ]
        return self._answer(request, {"PowerControl": rows})

    async def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = msgspec.json.decode(await request.body())
        self.patches.append((request.url.path, body))
        return body

    @property
    def _mode(self) -> str:
        return "Disabled" if self.off else "Manual"

    def _set(self, gpu: int, watts: float) -> Response:
        if self.locked or not self.least_w <= watts <= self.most_w:
            text = {"error": {"code": "Base.1.18.PropertyValueOutOfRange", "message": "not now"}}
            return Response(msgspec.json.encode(text), 400, media_type="application/json")
        if not self.deaf:
            self.limits[gpu] = float(watts)
        return Response(status_code=204)

    def _answer(self, request: Request, body: dict[str, Any]) -> Response:
        whole = {"@odata.id": request.url.path, **body}
        return Response(msgspec.json.encode(whole), media_type="application/json")
