"""Ranks racks for a job: what fits by known headroom first, then the cheapest in extra cooling power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plant.errors import ConfigError
from plant.records import Headroom, Hint, Message, RackHint
from plant.topology import Site

HINT_LIFE_S = 120.0
"""How long a hint is worth anything [s]: jobs start and stop within minutes."""
HEADROOM_MAX_AGE_S = 300.0
"""An older headroom is as good as none [s]."""
UNKNOWN_MARGINAL_W_PER_W = 1.0
"""What a watt costs in cooling where nobody knows: dearer than any real plant, so that ignorance never attracts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One rack as judged; `unknown` says why its headroom is not known, empty if it is."""

    rack: str
    power_w: float
    cooling_w: float
    marginal_w_per_w: float
    unknown: str

    @property
    def headroom_w(self) -> float:
        return max(min(self.power_w, self.cooling_w), 0.0)


def rank(site: Site, headrooms: Sequence[Headroom], power_w: float, now_s: float) -> Hint:
    """Every rack of the site, best first, for a job of `power_w` [W] on one rack; now_s [s since 1970].

    Raises:
        ConfigError: the power is not a positive number.
    """
    if not (math.isfinite(power_w) and power_w > 0):
        raise ConfigError(f"a job of {power_w} W", where="power_w", remedy="give a positive number of watts")
    places = _places(site, headrooms, now_s)
    ordered = sorted(places, key=lambda place: _order(place, power_w))
    racks = tuple(_hint(place, number, power_w) for number, place in enumerate(ordered, start=1))
    return Hint(made_s=now_s, expires_s=_expiry(headrooms, now_s), power_w=power_w, racks=racks)


def _places(site: Site, headrooms: Sequence[Headroom], now_s: float) -> list[_Place]:
    known = {h.rack: h for h in headrooms}
    return [_place(rack.id, known.get(rack.id), now_s) for rack in site.of_kind("rack")]


def _place(rack: str, headroom: Headroom | None, now_s: float) -> _Place:
    unknown = _why_unknown(headroom, now_s)
    if headroom is None or unknown:
        return _Place(rack=rack, power_w=0.0, cooling_w=0.0, marginal_w_per_w=UNKNOWN_MARGINAL_W_PER_W, unknown=unknown)
    return _Place(
        rack=rack,
        power_w=headroom.power_w,
        cooling_w=headroom.cooling_w,
        marginal_w_per_w=headroom.marginal_w_per_w,
        unknown="",
    )


def _why_unknown(headroom: Headroom | None, now_s: float) -> str:
    if headroom is None:
        return "no headroom has been computed yet"
    if not headroom.known:
        return headroom.reason or "its telemetry is not good"
    if not all(map(math.isfinite, (headroom.power_w, headroom.cooling_w, headroom.marginal_w_per_w))):
        return "its headroom is not a number"
    if not 0 <= now_s - headroom.at_s <= HEADROOM_MAX_AGE_S:
        return f"its headroom is {now_s - headroom.at_s:.0f} s old"
    return ""


def _order(place: _Place, power_w: float) -> tuple[bool, bool, float, float, str]:
    """Fitting, then known, then cheapest (only among fitting ones), then roomiest; the id makes ties stable."""
    fits = _fits(place, power_w)
    return not fits, bool(place.unknown), place.marginal_w_per_w if fits else 0.0, -place.headroom_w, place.rack


def _fits(place: _Place, power_w: float) -> bool:
    return not place.unknown and place.headroom_w >= power_w


def _hint(place: _Place, number: int, power_w: float) -> RackHint:
    return RackHint(
        rack=place.rack,
        rank=number,
        fits=_fits(place, power_w),
        headroom_w=place.headroom_w,
        marginal_cooling_w=place.marginal_w_per_w * power_w,
        reasons=tuple(_reasons(place, power_w)),
    )


def _reasons(place: _Place, power_w: float) -> list[Message]:
    if place.unknown:
        text = f"headroom unknown: {place.unknown}; counted as none"
        return [Message(code="hint.unknown", text=text, params={"rack": place.rack, "reason": place.unknown})]
    reasons = [_short(what, have_w, power_w) for what, have_w in _shortages(place, power_w)]
    if not reasons:
        spare_w = place.headroom_w - power_w
        text = f"fits, with {spare_w / 1e3:.1f} kW to spare"
        reasons = [Message(code="hint.fits", text=text, params={"spare_w": spare_w})]
    cooling_w = place.marginal_w_per_w * power_w
    text = f"costs about {cooling_w / 1e3:.2f} kW more cooling power"
    return [*reasons, Message(code="hint.marginal", text=text, params={"cooling_w": cooling_w})]


def _shortages(place: _Place, power_w: float) -> list[tuple[str, float]]:
    rooms = [("power", place.power_w), ("cooling", place.cooling_w)]
    return [(what, have_w) for what, have_w in rooms if have_w < power_w]


def _short(what: str, have_w: float, power_w: float) -> Message:
    short_w = power_w - have_w
    text = f"{what} headroom is {short_w / 1e3:.1f} kW short"
    return Message(code=f"hint.{what}_short", text=text, params={"short_w": short_w, "have_w": have_w})


def _expiry(headrooms: Sequence[Headroom], now_s: float) -> float:
    """A hint does not outlive the headrooms that it rests on [s since 1970]."""
    used = [h.at_s + HEADROOM_MAX_AGE_S for h in headrooms if not _why_unknown(h, now_s)]
    return min([now_s + HINT_LIFE_S, *used])
