"""Chillers: lift and part load in their power, and a sequencer that starts and stops several of them."""

from __future__ import annotations

from collections.abc import Sequence

from plant.topology import Equipment
from simulator.exchange import moved

CONDENSER_APPROACH_K = 12.0  # air-cooled: condensing above dry bulb
WATER_APPROACH_K = 6.0  # water-cooled: condensing above entering condenser water, its range included
EVAPORATOR_APPROACH_K = 3.0
LEAST_LIFT_K = 12.0
RATING_OUTDOOR_C = 35.0
RATING_WATER_C = 29.5
RATING_LEAVING_C = 24.0
RAMP_S = 90.0
LEAST_WATER_C = 5.0
LEAST_LOAD = 0.1  # below it the compressor's hot gas keeps it at this load's power
STAGE_UP_LOAD = 0.9
STAGE_DOWN_LOAD = 0.7
PATIENCE_S = 60.0
STAGE_WAIT_S = 300.0


def carnot_cop(cold_c: float, hot_c: float) -> float:
    """Reversible COP between two temperatures [degC]; the lift is never below 12 K (compressor's own limit)."""
    return (cold_c + 273.15) / max(hot_c - cold_c, LEAST_LIFT_K)


def part_load_power(load: float) -> float:
    """Power share [1] at a load share [1], as variable-speed machines have it: best efficiency near half load.

    0.06 + 0.54 x + 0.40 x^2, between the curves of constant-speed (linear) and ideal variable-speed compressors.
    """
    return 0.06 + 0.54 * load + 0.40 * load * load


class Chiller:
    """One chiller; whether it runs is the sequencer's decision. Temperatures [degC], powers [W].

    asked: whether somebody lets it run, None while nobody commands; permitted: condenser water (if any) is there.
    """

    def __init__(self, equipment: Equipment, *, water_cooled: bool = False) -> None:
        design = equipment.design
        self.id, self.capacity_w, self.water_cooled = equipment.id, design["heat_w"], water_cooled
        self.approach_k = WATER_APPROACH_K if water_cooled else CONDENSER_APPROACH_K
        rating_c = RATING_WATER_C if water_cooled else RATING_OUTDOOR_C
        rated = carnot_cop(RATING_LEAVING_C - EVAPORATOR_APPROACH_K, rating_c + self.approach_k)
        self.carnot_share = design["cop"] / rated
        self.min_on_s, self.min_off_s = design.get("min_on_s", 600.0), design.get("min_off_s", 600.0)
        self.start_s = design.get("start_s", 0.0)
        self.running, self.since_s, self.starts = False, 1e9, 0
        self.tripped, self.permitted = False, True
        self.asked: bool | None = None
        self.heat_w = self.power_w = 0.0
        self.entering_c = self.leaving_c = 27.0

    @property
    def free_to_switch(self) -> bool:
        """Whether its shortest time on (or off) is over."""
        return self.since_s >= (self.min_on_s if self.running else self.min_off_s)

    def switch(self) -> None:
        """Start it, or stop it."""
        self.running, self.since_s = not self.running, 0.0
        self.starts += self.running

    def step(self, dt_s: float, wanted_w: float, entering_c: float, stream_w_k: float, hot_c: float) -> None:
        """Advance dt_s [s] towards wanted_w [W]; hot_c is outdoor air or condenser water [degC]."""
        self.since_s += dt_s
        if self.running and (self.tripped or not self.permitted):
            self.running, self.since_s = False, 0.0
        target_w = min(wanted_w, self.capacity_w) if self.running and self.since_s > self.start_s else 0.0
        self.heat_w = moved(self.heat_w, target_w, self.capacity_w * dt_s / RAMP_S)
        self.heat_w = min(self.heat_w, stream_w_k * max(entering_c - LEAST_WATER_C, 0.0))
        self.entering_c = entering_c
        self.leaving_c = entering_c - (self.heat_w / stream_w_k if stream_w_k > 0 else 0.0)
        self.power_w = self._power_w(hot_c)

    def _power_w(self, hot_c: float) -> float:
        if self.heat_w <= 0.0 and not self.running:
            return 0.0
        cop = self.carnot_share * carnot_cop(self.leaving_c - EVAPORATOR_APPROACH_K, hot_c + self.approach_k)
        load = max(self.heat_w / self.capacity_w, LEAST_LOAD if self.running else 0.0)
        return self.capacity_w / cop * part_load_power(load)


class ChillerPlant:
    """Chillers in parallel and the sequencer between them; `most` caps how many may run (a supervisor's staging).

    The first starts at setpoint + 1 K for a minute and holds setpoint + 0.3 K. One more starts at 90 % load, five
    minutes after the last change; one stops where the others would then run below 70 %. Longest rested starts, longest
    run stops, never within its shortest time on or off. One that somebody forbids stops as soon as these are over;
    one that somebody lets run is started like the others.
    """

    def __init__(self, chillers: Sequence[Chiller]) -> None:
        self.chillers = list(chillers)
        self.most: int | None = None
        self.asked_s, self.settled_s = 0.0, 1e9

    @property
    def heat_w(self) -> float:
        """Heat taken out of the water [W]."""
        return sum(chiller.heat_w for chiller in self.chillers)

    @property
    def power_w(self) -> float:
        """Electrical power [W]."""
        return sum(chiller.power_w for chiller in self.chillers)

    @property
    def running(self) -> int:
        """How many run."""
        return sum(chiller.running for chiller in self.chillers)

    def step(self, dt_s: float, setpoint_c: float, entering_c: float, stream_w_k: float, hot_c: float) -> None:
        """Advance dt_s [s]; the running ones share the load by capacity, and the water by what they do."""
        wanted_w = stream_w_k * max(entering_c - setpoint_c - 0.3, 0.0)
        self._sequence(dt_s, entering_c - setpoint_c, wanted_w)
        capacity_w = sum(chiller.capacity_w for chiller in self.chillers if chiller.running)
        busy = max(self.running, 1)
        for chiller in self.chillers:
            share = chiller.capacity_w / capacity_w if chiller.running else 1.0 / busy
            chiller.step(dt_s, wanted_w * share, entering_c, stream_w_k * share, hot_c)

    def _sequence(self, dt_s: float, excess_k: float, wanted_w: float) -> None:
        self.settled_s += dt_s
        self._obey()
        step = self._wish(excess_k, wanted_w)
        self.asked_s = self.asked_s + dt_s if step else 0.0
        wait_s = STAGE_WAIT_S if step > 0 and self.running else 0.0
        forced = self.most is not None and self.running > self.most
        if step and (forced or (self.asked_s > PATIENCE_S and self.settled_s >= wait_s)):
            self._switch(start=step > 0)

    def _obey(self) -> None:
        for chiller in self.chillers:
            if chiller.asked is False and chiller.running and chiller.free_to_switch:
                chiller.switch()

    def _wish(self, excess_k: float, wanted_w: float) -> int:
        """1 for one more, -1 for one less, 0 for as it is."""
        on = [chiller for chiller in self.chillers if chiller.running]
        if self.most is not None and len(on) > self.most:
            return -1
        capacity_w = sum(chiller.capacity_w for chiller in on)
        if not on:
            return 1 if excess_k > 1.0 and self.most != 0 else 0
        if wanted_w > STAGE_UP_LOAD * capacity_w and len(on) < min(len(self.chillers), self.most or len(self.chillers)):
            return 1
        if excess_k < 0.3:
            return -1
        left_w = capacity_w - min(chiller.capacity_w for chiller in on)
        return -1 if left_w > 0.0 and wanted_w < STAGE_DOWN_LOAD * left_w else 0

    def _switch(self, *, start: bool) -> None:
        own = [c for c in self.chillers if c.asked is not False and c.running is not start and c.free_to_switch]
        ready = [c for c in own if not start or (c.permitted and not c.tripped)]
        if ready:
            max(ready, key=lambda chiller: chiller.since_s).switch()
            self.asked_s = self.settled_s = 0.0
