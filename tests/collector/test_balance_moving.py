"""Balances of a plant that moves: loads change, setpoints walk, the loop's water warms up; nothing is wrong with it.

The demo pod as simulated, looked at as the collector does: CDUs are polled, racks are told by exception over DSX.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collector.balance_watch import BalanceWatch
from collector.checks import Checked
from collector.conditions import Ledger
from collector.loop_points import loop_points
from collector.minute_means import minute_means
from plant.clock import ManualClock
from plant.live import LiveTable
from plant.samples import SampleBatch
from simulator.plant import SimulatedPlant
from simulator.weather import Weather
from sites import load_site

SITE = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
NOON_S = 1_781_524_800.0
HOUR_S = 3600
POLL_S, TOLD_S, AGAIN_S = 5, 10, 100
WALK = {
    "cdu-1/supply_temperature_setpoint": (32.0, 1.0, 39.0),
    "cdu-1/differential_pressure_setpoint": (110e3, -8e3, 70e3),
    "dry-coolers/leaving_temperature_setpoint": (27.0, 1.5, 34.0),
}
"""Setpoints as a controller moves them every five minutes: first, step, last."""


def busy(rack: str, at_s: float) -> float:
    """Jobs of each rack that start and end at their own times, on a pod that ramps up and down in 15 minutes each."""
    own = 1500 + 170 * int(rack[-2:])
    along = at_s / 900 % 2
    return (0.85 if int(at_s / own) % 2 else 0.7) * (0.4 + 0.6 * min(along, 2 - along))


class MovingPod:
    """The simulated pod, its live table and the watch on it; `errors` falsify what sensors show."""

    def __init__(self):
        sky = Weather(dry_bulb_c=18.0, dew_point_c=7.4, wet_bulb_c=12.5, relative_humidity=0.5)
        self.plant = SimulatedPlant(SITE, NOON_S, work=busy, sky=lambda _: sky)
        self.clock, self.ledger, self.passed_s = ManualClock(), Ledger(), 0
        self.live = LiveTable(SITE.points.values(), self.clock)
        self.watch = BalanceWatch(SITE, self.live, self.clock, self.ledger)
        self.loop = loop_points(SITE)[0]
        self.told, self.errors = {}, {}

    def run(self, span_s):
        """Codes and subjects of every condition that stood meanwhile."""
        found = set()
        for _ in range(span_s // POLL_S):
            self._command()
            self.plant.step(POLL_S)
            self.clock.advance(POLL_S)
            self.passed_s += POLL_S
            self._show()
            if self.passed_s % 10 == 0:
                self.watch.tick()
                found |= {(c.code, c.subject) for c in self.ledger.all()}
        return found

    def _command(self):
        moves = self.passed_s // 300
        for point, (first, step, last) in WALK.items():
            device = point.split("/")[0]
            self.plant.command(f"{device}/heartbeat", self.passed_s // POLL_S)
            self.plant.command(f"{device}/remote_enable", 1)
            self.plant.command(point, (min if step > 0 else max)(first + step * moves, last))

    def _show(self):
        shown = self.plant.measured({*self.loop.racks, *self.loop.units})
        values = {name: self.errors.get(name, lambda v: v)(shown[name]) for name in self.loop.points}
        now_s = self.clock.now()
        rows = [(name, now_s, now_s, value, 0) for name, value in values.items() if self._due(name, value)]
        if rows:
            batch = SampleBatch.of(rows)
            nothing = np.zeros(len(batch), dtype=np.bool_)
            self.live.update(self.watch.mark(Checked(batch, batch.value, nothing, nothing, np.zeros(len(batch)))).batch)

    def _due(self, name, value):
        if not name.startswith("rack"):
            return True
        last, last_s = self.told.get(name, (np.inf, -AGAIN_S))
        band = 0.1 if "temperature" in name else 0.01 * value
        due = self.passed_s % TOLD_S == 0 and (abs(value - last) >= band or self.passed_s - last_s >= AGAIN_S)
        if due:
            self.told[name] = (value, self.passed_s)
        return due


def test_loads_and_setpoints_that_move_are_no_warning_and_a_biased_flow_meter_is():
    """An hour and a half of jobs and moves without a word; then a CDU's flow meter 5 % high within ten minutes."""
    pod = MovingPod()
    assert pod.run(HOUR_S + HOUR_S // 2) == set()
    pod.errors["cdu-2/tcs_flow"] = lambda v: 1.05 * v
    found = pod.run(HOUR_S // 6)
    assert {code for code, _ in found} & {"heat_balance", "mass_balance"}
    assert ("heat_balance", "cdu-2") in found or ("mass_balance", "cdu-2") in found


def test_what_a_loop_stores_is_its_water_times_how_much_it_warmed():
    """0.6 m³ of PG25 in each half: 0.2 K a minute in both are some 16 kW, and none where a sensor is missing."""
    loop = loop_points(SITE)[0]
    before = np.full(len(loop.points), 30.0)
    means = minute_means(loop, np.vstack([before, before + 0.2]), before)
    assert means.stored_w == pytest.approx(loop.known.half_j_k * 0.4 / 60.0)
    assert 14e3 < means.stored_w[0] < 17e3
    assert minute_means(loop, before[None, :] + 0.2, np.full(len(before), np.nan)).stored_w == 0.0


def test_a_rise_is_weighted_with_its_flow():
    """A valve that opens while its water cools: heat is the mean of the products, not the product of the means."""
    loop = loop_points(SITE)[0]
    looks = np.full((2, len(loop.points)), 20.0)
    unit = loop.points.index("cdu-1/fws_flow")
    looks[:, unit] = [0.004, 0.012]
    looks[:, unit + 2] = [40.0, 28.0]
    means = minute_means(loop, looks, looks[0])
    assert means.primary_flow[0] == pytest.approx(0.008)
    assert means.primary_flow[0] * means.primary_rise[0] == pytest.approx((0.004 * 20.0 + 0.012 * 8.0) / 2)
