"""What a device says of itself, by the names that its profile gives to states and alarm bits."""

from __future__ import annotations

import math
from functools import lru_cache

from devices.profiles import load_profile
from plant.live import Snapshot
from plant.topology import Equipment

_STILL_M3_S = 1e-5
_WORK = {
    "cooling-tower": ("fan_speed", 0.05),
    "dry-cooler": ("fan_speed", 0.05),
    "pump": ("flow", _STILL_M3_S),
    "economiser": ("flow", _STILL_M3_S),
}
"""What of a kind only moves while it runs; through a tower water may flow while its fan has tripped."""


@lru_cache(maxsize=64)
def _fault_codes(profile: str) -> tuple[frozenset[int], tuple[tuple[str, int, str], ...]]:
    """Codes of `status` that mean a fault, and (register, bit, name) of every named flag of its alarm registers."""
    points = load_profile(profile).points
    status = next((p.states for p in points if p.name == "status"), {})
    flags = tuple((p.name, bit, name.lower()) for p in points if p.alarms for bit, name in p.bits.items())
    return frozenset(code for code, name in status.items() if "fault" in name.lower()), flags


def switched_off(snapshot: Snapshot, unit: str) -> bool:
    """Whether a unit stands because it was told so."""
    followed = snapshot.get(f"{unit}/effective_enable_command")
    return (followed if math.isfinite(followed) else snapshot.get(f"{unit}/enable_command")) == 0


def may_run(snapshot: Snapshot, unit: str) -> bool:
    """Whether a unit that is switched says that it runs or may, so that it takes its water whatever it does with it."""
    followed = (snapshot.get(f"{unit}/{name}") for name in ("running", "effective_enable_command"))
    return any(value > 0 for value in followed)


def idle(snapshot: Snapshot, unit: str) -> bool:
    """Whether a unit stands: it was told so, or its flow shows it."""
    return switched_off(snapshot, unit) or snapshot.get(f"{unit}/flow") <= _STILL_M3_S


def works(snapshot: Snapshot, unit: Equipment) -> bool:
    """Whether a unit shows that it does its work, whatever its readback says: a turning fan, a pump's flow."""
    name, least = _WORK.get(unit.kind, ("", 0.0))
    return bool(name) and snapshot.get(f"{unit.id}/{name}") > least


def faulty(snapshot: Snapshot, equipment: Equipment) -> bool:
    """Whether its own status says so."""
    code = snapshot.get(f"{equipment.id}/status")
    return math.isfinite(code) and any(int(code) in _fault_codes(s.profile)[0] for s in equipment.sources)


def flagged(snapshot: Snapshot, equipment: Equipment, word: str) -> bool:
    """Whether it has set an alarm whose name has the word."""
    for source in equipment.sources:
        for register, bit, name in _fault_codes(source.profile)[1]:
            flags = snapshot.get(f"{equipment.id}/{register}")
            if word in name and math.isfinite(flags) and int(flags) >> bit & 1:
                return True
    return False


def stands(snapshot: Snapshot, pump: Equipment) -> bool:
    """Whether a pump says that it stands or has a fault, and moves nothing."""
    still = snapshot.get(f"{pump.id}/flow") <= _STILL_M3_S
    return still and (faulty(snapshot, pump) or snapshot.get(f"{pump.id}/status") == 0)
