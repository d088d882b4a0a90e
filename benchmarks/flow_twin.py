"""The twin with CDUs that take a flow, of the loop or of each, or a pump speed: all else is the demo pod's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sites
from benchmarks.plants import Scenario
from benchmarks.twin_plant import TwinPlant, example_file
from plant.topology import Site

_COMMAND = "      differential_pressure: cdu-1/differential_pressure_setpoint\n"
_DESIGN = "      differential_pressure_pa: 110000\n"
_RANGE = "      differential_pressure: {min: 45000, max: 150000, max_step: 15000, "
_RULE = "        differential_pressure: {start: 110000, min: 60000, max: 150000, trim: -3000, respond: 6000, "
_RULE += "respond_max: 15000}\n"


def _edited(profile: str, role: str, point: str, figures: tuple[str, ...], by: str = "master") -> str:
    """The demo pod's file; figures: design key and value, range, the rule's reset."""
    design, span, reset = figures
    edits = {
        "profile: generic-cdu,": f"profile: {profile},",
        _COMMAND: f"      {role}: cdu-1/{point}\n",
        _DESIGN: f"      {design}\n",
        _RANGE: f"      {role}: {{{span}, ",
        _RULE: f"        {role}: {{{reset}}}\n",
        "    design:                        # the": f"    flow_by: {by}\n    design:                        # the",
    }
    text = example_file("demo-pod.yaml").read_text(encoding="utf-8")
    for old, new in edits.items():
        assert old in text, f"the demo pod's file has no {old!r} any more"
        text = text.replace(old, new)
    return text


def _loop_figures(cdus: int) -> tuple[str, str, str]:
    """Flow of the loop as the pod's pressures give it (45 to 150 kPa), for each of so many setpoints."""
    design, low, high, step, least = (x / cdus for x in (0.0232, 0.0143, 0.0274, 0.0019, 0.0167))
    trim, respond, most = (x / cdus for x in (-0.0004, 0.0008, 0.0018))
    rule = f"start: {design:g}, min: {least:g}, max: {high:g}, trim: {trim:g}, respond: {respond:g}"
    span = f"min: {low:g}, max: {high:g}, max_step: {step:g}"
    return f"flow_m3_s: {design:g}", span, f"{rule}, respond_max: {most:g}"


@lru_cache(maxsize=3)
def flow_site(kind: str) -> Site:
    """The pod's site by `master` or `each` flow, or by `speed`."""
    if kind == "speed":
        span = "min: 0.5, max: 0.95, max_step: 0.06"
        rule = "start: 0.8, min: 0.6, max: 0.95, trim: -0.015, respond: 0.03, respond_max: 0.06"
        text = _edited("generic-cdu-speed", "pump_speed", "pump_speed_setpoint", ("pump_speed: 0.8", span, rule))
    else:
        figures = _loop_figures(2 if kind == "each" else 1)
        text = _edited("generic-cdu-flow", "flow", "flow_setpoint", figures, kind)
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"demo-pod-{kind}.yaml"
        file.write_text(text, encoding="utf-8")
        return sites.load_site(file)


def of_master(scenario: Scenario) -> TwinPlant:
    """The master's flow setpoint is the loop's; whoever is left makes up for a lost CDU."""
    return TwinPlant(scenario, flow_site("master"))


def of_each(scenario: Scenario) -> TwinPlant:
    """Each CDU holds its own flow, and no more when another is lost."""
    return TwinPlant(scenario, flow_site("each"))


def speed(scenario: Scenario) -> TwinPlant:
    """All pumps turn as the master is told."""
    return TwinPlant(scenario, flow_site("speed"))
