"""The figures of a report from its meters' energies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plant.topology import Site
from reports.boundary import Boundary, unmetered_cooling
from reports.model import Figure, Note
from reports.periods import hours
from reports.pue import MeterEnergy, ReportError, pue

J_PER_KWH = 3.6e6
FLOOR_PERCENT = 99.0
"""Below this share of good readings a report says so [%]; coldplate's own floor, no standard's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Meters' energies over one interval [start_s, end_s)."""

    site: Site
    limits: Boundary
    energies: Mapping[str, MeterEnergy]
    start_s: float
    end_s: float

    def energy_j(self, meter: str) -> float:
        """One meter's energy [J]."""
        return self.energies[meter].between(self.start_s, self.end_s)

    def sum_j(self, meters: Iterable[str]) -> float:
        """Energy of several meters [J]."""
        return sum(self.energy_j(m) for m in meters)

    @property
    def total_j(self) -> float:
        """The site's energy [J]."""
        return self.sum_j(self.limits.total)

    @property
    def it_j(self) -> float:
        """The IT energy [J]: its meters less the metered cooling behind them."""
        return self.sum_j(self.limits.it) - self.sum_j(self.limits.it_less)

    def registers(self, meters: Iterable[str]) -> tuple[str, ...]:
        """The register points of meters."""
        return tuple(self.energies[m].point for m in meters)

    def good_percent(self, meters: Sequence[str]) -> float:
        """The worst meter's share of good readings within the interval [%]."""
        return min(good_percent(self.energies[m], self.start_s, self.end_s) for m in meters)


def good_percent(energy: MeterEnergy, start_s: float, end_s: float) -> float:
    """Share of [start_s, end_s) with good readings [%]."""
    missing_s = sum(max(0.0, min(g.end_s, end_s) - max(g.start_s, start_s)) for g in energy.gaps)
    return 100.0 * (1.0 - missing_s / (end_s - start_s))


def refuse_unknown(account: Account) -> None:
    """No PUE over a time in which the energy of one of its meters is not known.

    Raises:
        ReportError: names the meter, the time and what to declare.
    """
    for meter in account.limits.essential:
        holes = account.energies[meter].unfilled(account.start_s, account.end_s)
        if holes:
            point = account.energies[meter].point
            text = f"{point}: the register went back, and no declared roll-over or replacement tells why"
            remedy = f"declare register_rollover_j or replaced_s in the design of {meter}, or choose another interval"
            raise ReportError(f"{text} ({len(holes)} time(s), first at {holes[0].start_s:.0f} s since 1970); {remedy}")


def pue_figure(account: Account) -> Figure:
    """Sum over sum."""
    limits = account.limits
    value = pue([account.total_j], [account.it_j])
    return Figure(
        code="pue", value=value, unit="1", quality="measured", method="sum of kWh over sum of kWh, from registers",
        inputs=account.registers(limits.essential),
    )  # fmt: skip


def energy_figures(account: Account) -> tuple[Figure, ...]:
    """Total and IT energy."""
    limits = account.limits
    method = "register increments" if not limits.it_less else "register increments, less metered cooling behind them"
    return (
        _kwh("energy_total", account.total_j, "register increments", account.registers(limits.total)),
        _kwh("energy_it", account.it_j, method, account.registers((*limits.it, *limits.it_less))),
    )


def _kwh(code: str, energy_j: float, method: str, inputs: tuple[str, ...], quality: str = "measured") -> Figure:
    return Figure.model_validate(
        {
            "code": code,
            "value": energy_j / J_PER_KWH,
            "unit": "kWh",
            "quality": quality,
            "method": method,
            "inputs": inputs,
        }
    )


def part_figures(account: Account) -> tuple[Figure, ...]:
    """Where the energy outside the IT went: metered cooling, UPS loss by its design efficiency, and the rest."""
    known = {p: tuple(m for m in meters if m in account.energies) for p, meters in account.limits.parts.items()}
    parts = [
        _kwh(part, account.sum_j(meters), "register increments", account.registers(meters))
        for part, meters in known.items()
        if meters
    ]
    loss = _ups_loss(account)
    named = [*parts, *([loss] if loss else [])]
    rest_j = account.total_j - account.it_j - sum(f.value for f in named) * J_PER_KWH
    inputs = tuple(dict.fromkeys(i for f in named for i in f.inputs))
    rest = _kwh("other", rest_j, "total less IT less the parts above", inputs, "estimated" if loss else "calculated")
    return (*named, rest)


def _ups_loss(account: Account) -> Figure | None:
    """Output * (1/efficiency - 1) for a UPS metered at its output, efficiency from the site file."""
    site = account.site
    loss_j, inputs = 0.0, list[str]()
    for meter in account.limits.it:
        efficiency = site.equipment[site.equipment[meter].meters].design.get("efficiency", 0.0)
        if site.equipment[site.equipment[meter].meters].kind == "ups" and 0 < efficiency <= 1:
            loss_j += account.energy_j(meter) * (1 / efficiency - 1)
            inputs += [account.energies[meter].point, f"{site.equipment[meter].meters}: design efficiency {efficiency}"]
    method = "UPS output * (1/design efficiency - 1)"
    return _kwh("ups_loss", loss_j, method, tuple(inputs), "estimated") if inputs else None


def cost_figure(account: Account) -> Figure:
    """Energy cost by the hour of the site's day [currency]; demand charge not included."""
    tariff = account.site.tariff
    pieces = hours(account.start_s, account.end_s, account.site.timezone)
    spent = sum(
        account.energies[m].between(start_s, end_s) / J_PER_KWH * tariff.energy_per_kwh[hour]
        for hour, start_s, end_s in pieces
        for m in account.limits.total
    )
    return Figure(
        code="cost", value=spent, unit=tariff.currency, quality="calculated",
        method="energy of each hour * its price; demand charge not included",
        inputs=(*account.registers(account.limits.total), f"tariff: {tariff.source}"),
    )  # fmt: skip


def carbon_figure(account: Account) -> Figure:
    """Location-based carbon [kg]."""
    site = account.site
    factor = f"carbon factor: {site.carbon_kg_per_kwh:g} kg/kWh, {site.carbon_source}"
    return Figure(
        code="carbon", value=account.total_j / J_PER_KWH * site.carbon_kg_per_kwh, unit="kg", quality="calculated",
        method="total energy * carbon factor",
        inputs=(*account.registers(account.limits.total), factor),
    )  # fmt: skip


def notes(account: Account, asked: tuple[float, float], missing: Sequence[str]) -> tuple[Note, ...]:
    """What a reader must know beside the numbers."""
    found: list[Note] = []
    if (account.start_s, account.end_s) != asked:
        lost_s = (asked[1] - asked[0]) - (account.end_s - account.start_s)
        text = (
            f"the meters' readings do not span {lost_s:.0f} s of the interval asked for; the period is what they span"
        )
        found.append(Note(code="note.shorter", text=text, params={"lost_s": round(lost_s)}))
    worst = account.good_percent(account.limits.essential)
    if worst < FLOOR_PERCENT:
        text = f"good readings cover {worst:.1f} % of the period, less than {FLOOR_PERCENT:.0f} %"
        found.append(Note(code="note.coverage", text=text, params={"percent": round(worst, 1)}))
    found += [
        Note(code="note.no_readings", text=f"{m}: no usable readings, its energy is in `other`", params={"meter": m})
        for m in missing
    ]
    found += [_hidden(e) for e in unmetered_cooling(account.site)]
    found += [_behind_it(e) for e in account.limits.unmetered_behind_it]
    found += [_beside_it(e) for e in account.limits.it_beside]
    rest_j = account.total_j - account.it_j - _parts_j(account)
    if rest_j < -0.01 * account.total_j:
        text = "the metered parts add up to more than the site's energy outside the IT: check scale and place of meters"
        found.append(Note(code="note.parts_too_large", text=text))
    return (*found, *_meter_notes(account))


def _parts_j(account: Account) -> float:
    return account.sum_j(m for meters in account.limits.parts.values() for m in meters if m in account.energies)


def _hidden(equipment: str) -> Note:
    text = f"{equipment} has no energy register: its energy is in `other`"
    return Note(code="note.unmetered", text=text, params={"equipment": equipment})


def _behind_it(equipment: str) -> Note:
    text = f"{equipment} lies behind the IT meter without a meter of its own: PUE looks better than it is"
    return Note(code="note.behind_it", text=text, params={"equipment": equipment})


def _beside_it(equipment: str) -> Note:
    text = f"{equipment} lies behind no IT meter: its energy is in `other`, and PUE looks worse than it is"
    return Note(code="note.it_beside", text=text, params={"equipment": equipment})


def _meter_notes(account: Account) -> list[Note]:
    found = []
    for meter, energy in account.energies.items():
        if energy.replacements:
            text = f"{meter} was replaced; what the old one counted after its last reading is not included"
            found.append(Note(code="note.replaced", text=text, params={"meter": meter}))
        edges = [g for g in energy.gaps if g.how == "interpolated"]
        if edges:
            kwh = round(sum(g.energy_j for g in edges) / J_PER_KWH, 3)
            text = f"{meter}: no readings at the period's edge, {kwh:g} kWh are interpolated over the gap there"
            found.append(Note(code="note.edge", text=text, params={"meter": meter, "kwh": kwh}))
        if meter not in account.limits.essential and energy.unfilled(account.start_s, account.end_s):
            text = f"{meter}: part of the period is not known, so its part is too small and `other` too large"
            found.append(Note(code="note.part_incomplete", text=text, params={"meter": meter}))
    return found
