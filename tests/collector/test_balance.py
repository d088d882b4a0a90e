"""Heat and mass balances: a sensor that lies is found, named, and no longer believed; a healthy plant is left alone."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from collector.balance import Uncertainty, residuals
from collector.balance_watch import BalanceWatch, _rows_of
from collector.baselines import Detector
from collector.checks import Checked
from collector.conditions import Ledger
from collector.culprit import Suspect, isolate, signatures, suspects
from collector.fluids import glycol_share, volume_heat
from collector.loop_points import loop_points
from collector.minute_means import minute_means
from plant.clock import ManualClock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.samples import Quality, Reason, SampleBatch, split_code
from sites import load_site

DEMO = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
HOURS = 60


@pytest.fixture(scope="module")
def site():
    """The demo pod."""
    return load_site(DEMO)


class Rig:
    """A plant in balance, its live table, and the watch on it; `errors` falsify what sensors show."""

    def __init__(self, site, seed=1):
        self.site, self.clock, self.ledger = site, ManualClock(), Ledger()
        self.live = LiveTable(site.points.values(), self.clock)
        self.watch = BalanceWatch(site, self.live, self.clock, self.ledger)
        self.loop = loop_points(site)[0]
        self.names, self.rng = self.loop.points, np.random.default_rng(seed)
        self.errors, self.rise_k, self.codes = {}, 8.0, {}

    def truth(self):
        """What exact sensors show [SI]."""
        known, shown = self.loop.known, {}
        flow = 0.0029
        heat_w = known.coolant * flow * self.rise_k
        for rack, share in zip(self.loop.racks, known.capture, strict=True):
            values = (flow, 32.0, 32.0 + self.rise_k, heat_w / share)
            names = ("liquid_flow", "liquid_supply_temperature", "liquid_return_temperature", "power")
            shown |= {f"{rack}/{name}": value for name, value in zip(names, values, strict=True)}
        for unit in self.loop.units:
            warm = 25.0 + (4 * heat_w + 5e3) / (known.water * 0.0135)
            shown |= {
                f"{unit}/tcs_flow": 4 * flow, f"{unit}/tcs_supply_temperature": 32.0,
                f"{unit}/tcs_return_temperature": 32.0 + self.rise_k, f"{unit}/fws_flow": 0.0135,
                f"{unit}/fws_supply_temperature": 25.0, f"{unit}/fws_return_temperature": warm,
                f"{unit}/active_power": 5e3,
            }  # fmt: skip
        return shown

    def steady(self):
        """Exact means of a minute without change."""
        values = np.array([self.truth()[name] for name in self.names])
        return minute_means(self.loop, values[None, :], values)

    def minutes(self, count):
        """Let minutes pass, six looks each; returns the first of them in which a condition stood."""
        first = None
        for minute in range(count):
            for _ in range(6):
                self._look()
            if first is None and self.ledger.all():
                first = minute + 1
        return first

    def _look(self):
        self.clock.advance(10)
        shown = self.truth()
        values = np.array([self.errors.get(name, lambda v: v)(shown[name]) for name in self.names])
        warm = np.array(["temperature" in name for name in self.names])
        noise = self.rng.normal(0, 1, len(values))
        values = np.where(warm, values + 0.05 * noise, values * (1 + 0.01 * noise))
        now = np.full(len(values), self.clock.now())
        code = np.array([self.codes.get(name, 0) for name in self.names], dtype=np.int32)
        batch = SampleBatch(
            names=self.names, index=np.arange(len(values)), time_s=now, received_s=now, value=values, code=code
        )
        self.live.update(self.marked(batch).batch)
        self.watch.tick()

    def marked(self, batch):
        """The batch with the watch's verdict."""
        nothing = np.zeros(len(batch), dtype=np.bool_)
        return self.watch.mark(Checked(batch, batch.value, nothing, nothing, np.zeros(len(batch))))

    def doubted(self):
        """Points that the live table holds as doubted by a balance."""
        readings = self.live.select(self.names).readings
        return {p for p, r in readings.items() if (r.quality, r.reason) == (Quality.UNCERTAIN, Reason.BALANCE)}


def test_a_flow_meter_five_percent_high_is_found_named_and_doubted(site):
    """Within five minutes a condition; the meter is convicted by the racks' sum, and its samples are UNCERTAIN."""
    rig = Rig(site)
    assert rig.minutes(5 * HOURS) is None
    rig.errors["rack-03/liquid_flow"] = lambda v: 1.05 * v
    assert rig.minutes(5) <= 5
    rig.minutes(55)
    (found,) = rig.ledger.all()
    assert (found.code, found.subject) == ("heat_balance", "rack-03")
    assert found.cause.params["points"] == "rack-03/liquid_flow"
    assert found.cause.params["residual"] == pytest.approx(5, abs=1)
    assert rig.doubted() == {"rack-03/liquid_flow"}
    del rig.errors["rack-03/liquid_flow"]
    rig.minutes(30)
    assert rig.ledger.all() == []
    assert rig.doubted() == set()


def test_a_shift_within_the_specification_is_taken_up_by_the_baseline(site):
    """A meter that was 2 % off and a rack that captures 2 % less when commissioned are no alarm, then or later."""
    rig = Rig(site, seed=2)
    rig.errors = {"rack-01/liquid_flow": lambda v: 1.02 * v, "rack-02/power": lambda v: 1.02 * v}
    assert rig.minutes(8 * HOURS) is None
    rig.rise_k = 6.0
    assert rig.minutes(2 * HOURS) is None


def test_below_two_kelvin_a_heat_balance_says_nothing(site):
    """At 1.5 K the temperatures' error is as large as the heat: muted, whatever the power meter shows."""
    rig = Rig(site)
    rig.rise_k = 1.5
    rig.errors["rack-03/power"] = lambda v: 1.5 * v
    assert rig.minutes(2 * HOURS) is None


def test_a_rack_without_a_trusted_sensor_is_left_out(site):
    """A BAD flow mutes its rack and the sums, and is no heat fault."""
    rig = Rig(site)
    rig.codes["rack-03/liquid_flow"] = int(Quality.BAD) | int(Reason.NO_COMM) << 2
    rig.errors["rack-03/liquid_flow"] = lambda _: 0.0
    assert rig.minutes(HOURS) is None


def test_two_phase_loops_have_no_balance(site):
    """A rack tagged `coolant: two-phase` takes its group out: flow times temperature difference is not its heat."""
    rack = dataclasses.replace(site.equipment["rack-05"], tags={"coolant": "two-phase"})
    other = dataclasses.replace(site, equipment={**site.equipment, "rack-05": rack})
    assert len(loop_points(site)) == 1
    assert loop_points(other) == []


def test_baselines_survive_a_restart_and_are_learned_anew_only_on_request(site):
    """What was learned is kept; a calibration resets only the equipment that it names."""
    rig = Rig(site)
    rig.errors["rack-01/power"] = lambda v: 0.97 * v
    rig.minutes(5 * HOURS)
    kept = rig.watch.state()
    again = Rig(site)
    again.watch.restore(kept)
    assert again.watch.state() == kept
    assert again.watch.recalibrated("rack-01")
    (after,), (before,) = again.watch.state().values(), kept.values()
    assert before["baseline"][0] == pytest.approx(0.03, abs=0.01)
    assert after["baseline"] == [0.0, *before["baseline"][1:]]
    assert not again.watch.recalibrated("hall")
    with pytest.raises(ValueError, match="another plant"):
        Detector((3,), Uncertainty()).restore(before)


@pytest.mark.parametrize("number", range(8 * 3 + 2 * 3 + 1))
def test_every_sensor_answers_by_its_own_signature(site, number):
    """A 5 % error of any sensor, and of the coolant, is convicted and no other; the residuals move as predicted."""
    rig = Rig(site)
    means = rig.steady()
    known, who = rig.loop.known, suspects(8, 2)[number]
    shape = signatures(means, known)[:, number]
    history = np.concatenate([np.zeros((120, len(shape))), np.tile(0.05 * shape, (60, 1))])
    found = isolate(history, 60, means, known, Uncertainty())
    assert found.decided
    assert found.ranked == (who,)
    assert found.error == pytest.approx(0.05)
    column = {"rack_flow": "rack_flow", "rack_temperatures": "rack_rise", "rack_power": "rack_power",
              "unit_flow": "unit_flow", "unit_temperatures": "unit_rise", "primary": "primary_flow"}.get(who.kind)  # fmt: skip
    if column:
        off = getattr(means, column).copy()
        off[who.number] *= 1.001
        moved = residuals(dataclasses.replace(means, **{column: off}), known, Uncertainty()).value
        steady = residuals(means, known, Uncertainty()).value
        assert (moved - steady) / 0.001 == pytest.approx(shape, abs=0.05)


def test_a_leading_suspect_is_not_convicted_too_soon(site):
    """One minute of evidence accuses several; none of them is decided."""
    rig = Rig(site)
    means = rig.steady()
    minute = 0.05 * signatures(means, rig.loop.known)[:, 2]
    found = isolate(minute[None, :], 1, means, rig.loop.known, Uncertainty())
    assert not found.decided
    assert Suspect("rack_flow", 2) in found.ranked


def test_coolants_come_from_the_property_library():
    """PG25 holds a few percent less than water; five points of glycol are about one percent."""
    assert volume_heat("water", 0) == pytest.approx(4.15e6, rel=0.01)
    assert 0.93 < volume_heat("propylene-glycol", 25) / volume_heat("water", 0) < 0.98
    assert 0.003 < glycol_share("propylene-glycol", 25, 5) < 0.03
    with pytest.raises(ConfigError, match="unknown coolant"):
        volume_heat("honey", 0)


def test_doubt_leaves_other_rows_alone(site):
    """Nothing is doubted without a verdict: the batch passes as it is."""
    rig = Rig(site)
    batch = SampleBatch.of([("rack-03/liquid_flow", 0.0, 0.0, 1.0, 0), ("new/x", 0.0, 0.0, 1.0, 0)])
    assert rig.marked(batch).batch is batch
    rig.watch._doubted[rig.watch._names.index("rack-03/liquid_flow")] = True
    codes = [split_code(code) for code in rig.marked(batch).batch.code.tolist()]
    assert codes == [(Quality.UNCERTAIN, Reason.BALANCE), (Quality.GOOD, Reason.NONE)]


def test_after_a_calibration_an_alarm_is_counted_from_its_own_beginning(site):
    """Minutes of the old alarm are forgotten with it, or the culprit would be sought in the wrong hour."""
    rig = Rig(site)
    rig.minutes(HOURS)
    rig.errors["rack-03/power"] = lambda v: 1.2 * v
    rig.minutes(30)
    detector = rig.watch._loops[0].detector
    assert max(detector.high_minutes.max(), detector.low_minutes.max()) > 25
    assert rig.watch.recalibrated("rack-03")
    assert (detector.high_minutes[2], detector.low_minutes[2]) == (0, 0)


def test_kept_baselines_that_cannot_be_read_are_learned_anew(site):
    """A balances.json of another form does not keep the collector from starting."""
    fresh = Rig(site).watch.state()
    (key,) = fresh
    for kept in (["x"], {"offset": {"a": 1}}, {"offset": [None] * 5}, "text", {"offset": ["x"]}):
        rig = Rig(site)
        rig.watch.restore({key: kept})
        assert rig.watch.state() == fresh


def test_without_flow_the_mass_balance_says_nothing(site):
    """With the pumps off, meters show their own zero: below 3 % of the design flow nothing adds up, and is not weighed."""
    rig = Rig(site)
    known = rig.loop.known
    design = sum(site.equipment[unit].design["flow_m3_s"] for unit in rig.loop.units)
    assert known.least_flow == pytest.approx(0.03 * design)
    names, flows = rig.loop.balances(), [n for n in rig.names if n.endswith("_flow")]
    mass = names.index(("mass", rig.loop.group))
    for share, weighed in ((0.01, False), (1.0, True)):
        flow = share * design / len(rig.loop.racks)
        values = np.array([flow if name in flows else rig.truth()[name] for name in rig.names])
        means = minute_means(rig.loop, values[None, :], values)
        found = residuals(means, known, Uncertainty())
        assert np.isfinite(found.value[mass]) == weighed
        assert np.isfinite(found.value[: len(rig.loop.racks)]).all()


def test_an_alarm_is_looked_for_where_it_was_heard():
    """Three heard minutes with two muted ones among them are the last five rows, not the last three."""
    heard = np.array([True, True, False, True, False, True])
    assert [_rows_of(minutes, heard) for minutes in (0, 1, 2, 3, 99)] == [1, 1, 3, 5, 6]
    assert _rows_of(3, np.zeros(4, dtype=bool)) == 1


def test_a_fault_that_is_no_longer_weighed_is_told_in_numbers(site):
    """Once its sensors tell nothing, the fault stands with the scatter that it was found with."""
    rig = Rig(site)
    rig.minutes(HOURS)
    rig.errors["rack-03/power"] = lambda v: 1.2 * v
    rig.minutes(30)
    rig.codes = {name: int(Quality.BAD) | int(Reason.NO_COMM) << 2 for name in rig.names}
    for _ in range(5):
        rig.minutes(1)
        told = [value for found in rig.ledger.all() for value in found.cause.params.values()]
        assert told
        assert all(isinstance(value, str) or math.isfinite(value) for value in told)
