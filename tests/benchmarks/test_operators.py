"""Who drives a plant in `bench control`, and the reserve that all are held to."""

from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks import robust, work
from benchmarks.baselines import Ours, Schedule, Tuning
from benchmarks.foresight import perfect, persistence
from benchmarks.reserve import UNKNOWN_K, ReserveWatch
from benchmarks.twin_plant import example_site
from controller.identification.estimates import Estimate
from controller.identification.known import Kept, key_of
from controller.identification.parameters import CASE
from controller.step import initial_state, step
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

NOW_S = 1.75e9


@pytest.fixture
def site():
    """The demo pod."""
    return example_site("demo-pod.yaml")


def _snapshot(values):
    readings = {p: Reading(v, 0.0, NOW_S, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return Snapshot(at_s=NOW_S, readings=readings)


def _shown(supply_c, facility_c, rack_w=118.8e3):
    setpoints = {
        "cdu-1/effective_supply_temperature_setpoint": supply_c,
        "cdu-1/effective_differential_pressure_setpoint": 80e3,
        "dry-coolers/effective_leaving_temperature_setpoint": facility_c,
    }
    heat_w = 8 * 0.87 * rack_w
    loops = {"tcs_flow": 0.01, "tcs_supply_temperature": supply_c, "room_dew_point": 10.0}
    loops["tcs_return_temperature"] = supply_c + heat_w / 2 / (0.01 * 3.98e6)
    cdus = {f"cdu-{n}/{name}": value for n in (1, 2) for name, value in loops.items()}
    racks = {f"rack-{n:02d}/power": rack_w for n in range(1, 9)}
    return setpoints | cdus | racks | {"dry-coolers/outdoor_dry_bulb": 20.0}


def test_the_reserve_falls_kelvin_by_kelvin_with_the_supply(site):
    """Warmer supply leaves less of the case limit when a CDU is lost; 40 °C is too warm, 36 °C is not."""
    watch = ReserveWatch(site)
    margins = [watch.margin_k(_snapshot(_shown(c, 27.0))) for c in (34.0, 36.0, 40.0)]
    assert margins[0] - margins[1] == pytest.approx(2.0, abs=0.15)
    assert margins[1] > 0 > margins[2]


def test_warm_facility_water_takes_the_reserve_of_a_loaded_hall_only(site):
    """One CDU can't carry the pod's full heat into 35 °C water, and at a tenth of it can."""
    watch = ReserveWatch(site)
    assert watch.margin_k(_snapshot(_shown(36.0, 35.5, 132e3))) < 0
    assert watch.margin_k(_snapshot(_shown(36.0, 35.5, 13e3))) > 0


def test_time_without_reserve_is_counted_and_silence_is_not(site):
    """Seconds add up while the margin is negative; a plant that shows no power is not judged."""
    watch = ReserveWatch(site)
    for shown in (_shown(36.0, 27.0), _shown(40.0, 27.0), _shown(39.0, 27.0)):
        watch.see(_snapshot(shown), 600.0)
    assert watch.violation_s == 1200.0
    assert watch.least_k == pytest.approx(watch.margin_k(_snapshot(_shown(40.0, 27.0))))
    assert watch.margin_k(_snapshot({})) == UNKNOWN_K


def _group_heat(site, revise):
    ahead = step(initial_state(), _snapshot(_shown(34.0, 28.0)), (), NOW_S, site, revise).forecast
    return next(h for h in ahead.heats if h.subject == "tcs-1")


def test_ours_goes_on_from_what_an_earlier_run_kept(site):
    """A cycle later it still knows the plates, which one that starts anew does not."""
    loop = next(iter(site.groups))
    plates = key_of(site.groups[loop].racks[0], CASE.name)
    before = {loop: Kept(estimates={plates: Estimate(log=0.1, count=30, at_s=NOW_S - 60)}, baselines={}, changes={})}
    fresh, known = Ours(site), Ours(site, known=before)
    for operator in (fresh, known):
        operator.decide(_snapshot(_shown(36.0, 30.0)), NOW_S)
    assert known.kept()[loop].estimates[plates].log == 0.1
    assert plates not in fresh.kept().get(loop, Kept(estimates={}, baselines={}, changes={})).estimates


def test_persistence_is_flat_and_its_band_widens(site):
    """The median stays at the measured heat; the upper quantile leaves it with the square root of time."""
    shown = _snapshot(_shown(34.0, 28.0))
    heat = _group_heat(site, persistence(site)(shown, NOW_S))
    now_w = 8 * 0.87 * 118.8e3
    assert heat.at(0.5) == pytest.approx([now_w] * len(heat.times_s), rel=0.01)
    rise_w = [high - mid for high, mid in zip(heat.at(0.95), heat.at(0.5), strict=True)]
    assert rise_w[15] == pytest.approx(2 * rise_w[3], rel=0.01)
    assert heat.model == "persistence"


def test_perfect_foresight_knows_the_step_that_comes(site):
    """A load that doubles in half an hour is in the plan's forecast now, to the minute."""

    def utilisation(rack, time_s):
        return (0.8 if time_s > NOW_S + 1800.0 else 0.3) + 0.01 * int(rack[-2:])

    foresight = perfect(site, utilisation)
    shown = _shown(34.0, 28.0)
    shown |= {f"rack-{n:02d}/power": 30e3 + 100e3 * utilisation(f"rack-{n:02d}", NOW_S) for n in range(1, 9)}
    shown["rack-01/power"], early = 30e3 + 100e3 * 0.95, _snapshot(shown)
    foresight(_snapshot({"rack-01/power": 30e3 + 100e3 * utilisation("rack-01", NOW_S + 3600.0)}), NOW_S + 3600.0)
    shown["rack-01/power"] = 30e3 + 100e3 * utilisation("rack-01", NOW_S)
    heat = _group_heat(site, foresight(replace(early, readings=_snapshot(shown).readings), NOW_S))
    step_w = heat.at(0.5)[40] - heat.at(0.5)[20]
    assert step_w == pytest.approx(8 * 0.87 * 50e3, rel=0.02)
    assert heat.at(0.95)[40] < 1.01 * heat.at(0.5)[40]


def test_a_schedule_has_setpoints_of_each_hour(site):
    """Lead first, then hour by hour, the last one to the end."""
    hours = tuple(Tuning(kind="static", supply_c=30.0 + h) for h in range(3))
    operator = Schedule(site, hours, NOW_S)
    point, shown = "cdu-1/supply_temperature_setpoint", _snapshot(_shown(34.0, 28.0))
    asked = [operator.decide(shown, NOW_S + 3600.0 * h)[point] for h in (0.5, 2.5, 3.5, 9.0)]
    assert asked == [30.0, 30.0, 31.0, 32.0]


def test_a_year_changes_its_work_with_the_month():
    """Frontier in January, the job mix in February, by local time."""
    work_of = work.by_month(lambda *_: 1.0, lambda *_: 0.5, -6 * 3600.0)
    february_s = 1738389600.0  # 2025-02-01 06:00 UTC
    assert work_of("rack-01", february_s - 1.0) == 1.0
    assert work_of("rack-01", february_s + 1.0) == 0.5


def test_wrong_figures_are_wrong_and_limits_are_not(site):
    """A fifth off where nobody measures at handover; ratings and limits stay."""
    off = robust.wrong(site, 1.2)
    assert off.equipment["cdu-1"].design["ua_w_k"] == pytest.approx(1.2 * 175000)
    assert off.equipment["rack-01"].design["case_resistance_k_w"] == pytest.approx(1.2 * 0.0205)
    assert off.equipment["rack-01"].design["power_w"] == site.equipment["rack-01"].design["power_w"]
    assert off.limits == site.limits


class _Seen:
    def __init__(self):
        self.snapshots = []

    def decide(self, snapshot, now_s):
        """Remember it."""
        self.snapshots.append((snapshot, now_s))
        return {}


def test_late_data_is_two_minutes_old():
    """Minutes pass, the third decision sees the first snapshot."""
    seen = _Seen()
    late = robust.Late(seen)
    for minute in range(4):
        late.decide(Snapshot(at_s=60.0 * minute, readings={}), 60.0 * minute)
    assert [s.at_s for s, _ in seen.snapshots] == [0.0, 0.0, 0.0, 60.0]


MANY = [f"rack-{n}/power" for n in range(2000)]
TOLD = [f"cdu-{n}/effective_supply_temperature_setpoint" for n in range(2000)]


def _left(gone, times_s):
    """What is left of many sensors and many setpoints in force, at each time."""
    seen = _Seen()
    blind = robust.Blind(seen, gone)
    for at_s in times_s:
        blind.decide(_snapshot(dict.fromkeys((*MANY, *TOLD), 1.0)), at_s)
    return [set(s.readings) for s, _ in seen.snapshots]


def test_three_tenths_of_the_sensors_are_drawn():
    """The same ones all the time, others with another seed; setpoints in force stay unless they are drawn from, too."""
    first, later = _left(robust.sensors_gone(1), (0.0, 1e6))
    (other,) = _left(robust.sensors_gone(2), (0.0,))
    assert first == later != other
    assert first >= set(TOLD)
    assert len(first & set(MANY)) == pytest.approx(1400, abs=70)
    (both,) = _left(robust.points_gone(1), (0.0,))
    assert len(both & set(TOLD)) == pytest.approx(1400, abs=70)


def test_sensors_that_come_and_go_are_missing_three_tenths_of_the_time():
    """Each of them, in gaps of minutes to hours; at each moment three tenths of all."""
    times_s = [300.0 * i for i in range(2000)]
    gone = robust.come_and_go(1)
    at_once = [sum(gone(p, t) for p in MANY) / len(MANY) for t in (0.0, 5e4)]
    assert at_once == pytest.approx([0.3, 0.3], abs=0.04)
    for point in MANY[:20]:
        missing = [gone(point, t) for t in times_s]
        assert sum(missing) / len(missing) == pytest.approx(0.3, abs=0.03)
        assert sum(a != b for a, b in pairwise(missing)) > 10
    assert not any(gone(point, t) for point in TOLD[:20] for t in times_s)


@pytest.mark.parametrize(("minute", "period_s"), [(0, 1.0), (10, 2.0), (20, 5.0), (30, 10.0)])
def test_square_waves_have_their_periods(minute, period_s):
    """Half of each period at full load, half at rest, at steps that resolve it."""
    start_s = 2400.0 * 1000 + 60.0 * minute
    count = round(60.0 / work.SQUARES_STEP_S)
    shares = [work.squares("rack-01", start_s + work.SQUARES_STEP_S * (i + 0.25)) for i in range(count)]
    assert sum(share == work.SQUARES_HIGH for share in shares) == pytest.approx(count / 2, abs=6)
    assert sum(a != b for a, b in pairwise(shares)) == pytest.approx(120 / period_s, abs=2)
