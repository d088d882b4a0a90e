"""Time of one cycle of control by the site's size, and how it grows.

The site is the demo pod's design over and over: a loop has two CDUs (one in the smallest) with ten racks each, a
facility loop and dry coolers of its own. Racks' powers walk from cycle to cycle, coolant figures follow from them.
A quick run leaves the GPU points out above 20 CDUs: half a minute goes into loading a million points.
"""

from __future__ import annotations

import math
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from benchmarks.demo_day import demo_pod
from controller.fluids import fluid
from controller.step import ControlState, initial_state, seed_history, step
from plant.live import Reading, Snapshot
from plant.points import PointId
from plant.samples import Quality, Reason
from plant.topology import CoolingGroup, Site
from sites import load_site

SIZES = (1, 20, 200)
LIMIT_S = {1: 0.2, 20: 1.0, 200: 10.0}
RACKS_A_CDU = 10
QUICK_GPUS_UP_TO = 20
CYCLES, QUICK_CYCLES = 20, 3
CYCLE_S = 60.0
HISTORY_MINUTES = 360
START_S = 1_767_225_600.0  # 2026-01-01 00:00 UTC
Row = dict[str, float | str]


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[Row]]:  # noqa: ARG001 - no data from outside
    """Rows by number of CDUs: median and longest cycle [s], share of the limit, time against that of one CDU."""
    rows = [_row(cdus, QUICK_CYCLES if quick else CYCLES, gpus=not quick or cdus <= QUICK_GPUS_UP_TO) for cdus in SIZES]
    for row in rows:
        row["growth"] = float(row["cycle_s_p50"]) / float(rows[0]["cycle_s_p50"])
    return {"cycles": float(QUICK_CYCLES if quick else CYCLES), "rows": rows}


def _row(cdus: int, cycles: int, *, gpus: bool) -> Row:
    site = make_site(cdus, gpus=gpus)
    plant = Values(site)
    state, took_s = plant.seeded(initial_state()), []
    plans = 0
    for number in range(cycles + 1):  # the first also imports and compiles
        now_s = START_S + number * CYCLE_S
        snapshot = plant.snapshot(now_s)
        began = time.perf_counter()
        result = step(state, snapshot, (), now_s, site)
        took_s.append(time.perf_counter() - began)
        state, plans = result.state, len(result.plans)
    return {
        "cdus": float(cdus),
        "racks": float(len(site.of_kind("rack"))),
        "points": float(len(site.points)),
        "plans": float(plans),
        "cycle_s_p50": float(np.median(took_s[1:])),
        "cycle_s_max": max(took_s[1:]),
        "first_cycle_s": took_s[0],
        "share_of_limit": max(took_s[1:]) / LIMIT_S[cdus],
    }


def make_site(cdus: int, *, gpus: bool) -> Site:
    """The demo pod's design as many loops; gpus: with the points of every GPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        YAML(typ="safe").dump(site_document(cdus, gpus=gpus), path)
        return load_site(path)


def site_document(cdus: int, *, gpus: bool) -> dict[str, Any]:
    """The same as a site file's content."""
    pod = YAML(typ="safe").load(demo_pod())
    members = min(cdus, 2)
    loops = [_loop(pod, number, members, gpus=gpus) for number in range(cdus // members)]
    feeds = [e["id"] for loop in loops for e in loop[0] if e["kind"] != "manifold"]
    utility = {"id": "utility", "kind": "utility", "name": "Utility feed", "feeds": feeds}
    plcs = {_plc(n): {"transport": "modbus-tcp", "host": "127.0.0.1", "port": 16000 + n} for n in range(len(loops))}
    whole = pod | {
        "equipment": [utility, *(e for equipment, _ in loops for e in equipment)],
        "cooling_groups": [group for _, group in loops],
        "links": {"bms": pod["links"]["bms"]} | plcs,
    }
    for unused in ("workload", "climate"):
        whole.pop(unused, None)
    return dict(whole)


def _loop(pod: dict[str, Any], number: int, members: int, *, gpus: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Equipment and group of one loop, its facility side scaled to its racks."""
    by_id = {e["id"]: e for e in pod["equipment"]}
    racks = [f"rack-{number:03d}-{i:02d}" for i in range(RACKS_A_CDU * members)]
    cdus = [f"cdu-{number:03d}-{i}" for i in range(members)]
    cooler, pumps, manifold = (f"{name}-{number:03d}" for name in ("dry-coolers", "fws-pumps", "manifold"))
    scale = len(racks) / 8
    made = [
        _like(by_id["dry-coolers"], cooler, [pumps], (_plc(number), 1), scale),
        _like(by_id["fws-pumps"], pumps, cdus, (_plc(number), 2), scale),
        *(
            _like(by_id["cdu-1"], cdu, [manifold], (_plc(number), 3 + i), 2 * scale / members)
            for i, cdu in enumerate(cdus)
        ),
        {"id": manifold, "kind": "manifold", "feeds": racks},
        *(_rack(by_id["rack-01"], rack, gpus=gpus) for rack in racks),
    ]
    group = deepcopy(pod["cooling_groups"][0]) | {"id": f"tcs-{number:03d}", "members": cdus, "master": cdus[0]}
    for part in ("design", "writable"):  # no air units here
        group[part] = {role: value for role, value in group[part].items() if not role.startswith("air_temperature")}
    group["commands"] = {
        "supply_temperature": f"{cdus[0]}/supply_temperature_setpoint",
        "differential_pressure": f"{cdus[0]}/differential_pressure_setpoint",
        "facility_supply_temperature": f"{cooler}/leaving_temperature_setpoint",
    }
    return made, group


def _plc(number: int) -> str:
    return f"plc-{number:03d}"


def _like(model: dict[str, Any], name: str, feeds: list[str], at: tuple[str, int], scale: float) -> dict[str, Any]:
    """Equipment after a model, on a link's unit, with what grows with its size scaled."""
    made = deepcopy(model) | {"id": name, "feeds": feeds}
    made["sources"] = [made["sources"][0] | {"link": at[0], "unit": at[1]}]
    sized = ("heat_w", "flow_m3_s", "fan_power_w", "facility_flow_m3_s", "ua_w_k", "volume_m3")
    made["design"] = {k: v * scale if k in sized else v for k, v in made["design"].items()}
    return made


def _rack(model: dict[str, Any], name: str, *, gpus: bool) -> dict[str, Any]:
    sources = [{"profile": "dsx-rack", "link": "bms", "object": name.upper()}]
    return deepcopy(model) | {"id": name, "sources": sources + model["sources"][1:] if gpus else sources}


class Values:
    """Plausible figures of every point that a cycle reads: a walk of the racks' powers, and what follows from it."""

    def __init__(self, site: Site) -> None:
        self._site, self._rng = site, np.random.default_rng(7)
        self._racks = [e.id for e in site.of_kind("rack")]
        self._share = self._rng.uniform(0.5, 0.9, len(self._racks))
        self._heat_j_m3_k = fluid(site.coolant, site.glycol_percent).heat_j_m3_k

    def seeded(self, state: ControlState) -> ControlState:
        """Some hours of heats before the first cycle."""
        time_s = START_S - 60.0 * np.arange(HISTORY_MINUTES, 0, -1, dtype=np.float64)
        subjects = [s for g in self._site.groups.values() for s in (g.id, *g.members)]
        return seed_history(state, {s: (time_s, self._walk(s)) for s in subjects})

    def _walk(self, subject: str) -> npt.NDArray[np.float64]:
        scale = RACKS_A_CDU * 80e3 * (2 if subject in self._site.groups else 1)
        walk = self._rng.normal(size=HISTORY_MINUTES).cumsum() / math.sqrt(HISTORY_MINUTES)
        return np.asarray(scale * (1 + 0.02 * walk), dtype=np.float64)

    def snapshot(self, now_s: float) -> Snapshot:
        """All of them at a moment, good."""
        self._share = np.clip(self._share + self._rng.normal(0, 0.02, len(self._racks)), 0.2, 1.0)
        power_w = dict(zip(self._racks, (132e3 * self._share).tolist(), strict=True))
        values: dict[PointId, float] = {f"{rack}/power": watts for rack, watts in power_w.items()}
        for rack, watts in power_w.items():
            for gpu in range(self._site.gpus_per_rack if f"{rack}/gpu-00/power" in self._site.points else 0):
                values[f"{rack}/gpu-{gpu:02d}/power"] = watts / 100.0
                values[f"{rack}/gpu-{gpu:02d}/temperature"] = 50.0
        for group in self._site.groups.values():
            values |= self._loop(group, sum(power_w[rack] for rack in group.racks))
        known = {
            p: Reading(v, now_s, 0.0, Quality.GOOD, Reason.NONE) for p, v in values.items() if p in self._site.points
        }
        return Snapshot(at_s=now_s, readings=known)

    def _loop(self, group: CoolingGroup, power_w: float) -> dict[PointId, float]:
        heat_w, flow = 0.87 * power_w / len(group.members), 0.0029 * RACKS_A_CDU
        cooler = group.commands["facility_supply_temperature"].partition("/")[0]
        values = {
            f"{cooler}/outdoor_dry_bulb": 22.0,
            f"{cooler}/outdoor_relative_humidity": 50.0,
            f"{cooler}/effective_leaving_temperature_setpoint": 27.0,
            f"{group.master}/effective_differential_pressure_setpoint": 110e3,
            f"{group.master}/effective_supply_temperature_setpoint": 32.0,
        }
        for member in group.members:
            values |= {
                f"{member}/tcs_flow": flow,
                f"{member}/tcs_supply_temperature": 32.0,
                f"{member}/tcs_return_temperature": 32.0 + heat_w / (flow * self._heat_j_m3_k),
                f"{member}/room_dew_point": 11.0,
            }
        return values
