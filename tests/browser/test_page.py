"""The page in a real browser, over a real server, bus and store."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe

from plant.intents import Answer, IntentKind, Mode, ModeState
from plant.records import Headroom, RideThrough
from plant.running import SwitchbackState

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

LOOKS = [("en", "light"), ("en", "dark"), ("zh", "light"), ("zh", "dark")]


def picture_folder(tmp_path: Path) -> Path:
    """Where screenshots go: COLDPLATE_SCREENSHOTS, else the test's own folder."""
    folder = Path(os.environ.get("COLDPLATE_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def assert_accessible(page) -> None:
    """Axe finds nothing."""
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize(("language", "theme"), LOOKS)
async def test_page_is_accessible_in_both_languages_and_themes(visit, tmp_path, language, theme):
    """Axe finds no violation, wide and narrow, and the page says which language it speaks."""
    page = await visit(f"?lang={language}&theme={theme}")
    await page.locator("[data-plan]").first.wait_for()
    await page.screenshot(path=picture_folder(tmp_path) / f"{language}-{theme}.png", full_page=True)
    await assert_accessible(page)
    await page.set_viewport_size({"width": 390, "height": 844})
    await asyncio.sleep(0.3)
    await page.screenshot(path=picture_folder(tmp_path) / f"{language}-{theme}-phone.png", full_page=True)
    await assert_accessible(page)
    assert await page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("site", ["small-lab"], indirect=True)
async def test_another_site_is_drawn_without_a_code_change(visit, served, tmp_path):
    """Every rack, CDU and sidecar of the small lab has a box with live values."""
    page = await visit()
    await page.screenshot(path=picture_folder(tmp_path) / "small-lab.png", full_page=True)
    for equipment in served.edge.site.equipment.values():
        if equipment.kind in {"rack", "cdu", "sidecar", "pump", "dry-cooler"}:
            assert await page.locator(f"[data-point^='{equipment.id}/'][data-look=good]").count() > 0, equipment.id


async def test_tiles_and_values_are_live(visit):
    """The tiles show power and a PUE labelled as instantaneous, and the loop shows temperatures with units."""
    page = await visit("?lang=en")
    tiles = await page.locator(".tiles").inner_text()
    assert "948.0 kW" in tiles
    assert "instantaneous · category 1 (UPS output)" in tiles
    supply = page.locator("[data-point='cdu-1/tcs_supply_temperature']")
    assert "33.2 °C" in await supply.text_content()
    assert "set 33.0" in await supply.text_content()


async def test_plan_says_why(visit):
    """The plan's reason stands there in the reader's language."""
    page = await visit("?lang=en")
    assert "binding: rack return temperature" in await page.locator("[data-plan] .reason").first.inner_text()
    await page.get_by_role("button", name="中文").click()
    reason = await page.locator("[data-plan] .reason").first.inner_text()
    assert "室外" in reason
    assert "binding" not in reason


async def test_language_is_remembered(visit):
    """A chosen language and theme are still there after a reload."""
    page = await visit("")
    await page.get_by_role("button", name="中文").click()
    await page.locator("header select").select_option("dark")
    await page.reload()
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"


async def test_stale_value_is_marked(visit, silent):
    """A point that falls silent is shown with its age, never as live."""
    page = await visit("?lang=en")
    silent.add("cdu-2/tcs_flow")
    stale = page.locator("[data-point='cdu-2/tcs_flow'][data-look=stale]")
    await stale.wait_for(timeout=30_000)
    assert "old" in await stale.text_content()


async def test_lost_plant_side_is_said_and_heals(visit, served):
    """When the edge dies the whole page says so and nothing looks live; when it is back, values are."""
    page = await visit("?lang=en")
    await served.edge.stop()
    await page.get_by_text("no live values come from the plant side").wait_for(timeout=20_000)
    assert await page.locator("[data-look=good]").count() == 0
    await served.edge.start()
    await page.locator("[data-look=good]").first.wait_for(timeout=20_000)


async def test_all_to_default_posts_the_intent(visit, served):
    """Two clicks with the token of the address let go of everything, and the page shows what it became."""
    page = await visit("?lang=en#token=a-token-for-tests")
    assert "token" not in page.url
    await page.get_by_label("Reason").fill("leak suspected")
    await page.locator("[data-default]").first.click()
    await assert_accessible(page)
    await page.locator("dialog[open] [data-default-yes]").click()
    await page.locator("dialog[open]").get_by_text("Accepted: all loops are off").wait_for()
    await page.locator("header .modes").get_by_text("off", exact=False).first.wait_for()
    assert [(i.kind, i.reason) for i in served.edge.heard] == [(IntentKind.ALL_TO_DEFAULT, "leak suspected")]


async def test_the_page_works_where_storage_is_forbidden(visit, served):
    """A browser that keeps nothing of sites (or a frame of another): the token of the address counts for this page."""
    no = "{ get() { throw new DOMException('no', 'SecurityError'); } }"
    forbidden = f"for (const n of ['sessionStorage', 'localStorage']) Object.defineProperty(window, n, {no});"
    page = await visit("?lang=en#token=a-token-for-tests", before=forbidden)
    await page.get_by_label("Reason").fill("leak suspected")
    await page.locator("[data-default]").first.click()
    await page.locator("dialog[open] [data-default-yes]").click()
    await page.locator("dialog[open]").get_by_text("Accepted: all loops are off").wait_for()
    assert [i.kind for i in served.edge.heard] == [IntentKind.ALL_TO_DEFAULT]


async def test_hold_sends_si_values(visit, served):
    """A hold typed in kPa and minutes arrives in Pa and seconds."""
    page = await visit("?lang=en#token=a-token-for-tests")
    await page.get_by_label("Reason").fill("test of a rack")
    await page.get_by_text("Hold by hand").first.click()
    await page.get_by_label("Differential pressure, kPa").first.fill("95")
    await page.get_by_role("button", name="Hold these values").first.click()
    await page.locator("[data-outcome]").get_by_text("Accepted").wait_for()
    (intent,) = served.edge.heard
    assert intent.kind is IntentKind.HOLD
    assert intent.values["cdu-1/differential_pressure_setpoint"] == pytest.approx(95_000)
    assert intent.expires_s - intent.at_s == pytest.approx(3600, abs=60)


async def test_a_loop_that_was_let_go_is_acknowledged(visit, served):
    """The page names the cause in both languages, and one click with a reason asks to be driven again."""
    now_s, loop = served.edge.clock.now(), next(iter(served.edge.site.groups))
    auto = ModeState(loop=loop, mode=Mode.AUTO, since_s=now_s, actor="mei", reason="may")
    await served.edge.say("modes", [replace(auto, let_go="not_reacting", let_go_s=now_s - 60)])
    page = await visit("?lang=zh#token=a-token-for-tests")
    await page.locator("[data-let-go]").get_by_text("设备不跟随设定值").wait_for()
    assert "不写入" in await page.locator("header .modes").inner_text()
    await assert_accessible(page)
    await page.get_by_role("button", name="English").click()
    await page.locator("[data-let-go]").get_by_text("the plant does not follow").wait_for()
    await page.get_by_label("Reason").fill("strainer cleaned")
    await page.get_by_role("button", name="Acknowledge").click()
    await page.locator("[data-outcome]").get_by_text("Accepted").wait_for()
    (intent,) = served.edge.heard
    assert (intent.kind, intent.loop, intent.reason) == (IntentKind.ACKNOWLEDGE, loop, "strainer cleaned")


async def test_the_switchback_says_whose_turn_it_is(visit, served):
    """Which block runs, until when, what is not as planned; in both languages, accessible; nothing without a plan."""
    page = await visit("?lang=en")
    assert await page.locator("[data-switchback]").count() == 0
    turn = SwitchbackState(
        digest="ab" * 32, arm="rule", block=3, blocks=56, until_s=served.edge.clock.now() + 3600, washing_out=True,
        paused="tcs-1 in mode hold by mei", valid=2, invalid=1,
    )  # fmt: skip
    await served.edge.say("switchback", turn)
    panel = page.locator("[data-switchback=rule]")
    await panel.get_by_text("The rule of the site drives").wait_for()
    said = await panel.inner_text()
    assert "in block 3 of 56, until" in said
    assert "Its begin does not count." in said
    assert "Not as planned now: tcs-1 in mode hold by mei" in said
    assert "2 blocks count so far, 1 do not" in said
    await assert_accessible(page)
    await page.get_by_role("button", name="中文").click()
    await panel.get_by_text("站点自己的规则在控制").wait_for()
    await assert_accessible(page)
    over = replace(turn, arm="", block=0, until_s=served.edge.clock.now() - 60, paused="")
    await served.edge.say("switchback", over)
    await page.get_by_text("所有段均已结束").wait_for()


async def test_refusal_is_said_in_words(visit, served):
    """What the edge refuses, and a missing token, are sentences on the page."""
    visit.allowed = "409 (Conflict)"  # the browser notes every answer that is not a success
    page = await visit("?lang=en")
    await page.get_by_role("button", name="Set mode").first.click()
    await page.get_by_text("Not done: enter the command token first").wait_for()
    served.edge.answer = Answer(accepted=False, text="tcs-1 was not commissioned")
    await page.get_by_role("textbox", name="Command token").fill("a-token-for-tests")
    await page.get_by_label("Reason").fill("try")
    await page.get_by_role("button", name="Set mode").first.click()
    await page.get_by_text("tcs-1 was not commissioned").wait_for()


async def test_hints_rank_racks(visit):
    """A job's power gives ranked racks with reasons."""
    page = await visit("?lang=en")
    await page.get_by_label("Job power, kW").fill("30")
    await page.get_by_role("button", name="Rank the racks").click()
    await page.locator("[data-hints] tbody tr").first.wait_for()
    assert "fits" in await page.locator("[data-hints] tbody tr").first.inner_text()


async def test_keyboard_reaches_all_to_default(visit):
    """Tab alone reaches the button, Enter opens the question, Escape closes it."""
    page = await visit("?lang=en")
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.hasAttribute('data-default')"):
            break
    await page.keyboard.press("Enter")
    assert await page.locator("dialog[open]").count() == 1
    await page.keyboard.press("Escape")
    assert await page.locator("dialog[open]").count() == 0


SAID = {
    "en": [
        "refused: of another run; that is: lease of epoch 1, this process has 2; value: 33.0 °C; no.: 4",
        (
            "refused: too soon after the last change; that is: changed 185 s ago, may change again in 115 s; "
            "value: 33.0 °C; no.: 3"
        ),
        (
            "value: 95.0 kPa; asked for: 80.0 kPa; held for: 3 min; guard: one step of the way; "
            "takes the device over: yes; why: air at the rack inlets 25.0 -> 27.0 °C"
        ),
        "not confirmed by: nobody",
        "why: dew point lost; devices: 1",
    ],
    "zh": [
        "拒绝原因：来自另一次运行；数值：33.0 °C；序号：4",
        "拒绝原因：距上次改动太近；说明：185 秒前刚改过，再过 115 秒才可改动；数值：33.0 °C；序号：3",
        (
            "数值：95.0 kPa；请求值：80.0 kPa；保持：3 min；安全校验：只走一步；接管设备：是；"
            "原因：机柜进风 25.0 → 27.0 °C，是各项限值允许的最高温度；空调机组比设计值节省 — kW"
        ),
        "未确认的设备：无",
        "原因：露点信号丢失；设备数：1",
    ],
}


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_audit_is_told_in_the_readers_language_and_units(visit, language):
    """Every detail has a name, a unit where it has one, and nothing stays English on the Chinese page."""
    page = await visit(f"?lang={language}")
    await page.locator("[data-detail]").first.wait_for()
    assert await page.locator("[data-detail]").all_inner_texts() == SAID[language]
    whole = await page.locator("[aria-labelledby=audit-title]").inner_text()
    assert ("控制器" in whole, "controller" in whole) == (language == "zh", language == "en")


async def test_chart_keeps_its_past_and_asks_seldom(visit):
    """The measured hour comes from the store once a minute, not with every tick, and is told in words beside the chart."""
    asked = []
    page = await visit("?lang=en")
    page.on("request", lambda r: asked.append(r.url) if "/v1/history" in r.url or "/v1/audit" in r.url else None)
    assert "Heat now 940.7 kW" in await page.locator("[aria-labelledby=forecast-title]").inner_text()
    assert "Cold start" in await page.locator("[aria-labelledby=forecast-title]").inner_text()
    await asyncio.sleep(5)
    assert len(asked) <= 2


async def test_the_page_is_chinese_also_where_equipment_and_answers_are_named(visit, served):
    """Names of the site file's own, and what became of a command."""
    page = await visit("?lang=zh#token=a-token-for-tests")
    drawn = await page.locator("main svg[role]").first.text_content()
    assert "干冷器" in drawn
    assert "Dry coolers" not in drawn
    await page.get_by_role("button", name="设置模式").first.click()
    await page.get_by_text("未执行：请填写理由").wait_for()
    assert served.edge.heard == []
    served.edge.answer = Answer(
        accepted=True, text="tcs-1 is in mode limited; not now: write_silent: cdu-1/x: no answer within 3 s"
    )
    await page.get_by_label("理由").first.fill("试运行")
    await page.get_by_role("button", name="设置模式").first.click()
    said = page.get_by_text("已接受：tcs-1 处于受限模式；暂未写入：设备没有应答")
    await said.wait_for()
    assert "3 秒内没有应答" in await said.inner_text()


async def test_rooms_and_hints_that_are_too_old_do_not_look_like_now(visit, served):
    """The server counts them as none: what stands there says how old it is."""
    page = await visit("?lang=en")
    await page.get_by_label("Job power, kW").fill("30")
    await page.get_by_role("button", name="Rank the racks").click()
    await page.locator("[data-hint-over=false]").wait_for()
    assert "kW" in await page.locator("[data-rooms] tbody tr").first.inner_text()
    edge = served.edge
    old_s = edge.clock.now() - 600
    left = RideThrough(cdu="cdu-1", loop="tcs-1", at_s=old_s, seconds=74.0, known=True, reason="")
    rack = Headroom(rack="rack-01", at_s=old_s, power_w=9e3, cooling_w=8e3, marginal_w_per_w=0.06, known=True)
    await edge.say("headroom", [rack])
    await edge.say("ride_through", [left])
    row = page.locator("[data-rooms] tbody tr")
    await row.get_by_text("not known: 10 min old").wait_for()
    assert "kW" not in await row.inner_text()
    assert await page.locator("[data-ride-through=cdu-1].old").inner_text() == "10 min old"
    edge.clock = replace(edge.clock, speed=2.0, origin_epoch_s=edge.clock.now() + 1000)
    await edge.say("clock", edge.clock.spec())
    await page.locator("[data-hint-over=true]").get_by_text("over: ask again").wait_for()
