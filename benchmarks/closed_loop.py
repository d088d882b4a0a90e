"""Placement and cooling in one loop: a week of jobs on two clusters, cooling-blind against coldplate, same cooling.

Sites: the demo pod, and 2,000 racks of its design. A Slurm-like cluster has the batch jobs, a Kubernetes-like one the
services (`simulator.cluster`). Every policy meets the same jobs, keeps a job in one block where one has room, and is
cooled alike: once at design setpoints, once as coldplate's model chooses them (`benchmarks.loop_cooling`).

`ours` only places. `ours+caps`, and `first-fit+caps` beside it, also hold rows and racks to budgets by slowing jobs
that keep checkpoints, the cheapest watts first (`placement.power_caps`): ROW_BUDGET and RACK_BUDGET of the peaks that
first-fit came to, as an operator would set them after such a week. Work lost to caps is in the table, and how many jobs
lie in more blocks than they need. TAPAS (ASPLOS 2025) reports 17 % lower maximum temperature and 23 % lower peak row
power, for LLM inference in air-cooled rows, by placement, routing and configuration; from which zero the temperature is
counted is not said in what was read of it, so both are here: the hottest rack's °C, and its rise above supply in K.

The oversubscribed site has 40 % more racks on the same feeds, CDUs and pumps. Where a feed would be overloaded, a blind
site's power brake slows everything on it; ours keeps below it with caps on jobs that allow it. The table `shed` is a
cooling fault with both clusters full (`benchmarks.shed_study`); `pod_day` a day of the demo pod's twin with the real
controller in the loop, on a new plant and on a known one (`benchmarks.pod_day`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.cluster_policies import BLIND
from benchmarks.cluster_week import NODE_GPUS, Budgets, Run, StudySite
from benchmarks.pod_day import pod_rows
from benchmarks.shed_study import shed_rows
from benchmarks.study_sites import OVERSUBSCRIBED, demo_site, large_site
from benchmarks.twin_plant import example_site
from simulator.cluster_jobs import DAY_S, HOUR_S

ROW_BUDGET, RACK_BUDGET = 0.77, 0.80
"""Of first-fit's peaks."""
LOAD = 0.85
"""What batch jobs ask for, of their nodes."""
SEED = 1
WEEK_S = 7 * DAY_S
QUICK_RACKS = 200

Row = dict[str, float | str]


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[Row]]:  # noqa: ARG001 - no data from outside
    """Rows by site and policy, ours against first-fit [%]; quick: a day on the demo pod and 200 racks, no `pod_day`."""
    span_s = DAY_S if quick else WEEK_S
    large = large_site(QUICK_RACKS) if quick else large_site()
    demo, budgets = _policies(demo_site(), span_s, 120.0)
    rows = [*demo, *_policies(large, span_s, 300.0)[0]]
    rows += _oversubscribed(QUICK_RACKS if quick else 400, DAY_S if quick else 3 * DAY_S)
    figures: dict[str, float | str | list[Row]] = {}
    for site in dict.fromkeys(row["site"] for row in rows):
        figures |= _against(str(site), [row for row in rows if row["site"] == site])
    day = {} if quick else {"pod_day": pod_rows(demo_site(), example_site("demo-pod.yaml"), budgets)}
    return {**figures, "rows": rows, "shed": shed_rows(quick), **day}


def _policies(site: StudySite, span_s: float, dt_s: float) -> tuple[list[Row], Budgets]:
    """Rows, and the budgets that first-fit's peaks made."""
    blind = {policy: _done(site, policy, span_s, dt_s) for policy in BLIND}
    first = blind["first-fit"].week
    budgets = Budgets(row_w=ROW_BUDGET * first.row_w, rack_w=RACK_BUDGET * first.rack_w, guarded=True)
    done = blind | {"first-fit+caps": _done(site, "first-fit", span_s, dt_s, budgets)}
    done |= {"ours": _done(site, "ours", span_s, dt_s), "ours+caps": _done(site, "ours", span_s, dt_s, budgets)}
    return [_row(site, policy, run) for policy, run in done.items()], budgets


def _oversubscribed(racks: int, span_s: float) -> list[Row]:
    site = large_site(racks, OVERSUBSCRIBED)
    brake = Budgets(row_w=site.feed_w)
    guard = Budgets(row_w=0.99 * site.feed_w, guarded=True)
    return [
        _row(site, "first-fit", _done(site, "first-fit", span_s, 300.0, brake)),
        _row(site, "ours+caps", _done(site, "ours", span_s, 300.0, guard)),
    ]


def _done(site: StudySite, policy: str, span_s: float, dt_s: float, budgets: Budgets | None = None) -> Run:
    run = Run(site, policy, SEED, span_s, LOAD, budgets)
    run.finish(dt_s)
    return run


def _row(site: StudySite, policy: str, run: Run) -> Row:
    """Powers in percent of nameplate, temperatures of the hottest rack."""
    week, (batch, services) = run.week, run.clusters
    rack_full_w = float(site.layout.full_w[0])
    asked_gpu_h = NODE_GPUS * float((batch.jobs.nodes * batch.jobs.work_s).sum()) / HOUR_S
    row: Row = {
        "site": site.name,
        "policy": policy,
        "peak_row_percent": 100.0 * week.row_w / (rack_full_w * int(np.bincount(site.layout.row).max())),
        "peak_rack_percent": 100.0 * week.rack_w / rack_full_w,
        "peak_site_mw": week.site_w / 1e6,
    }
    for control in week.return_c:
        row |= {
            f"{control}_return_c": week.return_c[control],
            f"{control}_rise_k": week.rise_k[control],
            f"{control}_case_c": week.case_c[control],
            f"{control}_cooling_mwh": week.cooling_j[control] / 3.6e9,
            f"{control}_over_limit_rack_min": week.over_limit_s[control] / 60.0,
        }
    return row | {
        "over_feed_min": week.over_feed_s / 60.0,
        "slowed_gpu_h": NODE_GPUS * batch.tally.capped_node_s / HOUR_S,
        "slowed_service_gpu_h": NODE_GPUS * services.tally.capped_node_s / HOUR_S,
        "lost_gpu_h": NODE_GPUS * (batch.tally.lost_node_s + services.tally.lost_node_s) / HOUR_S,
        "lost_percent": 100.0 * NODE_GPUS * batch.tally.lost_node_s / HOUR_S / asked_gpu_h,
        "torn_percent": 100.0 * float(np.mean(run.torn)),
        "wait_min": float(np.mean(batch.tally.wait_s)) / 60.0,
        "makespan_h": batch.tally.last_end_s / HOUR_S,
        "jobs": float(len(batch.jobs)),
    }


def _against(site: str, rows: list[Row]) -> Row:
    """Ours with caps over first-fit, less one [%]; ours alone for the row's peak."""
    by_policy = {str(row["policy"]): row for row in rows}
    first, caps = by_policy["first-fit"], by_policy["ours+caps"]
    names = {
        "peak_row_percent": "peak_row",
        "design_rise_k": "rise",
        "design_return_c": "return_c",
        "design_case_c": "case_c",
        "coldplate_rise_k": "rise_coldplate",
        "coldplate_return_c": "return_c_coldplate",
        "coldplate_case_c": "case_c_coldplate",
        "coldplate_cooling_mwh": "cooling_coldplate",
        "makespan_h": "makespan",
    }
    key = site.replace(" ", "_").replace(",", "").replace("%", "percent")
    found: Row = {f"{key}_{short}_change_pct": _change(caps[name], first[name]) for name, short in names.items()}
    if "ours" in by_policy:
        found[f"{key}_peak_row_placed_only_change_pct"] = _change(
            by_policy["ours"]["peak_row_percent"], first["peak_row_percent"]
        )
    return found


def _change(ours: float | str, other: float | str) -> float:
    return 100.0 * (float(ours) / float(other) - 1.0)
