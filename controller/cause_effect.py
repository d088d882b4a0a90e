"""The cause-and-effect matrix: what coldplate does about each cause, as the loop's `fallback` in the site file says."""

from __future__ import annotations

from enum import StrEnum

from controller.causes import Cause, Found
from plant.topology import CoolingGroup


class Effect(StrEnum):
    """What coldplate may do: use the reserve, keep what is, or give the loop back to its devices."""

    RESERVE = "use reserve"
    HOLD = "hold"
    LET_GO = "let go"


USUAL: dict[Cause, Effect] = {
    Cause.LEAK: Effect.HOLD,
    Cause.PUMP_TRIP: Effect.RESERVE,
    Cause.CDU_LOST: Effect.RESERVE,
    Cause.REJECTION_LOST: Effect.RESERVE,
    Cause.CHILLER_TRIP: Effect.RESERVE,
    Cause.FACILITY_LOST: Effect.RESERVE,
    Cause.WATER_UNHELD: Effect.RESERVE,
    Cause.HEAT_LOST: Effect.LET_GO,
    Cause.SUPPLY_LOST: Effect.LET_GO,
    Cause.DEW_POINT_LOST: Effect.LET_GO,
    Cause.HUNTING: Effect.LET_GO,
    Cause.SUPPLY_STUCK: Effect.LET_GO,
    Cause.VALVE_STUCK: Effect.RESERVE,
    Cause.FLOW_BIASED: Effect.RESERVE,
    Cause.OUTDOOR_WRONG: Effect.RESERVE,
    Cause.FOULED: Effect.RESERVE,
    Cause.NOT_REACTING: Effect.LET_GO,
}
"""Where the site file says nothing of a cause."""
_WORDS = {
    "use reserve": Effect.RESERVE,
    "hold": Effect.HOLD,
    "no move": Effect.HOLD,
    "let go": Effect.LET_GO,
    "design setpoints": Effect.LET_GO,
}
BLIND = frozenset({Cause.HEAT_LOST, Cause.SUPPLY_LOST, Cause.SUPPLY_STUCK, Cause.DEW_POINT_LOST, Cause.NOT_REACTING})
"""Without these senses, or with a plant that does not follow, no reserve can be judged."""
_STRICTEST = (Effect.HOLD, Effect.LET_GO, Effect.RESERVE)


def effect_of(group: CoolingGroup, cause: Cause) -> Effect:
    """What the site's matrix, by its first words, or else the usual practice says of one cause.

    A leak is never answered with more flow: the reserve is not used for it, whatever the site file says.
    """
    text = group.fallback.get(cause.value, "").strip().lower()
    said = next((effect for words, effect in _WORDS.items() if text.startswith(words)), USUAL[cause])
    refused = said is Effect.RESERVE and (cause is Cause.LEAK or cause in BLIND)
    return USUAL[cause] if refused else said


def strictest(group: CoolingGroup, found: tuple[Found, ...]) -> tuple[Effect, Found]:
    """The effect that outranks the others, and the cause that asks for it; `found` is not empty.

    To hold outranks all, so that a leak beside a trip gets no more flow; to let go outranks the reserve.
    """
    effects = [(effect_of(group, f.cause), f) for f in found]
    return min(effects, key=lambda pair: _STRICTEST.index(pair[0]))
