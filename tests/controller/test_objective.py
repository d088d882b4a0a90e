"""What plans minimise: money where the site has prices, plain energy where it has none."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from controller.billing import KNOWN_QUARTERS, QUARTER_S, Billing, billed, energy_price, prices_now, site_power_w
from controller.design import loop_design
from controller.fluids import fluid
from controller.model import it_extra_w
from controller.objective import ENERGY, Prices, cost_w
from controller.optimise import judge, search
from controller.problems import build_problem
from controller.step import initial_state, step
from controller.towers import make_up_m3_s, tower_design
from plant.topology import Equipment

PRICED = Prices(currency="EUR", energy_per_kwh=0.2)
SITE_W, WATER, RETURN_C, HEAT_W = (np.array(x) for x in ([30e3, 40e3], [4e-4, 2e-4], [44.0, 46.0], [900e3, 905e3]))


def cost(prices):
    """Of two candidates: the first costs less energy and more water, and its heat can't be sold."""
    return cost_w(prices, SITE_W, WATER, RETURN_C, HEAT_W)


@pytest.fixture
def problem(pod, pod_snapshot, now_s):
    """The demo pod's problem at noon."""
    forecasts = {h.subject: h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats}
    return build_problem(pod, pod_snapshot, pod.groups["tcs-1"], forecasts["tcs-1"], ())


@pytest.mark.parametrize("prices", [ENERGY, PRICED, replace(PRICED, demand_per_kw=9.5)])
def test_energy_alone_is_energy(prices):
    """Without prices, with a price of energy only, or while the peak is not known, a watt costs a watt."""
    assert cost(prices).tolist() == SITE_W.tolist()


def test_price_of_the_hour_moves_nothing(problem):
    """A loop stores nothing, so the same setpoints are best at any price of energy."""
    targets = {search(replace(problem, prices=replace(PRICED, energy_per_kwh=p))).target for p in (0.01, 0.2, 2.0)}
    assert targets == {search(problem).target}


def test_water_counts_as_what_it_costs():
    """A cubic metre of 4 EUR costs as much as 20 kWh at 0.20 EUR."""
    more_w = cost(replace(PRICED, water_per_m3=4.0)) - SITE_W
    assert more_w.tolist() == pytest.approx((WATER * 3600 * 20e3).tolist())


def test_heat_is_sold_only_when_warm_enough():
    """Heat pays above the buyer's temperature, up to what the buyer takes."""
    sold_w = SITE_W - cost(replace(PRICED, heat_per_kwh=0.02, heat_above_c=45.0))
    assert sold_w.tolist() == pytest.approx([0.0, 0.1 * 905e3])
    capped_w = SITE_W - cost(replace(PRICED, heat_per_kwh=0.02, heat_above_c=45.0, heat_most_w=100e3))
    assert capped_w.tolist() == pytest.approx([0.0, 10e3])


def test_sold_heat_makes_the_loop_warmer(problem):
    """Where heat sells above a temperature, it pays to bring the water back that warm."""
    plain = search(problem)
    selling = search(replace(problem, prices=replace(PRICED, heat_per_kwh=0.1, heat_above_c=48.5)))
    back_c = [_return_c(problem, choice.target) for choice in (plain, selling)]
    assert back_c[0] < 48.5 <= back_c[1]


def _return_c(problem, target):
    return float(judge(problem, np.array([target])).outcome.facility_return_c[0])


def test_demand_counts_only_above_the_months_peak():
    """A kilowatt above the peak costs its charge within a quarter of an hour, one below costs nothing more."""
    prices = replace(PRICED, demand_per_kw=10.0, peak_w=1.035e6, rest_w=1e6)
    assert cost(prices).tolist() == pytest.approx([30e3, 40e3 + 10.0 / (0.25 * 0.2) * 5e3])


def test_money_of_a_saving():
    """Five kilowatts at 0.20 EUR are one EUR an hour."""
    assert PRICED.money_per_h(5e3) == pytest.approx(1.0)


def test_month_remembers_its_highest_quarter():
    """The mean of a quarter counts, not one reading; last month's peak stands for a month that has just begun."""
    state, start_s = Billing(), 1_782_000_000.0 // QUARTER_S * QUARTER_S  # in June
    for minute in range(15 * (KNOWN_QUARTERS + 2)):
        power_w = 2e6 if minute == 17 else 1e6
        state = billed(state, power_w, start_s + 60.0 * minute, "UTC")
    assert state.expected_w == pytest.approx(1e6 + 1e6 / 15)
    july = billed(billed(state, math.nan, start_s + 1.0, "UTC"), 5e5, 1_783_000_000.0, "UTC")
    assert july.peak_w == 0.0
    assert july.expected_w == pytest.approx(state.expected_w)
    later = billed(july, 5e5, 1_790_000_000.0, "UTC")
    assert later.expected_w == math.inf


def test_unknown_peak_counts_nothing():
    """Before a day of quarters nobody knows what the month will be billed for."""
    assert billed(Billing(), 1e6, 1_782_000_000.0, "UTC").expected_w == math.inf


def test_prices_of_the_site(pod, now_s):
    """The hour's price with its carbon; `objective: energy` leaves everything but the price away."""
    site = replace(pod, carbon_price_per_kg=0.1, tariff=replace(pod.tariff, water_per_m3=4.0))
    assert energy_price(site, now_s, 15) == pytest.approx(0.22)
    money = prices_now(site, Billing(), now_s, 15, math.nan)
    assert money.energy_per_kwh == pytest.approx(0.22 + 0.1 * pod.carbon_kg_per_kwh)
    assert money.water_per_m3 == 4.0
    energy = prices_now(replace(site, objective="energy"), Billing(), now_s, 15, math.nan)
    assert asdict(energy) == pytest.approx(asdict(Prices(currency="EUR", energy_per_kwh=0.22)), nan_ok=True)


def test_price_changes_within_the_quarter(pod, now_s):
    """A quarter of an hour that crosses 20:00 costs the mean of both prices."""
    evening_s = now_s + 8 * 3600.0 - 300.0
    assert energy_price(pod, evening_s, 15) == pytest.approx((5 * 0.22 + 10 * 0.17) / 15)


def test_site_power_is_its_utility_meter(pod, pod_snapshot):
    """The demand charge goes by the meter of the utility feed; without it nothing is known."""
    assert site_power_w(pod, pod_snapshot) == pod_snapshot.value("meter-utility/active_power")
    assert math.isnan(site_power_w(replace(pod, equipment={}), pod_snapshot))


def test_tower_drinks_what_evaporates_and_what_is_blown_down():
    """A megawatt evaporates about 0.37 l/s; four cycles of concentration add a third."""
    figures = {"heat_w": 1.25e6, "flow_m3_s": 0.055, "approach_k": 3.9, "fan_power_w": 22e3}
    water = fluid("water", 0.0, 30.0)
    design = tower_design([Equipment(id="tower", kind="cooling-tower", design=figures)], water)
    litres_s = 1000 * float(make_up_m3_s(design, water, np.array([1e6]))[0])
    assert litres_s == pytest.approx(0.37 * 4 / 3, rel=0.03)


def test_server_fans_count_like_leakage(pod, problem):
    """Fans of the servers that speed up with the coolant make a hot loop dearer."""
    rack = pod.equipment["rack-01"]
    airy = {
        r: replace(rack, id=r, design={**rack.design, "server_fan_w_per_k": 400.0}) for r in pod.groups["tcs-1"].racks
    }
    design = loop_design(replace(pod, equipment={**pod.equipment, **airy}), pod.groups["tcs-1"])
    more_w = it_extra_w(design, problem.median, np.array([60.0]), np.array([58.0]))
    assert float(more_w[0]) == pytest.approx(8 * 400.0 * 2)
    warm, cool = search(problem), search(replace(problem, design=design))
    assert cool.case_c < warm.case_c


def test_search_is_warm_and_anytime(problem):
    """From the last target it finds no worse than from anywhere, and without time it still gives a feasible plan."""
    cold = search(problem)
    warm = search(replace(problem, target=cold.target, current=cold.target))
    assert warm.cooling_w + warm.it_extra_w <= cold.cooling_w + cold.it_extra_w + 1e-6
    hurried = search(problem, deadline_s=0.0)
    assert hurried.feasible
    assert bool(judge(problem, np.array([hurried.target])).feasible[0])
    assert cold.cooling_w <= hurried.cooling_w
