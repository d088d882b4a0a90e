"""The benchmark of a year's history."""

from __future__ import annotations

import math

from benchmarks import store_year


def test_a_year_of_the_demo_pod_fits_a_small_disk():
    """Packed samples take a small share of plain rows, and a year with retention a few gigabytes."""
    figures = store_year.run(quick=True, data=None)
    assert all(math.isfinite(v) for v in figures.values() if not isinstance(v, str))
    assert figures["raw_points_per_day"] > 25e6
    assert figures["bytes_per_raw_point"] < 0.2 * figures["bytes_per_plain_row"]
    assert figures["year_bytes_with_retention"] < 6e9
    assert figures["year_bytes_with_retention"] < figures["year_bytes_no_retention"] / 5
    assert figures["write_points_per_s"] > 5 * figures["raw_points_per_day"] / 86_400


def test_quantised_values_are_what_devices_can_send():
    """The walked values are exact multiples of the device's resolution where it counts in integers."""
    site = store_year.load_site(store_year._demo_pod())
    known = store_year.forms(site)
    assert set(known) == set(site.points)
    points = [site.points["cdu-1/tcs_supply_temperature"]]
    values = [v for b in store_year.Signals(points, known, 1).batches(0.1, 10.0) for v in b.value.tolist()]
    assert len(values) == 0.1 * 3600 / points[0].period_s
    assert len(set(values)) > 5
    assert all(v == round(v / 0.01) * 0.01 and 0 <= v <= 90 for v in values)
