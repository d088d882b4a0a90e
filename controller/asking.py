"""From a plan and a mode to what is asked of the actuator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from plant.clock import Clock
from plant.intents import Mode, ModeState
from plant.leases import CONTROLLER, Lease
from plant.records import Plan, Setpoint
from plant.topology import ENABLE_COMMAND

LIMITED_K = 1.0
"""In limited mode a temperature stays this close to design [K]."""
LIMITED_SHARE = 0.10
"""In limited mode a pressure or flow stays within this share of design."""


def setpoints_to_ask(plan: Plan | None, mode_state: ModeState) -> tuple[Setpoint, ...]:
    """What a loop in this mode asks for now; () asks nothing, so that leases run out and devices return to default.

    A hold needs no plan. A confirmed plan's values stay asked until the next confirmation, for as long as there are
    plans at all (no plan means that inputs are missing). A loop that was let go gets nothing but a person's hold.
    """
    if mode_state.mode is Mode.HOLD:
        return _held(plan, mode_state)
    if plan is None or mode_state.let_go:
        return ()
    if mode_state.mode is Mode.CONFIRM:
        return _held(plan, mode_state) if mode_state.hold else ()
    if mode_state.mode is Mode.LIMITED:
        return tuple(_limited(s) for s in plan.setpoints)
    return (plan.probe or plan.setpoints) if mode_state.mode is Mode.AUTO else ()


def leases_to_ask(
    setpoints: Iterable[Setpoint],
    mode_state: ModeState,
    clock: Clock,
    *,
    epoch: int,
    first_seq: int,
    ttl_s: float,
    why: str = "",
) -> tuple[Lease, ...]:
    """One lease a setpoint, numbered from first_seq; a hold's holder and reason are its operator's."""
    held = mode_state.mode is Mode.HOLD
    return tuple(
        Lease(
            point=setpoint.point,
            value=setpoint.value,
            epoch=epoch,
            seq=first_seq + index,
            issued_s=clock.now(),
            issued_mono_s=clock.monotonic(),
            ttl_s=ttl_s,
            holder=f"operator:{mode_state.actor}" if held else CONTROLLER,
            reason=mode_state.reason if held else why or f"{mode_state.loop} in mode {mode_state.mode}",
        )
        for index, setpoint in enumerate(setpoints)
    )


def _held(plan: Plan | None, mode_state: ModeState) -> tuple[Setpoint, ...]:
    planned = {s.point: s for s in plan.setpoints} if plan is not None else {}
    return tuple(
        replace(planned[point], value=value, target=value)
        if point in planned
        else Setpoint(point=point, current=value, value=value, target=value, design=value)
        for point, value in mode_state.hold.items()
    )


def _limited(setpoint: Setpoint) -> Setpoint:
    if setpoint.point.endswith(f"/{ENABLE_COMMAND}"):  # switching begins with auto
        return replace(setpoint, value=setpoint.design, target=setpoint.design)
    temperature = setpoint.point.endswith("temperature_setpoint")
    reach = LIMITED_K if temperature else LIMITED_SHARE * setpoint.design
    low, high = setpoint.design - reach, setpoint.design + reach
    value, target = (min(max(x, low), high) for x in (setpoint.value, setpoint.target))
    return replace(setpoint, value=value, target=target)
