"""A simulated Redfish service with cooling units, laid out as in OCP's ThermalEquipment profiles.

Facts of the layout: OCPCoolantDistributionUnit.v1_0_0 and DMTF's CoolingUnit, CoolantConnector, Pump, Filter,
Reservoir, LeakDetector and EnvironmentMetrics schemas.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

ROOT = "/redfish/v1"
CDUS = f"{ROOT}/ThermalEquipment/CDUs"
SESSIONS = f"{ROOT}/SessionService/Sessions"
Resource = dict[str, Any]


@dataclass
class Connector:
    """One loop's readings, in Redfish's units."""

    flow_lpm: float = 800.0
    supply_c: float = 32.0
    return_c: float = 42.0
    supply_kpa: float = 310.0
    return_kpa: float = 180.0

    def resource(self, heat_kw: float) -> Resource:
        """#CoolantConnector."""
        readings = {
            "FlowLitersPerMinute": self.flow_lpm,
            "SupplyTemperatureCelsius": self.supply_c,
            "ReturnTemperatureCelsius": self.return_c,
            "DeltaTemperatureCelsius": self.return_c - self.supply_c,
            "SupplyPressurekPa": self.supply_kpa,
            "ReturnPressurekPa": self.return_kpa,
            "DeltaPressurekPa": self.supply_kpa - self.return_kpa,
            "HeatRemovedkW": heat_kw,
        }
        return {"Status": _OK, **{name: {"Reading": value} for name, value in readings.items()}}


_OK: Resource = {"State": "Enabled", "Health": "OK"}


@dataclass
class SimulatedCdu:
    """One CDU. stated_heat_kw: what it claims to remove, which need not be true."""

    id: str
    primary: Connector = field(default_factory=Connector)
    secondary: Connector = field(default_factory=Connector)
    stated_heat_kw: float = 550.0
    pumps_percent: list[float] = field(default_factory=lambda: [62.0, 61.0])
    service_hours: float = 1200.0
    level_percent: float = 88.0
    leak: str = "OK"
    power_w: float = 4200.0
    energy_kwh: float = 15_000.0

    def resources(self) -> dict[str, Resource]:
        """Every resource by its path under the CDU; the CDU itself is the empty path."""
        members = {
            "PrimaryCoolantConnectors/1": self.primary.resource(self.stated_heat_kw),
            "SecondaryCoolantConnectors/1": self.secondary.resource(self.stated_heat_kw),
            **{f"Pumps/{n}": self._pump(percent) for n, percent in enumerate(self.pumps_percent, 1)},
            "Filters/1": {"Status": _OK, "ServiceHours": self.service_hours},
            "Reservoirs/1": {"Status": _OK, "FluidLevelPercent": {"Reading": self.level_percent}},
            "LeakDetection/LeakDetectors/1": self._detector(),
        }
        return {
            "": {"Name": self.id, "EquipmentType": "CDU", "Status": _OK, "CoolingCapacityWatts": 1_300_000},
            **_collections(f"{CDUS}/{self.id}", members),
            **members,
            "LeakDetection": {"Status": _OK},
            "EnvironmentMetrics": {
                "PowerWatts": {"Reading": self.power_w},
                "EnergykWh": {"Reading": self.energy_kwh},
            },
        }

    def _pump(self, percent: float) -> Resource:
        return {"Status": _OK, "PumpSpeedPercent": {"Reading": percent}, "ServiceHours": self.service_hours}

    def _detector(self) -> Resource:
        health = "OK" if self.leak == "OK" else self.leak
        return {
            "Status": {"State": "Enabled", "Health": health},
            "LeakDetectorType": "Moisture",
            "DetectorState": self.leak,
        }


def _collections(base: str, members: dict[str, Resource]) -> dict[str, Resource]:
    found: dict[str, list[Resource]] = {}
    for path in members:
        found.setdefault(path.rpartition("/")[0], []).append({"@odata.id": f"{base}/{path}"})
    return {path: {"Members": links, "Members@odata.count": len(links)} for path, links in found.items()}


@dataclass
class RedfishService:
    """Serves `cdus`; with a username only to who has opened a session.

    Faults, by path under ThermalEquipment/CDUs such as `1/Pumps/2`: `missing` answers 404, `moved` redirects,
    `busy` answers 503, `changed` replaces members of a resource. With `still` its ETags never change.
    """

    cdus: list[SimulatedCdu]
    username: str = ""
    password: str = ""
    missing: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    changed: dict[str, Resource] = field(default_factory=dict)
    still: bool = False
    sessions: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route(f"{ROOT}/", self._root),
                Route(SESSIONS, self._log_in, methods=["POST"]),
                Route(f"{SESSIONS}/{{name}}", self._log_out, methods=["DELETE"]),
                Route(CDUS, self._list),
                Route(f"{CDUS}/{{path:path}}", self._resource),
            ]
        )

    async def _root(self, _request: Request) -> Response:
        links = {"ThermalEquipment": {"@odata.id": f"{ROOT}/ThermalEquipment"}}
        return _json({"@odata.id": ROOT, "RedfishVersion": "1.20.0", **links})

    async def _log_in(self, request: Request) -> Response:
        given = msgspec.json.decode(await request.body())
        if (given.get("UserName"), given.get("Password")) != (self.username, self.password):
            return _error(401, "wrong user or password")
        name, token = secrets.token_hex(4), secrets.token_hex(16)
        self.sessions[name] = token
        place = f"{SESSIONS}/{name}"
        return _json({"@odata.id": place}, 201, {"X-Auth-Token": token, "Location": place})

    async def _log_out(self, request: Request) -> Response:
        if not self._knows(request):
            return _error(401, "no session")
        self.sessions.pop(request.path_params["name"], None)
        return Response(status_code=204)

    async def _list(self, request: Request) -> Response:
        if not self._knows(request):
            return _error(401, "no session")
        return _json({"@odata.id": CDUS, "Members": [{"@odata.id": f"{CDUS}/{cdu.id}"} for cdu in self.cdus]})

    async def _resource(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.requests.append(path)
        if not self._knows(request):
            return _error(401, "no session")
        if path in self.busy:
            return _error(503, "busy")
        if path in self.moved:
            return RedirectResponse(self.moved[path])
        found = self._find(path)
        return _error(404, f"no {path}") if found is None else self._answer(request, found)

    def _find(self, path: str) -> Resource | None:
        name, _, rest = path.partition("/")
        cdu = next((cdu for cdu in self.cdus if cdu.id == name), None)
        if cdu is None or path in self.missing or rest not in (resources := cdu.resources()):
            return None
        return {"@odata.id": f"{CDUS}/{path}", **resources[rest], **self.changed.get(path, {})}

    def _answer(self, request: Request, found: Resource) -> Response:
        kept = found["@odata.id"] if self.still else found
        tag = f'"{hashlib.sha256(msgspec.json.encode(kept)).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == tag:
            self.unchanged += 1
            return Response(status_code=304, headers={"ETag": tag})
        return _json(found, 200, {"ETag": tag})

    def _knows(self, request: Request) -> bool:
        if not self.username:
            return True
        return request.headers.get("X-Auth-Token") in self.sessions.values()


def _json(body: Resource, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    answer = {"OData-Version": "4.0", **(headers or {})}
    return Response(msgspec.json.encode(body), status, answer, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"error": {"code": "Base.1.18.GeneralError", "message": text}}, status)
