"""The placement panel: budgets, headroom, schedulers' adapters and what became of hints."""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.request
from dataclasses import replace

import pytest
from axe_playwright_python.async_playwright import Axe

from plant.budgets import Budget, BudgetSource
from plant.outcomes import HintOutcome, Outcomes, with_outcome
from plant.records import Headroom

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


async def report(served, name: str, room: str = "schedulers", **body: object) -> None:
    """Tell the page's server what an adapter did, as the adapter does."""
    if room in ("schedulers", "shed"):
        body["sent_at"] = time.time()
    request = urllib.request.Request(
        f"{served.address}/v1/{room}/{name}",
        method="PUT",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer a-token-for-tests", "Content-Type": "application/json"},
    )
    await asyncio.to_thread(urllib.request.urlopen, request)


async def assert_accessible(page) -> None:
    """Axe finds nothing."""
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


async def test_nothing_to_show_is_said_in_words(visit, served):
    """No budget, no adapter, no outcome, no headroom: a sentence each."""
    await served.edge.say("headroom", [])
    page = await visit("?lang=en")
    panel = page.locator("[data-placement]")
    for words in (
        "No power budget is in force",
        "No adapter has reported",
        "No headroom has been computed yet",
        "No scheduler has told yet",
    ):
        await panel.get_by_text(words).wait_for()


async def test_a_budget_is_set_and_ended_on_the_page(visit, served):
    """The form's kilowatts and minutes reach the edge; the row tells what runs beyond; its button ends it."""
    page = await visit("?lang=en#token=a-token-for-tests")
    await page.get_by_role("combobox", name="For", exact=True).select_option("rack-01")
    await page.get_by_label("IT power allowed, kW").fill("100")
    await page.get_by_label("For how many minutes").fill("30")
    await page.get_by_label("Why this budget").fill("breaker work")
    await page.get_by_role("button", name="Set the budget").click()
    row = page.locator("[data-budgets] tbody tr")
    await row.wait_for()
    said = await row.inner_text()
    for words in ("rack-01", "100.0 kW", "118.3 kW", "▲ 18.3 kW", "breaker work", "operator"):
        assert words in said
    (kept,) = served.edge.budgets
    assert (kept.scope, kept.power_w, kept.reason) == ("rack-01", 100e3, "breaker work")
    assert kept.until_s - kept.at_s == pytest.approx(1800, abs=60)
    await page.get_by_role("button", name="End the budget of rack-01").click()
    await page.locator("[data-no-budget]").wait_for()
    assert served.edge.budgets == []


async def test_without_the_token_no_budget_is_set(visit, served):
    """The form says what is missing, and the edge hears nothing."""
    page = await visit("?lang=zh")
    await page.get_by_label("允许的 IT 功率，kW").fill("100")
    await page.get_by_label("设此预算的原因").fill("检修断路器")
    await page.get_by_role("button", name="设置预算").click()
    await page.locator("[data-placement]").get_by_text("未执行：请先输入命令令牌").wait_for()
    assert served.edge.budgets == []


async def fill(served) -> None:
    """Budgets of all sources, adapters that are well and not, headroom with limits, outcomes."""
    now_s = served.edge.clock.now()
    given = {"actor": "mei", "reason": "breaker work", "at_s": now_s, "until_s": now_s + 3600}
    rows = [("site", 1.2e6, "grid"), ("cdu-1", 90e3, "controller"), ("rack-01", 100e3, "operator")]
    await served.edge.say("budgets", [Budget(scope=s, power_w=w, source=BudgetSource(o), **given) for s, w, o in rows])
    room = Headroom(
        rack="rack-01", at_s=now_s, power_w=9e3, cooling_w=8e3, marginal_w_per_w=0.06, known=True, limiting="n+1",
        ahead_w=5e3, ahead_limiting="case_temperature", horizon_s=3600.0,
    )  # fmt: skip
    lost = replace(room, rack="rack-02", known=False, reason="its flow is stale")
    await served.edge.say("headroom", [room, lost])
    told = HintOutcome(
        hint="h1", actor="slurm", at_s=now_s, used_s=now_s, followed=True, nodes=4, hinted=3, it_j=3.6e8, cost=12.5
    )
    await served.edge.say("outcomes", with_outcome(with_outcome(Outcomes(), told), replace(told, followed=False)))
    await report(
        served,
        "hpc",
        kind="slurm",
        dry_run=False,
        last_success=time.time(),
        nodes=8,
        repaired=3,
        scheduler_skew_s=-0.03,
    )
    served.service.given.late = 3
    await report(
        served, "k8s-a", kind="kubernetes", last_error="no answer", only_here=["n1"], only_there=["x1", "x2"],
        foreign=["n7"],
        scheduler_skew_s=-90,
    )  # fmt: skip


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
async def test_the_filled_panel_is_accessible(visit, served, tmp_path, language, theme):
    """Axe finds nothing in either language, wide and narrow; nothing but the tables is wider than the screen."""
    await fill(served)
    page = await visit(f"?lang={language}&theme={theme}")
    panel = page.locator("[data-placement]")
    for table in ("budgets", "schedulers", "rooms", "outcomes"):
        await panel.locator(f"[data-{table}]").wait_for()
    assert "-0.0" not in await panel.locator("[data-schedulers]").inner_text(), "what rounds to nothing has no sign"
    table = await panel.locator("[data-schedulers]").inner_text()
    assert all(word in table for word in ("n1", "x1", "n7", "no answer")), table
    assert await panel.locator("[data-late]").inner_text() == "3"
    folder = os.environ.get("COLDPLATE_SCREENSHOTS", str(tmp_path))
    await panel.screenshot(path=f"{folder}/placement-{language}-{theme}.png")
    await assert_accessible(page)
    await page.set_viewport_size({"width": 390, "height": 844})
    await panel.screenshot(path=f"{folder}/placement-{language}-{theme}-phone.png")
    await assert_accessible(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_nodes_that_are_lent_are_shown(visit, served):
    """Those under way before those that are over, with what hinders them; accessible in both languages."""
    loan = {"lender": "train", "borrower": "serve", "owner": "mei", "due_s": 1.9e9}
    loans = [
        loan | {"id": "1", "node": "gpu001", "state": "returned", "since_s": 1.8e9},
        loan | {"id": "2", "node": "gpu002", "state": "draining", "since_s": 1.7e9, "problem": "a job runs there"},
    ]
    await report(served, "pools", room="loans", moves=True, loans=loans)
    page = await visit("?lang=en")
    rows = page.locator("[data-loans] tbody tr")
    await rows.first.wait_for()
    said = [await row.inner_text() for row in await rows.all()]
    for words in ("gpu002", "train → serve", "draining", "mei", "a job runs there"):
        assert words in said[0]
    assert "returned" in said[1]
    assert "pools: moves nodes" in await page.locator("[data-lender=ok]").inner_text()
    page = await visit("?lang=zh")
    await page.locator("[data-loans]").get_by_text("排空中").wait_for()
    await assert_accessible(page)


async def test_load_that_was_taken_off_is_shown(visit, served):
    """What is held back, and each deed, the newest first, with what it met; accessible in both languages."""
    deed = {"job": "4711", "what": "cap", "place": "gpu001-bmc:443/redfish", "watts": 745.0}
    deeds = [
        deed | {"at_s": 1.8e9},
        {"at_s": 1.8e9 + 9, "job": "4712", "what": "requeue", "error": "may not be stopped"},
    ]
    held = [{"job": "4711", "share": 0.7, "full_w": {"tcs-1": 3e5}}]
    more = {"held": held, "relief_w": {"tcs-1": 9e4}, "deeds": deeds, "last_error": "requeue 4712: may not be stopped"}
    await report(served, "hall-a", room="shed", acts=True, owner="host-a-1f2e", limits=8, period_s=60, **more)
    page = await visit("?lang=en")
    await page.locator("[data-deeds] tbody tr").first.wait_for()
    said = [await row.inner_text() for row in await page.locator("[data-deeds] tbody tr").all()]
    for words in ("requeued", "4712", "▲ may not be stopped"):
        assert words in said[0]
    for words in ("power limit set", "4711", "745 W", "gpu001-bmc", "done"):
        assert words in said[1]
    process = await page.locator("[data-shedder=failing]").inner_text()
    assert "hall-a: failing" in process
    assert "host-a-1f2e · holds 90.0 kW of 1 jobs back, 0 of them requeued; 8 power limits" in process.replace(
        "\n", " "
    )
    page = await visit("?lang=zh")
    await page.locator("[data-deeds]").get_by_text("设置功率限值").wait_for()
    await assert_accessible(page)


async def test_what_limits_and_what_is_not_known_is_said(visit, served):
    """Headroom now and ahead with its limits and score, both sides' unknown nodes, the share of hints followed."""
    await fill(served)
    page = await visit("?lang=en")
    tight = page.locator("[data-rooms] tbody tr", has_text="rack-01")
    await tight.get_by_text("reserve (N+1) → case temperature").wait_for()
    assert "8.0 kW" in await tight.inner_text()
    assert "5.0 kW" in await tight.inner_text()
    assert (await tight.locator("td").last.inner_text()).isdigit()
    assert "not known: its flow is stale" in await page.locator("[data-rooms]").inner_text()
    failing = await page.locator("[data-scheduler=failing]").inner_text()
    for words in ("k8s-a", "never", "1 to the scheduler, e.g. n1", "2 to the site file, e.g. x1", "-90", "no answer"):
        assert words in failing
    assert "1 of 2 (50 %)" in await page.locator("[data-outcomes]").inner_text()
    budget = page.locator("[data-budgets] tbody tr", has_text="controller")
    assert "ends by itself" in await budget.inner_text()
    assert await budget.locator("button").count() == 0


async def test_a_silent_adapter_is_shown_as_silent(visit, served):
    """Three periods without a report: the page says silent, by sign and word, without a reload."""
    await report(served, "hpc", kind="slurm", dry_run=False, period_s=10, nodes=8)
    page = await visit("?lang=en")
    await page.locator("[data-scheduler=ok]").wait_for()
    served.service.schedulers.real_s = lambda: time.monotonic() + 31.0
    row = page.locator("[data-scheduler=silent]")
    await row.get_by_text("▲ silent").wait_for(timeout=60_000)
    assert "hpc (slurm)" in await row.inner_text()
