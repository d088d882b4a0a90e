"""No text runs into another, out of its box or off the screen: in either language, at each width, whatever a point is."""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest

from plant.samples import Quality, Reason, quality_code
from tests.browser.conftest import typical

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

FAULTS = """() => {
  const said = (e) => e.textContent.trim().replace(/\\s+/g, ' ');
  const found = [];
  for (const picture of document.querySelectorAll('main svg[role]')) {
    const boxes = [...picture.querySelectorAll('text')].filter(said).map((e) => [e, e.getBoundingClientRect()]);
    const edge = picture.getBoundingClientRect();
    boxes.forEach(([a, p], i) => {
      if (p.left < edge.left - 2 || p.right > edge.right + 2) found.push(`off the picture: ${said(a)}`);
      for (const [b, q] of boxes.slice(i + 1)) {
        const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
        const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (wide > 1 && high > 5) found.push(`${said(a)} | ${said(b)}`);
      }
    });
  }
  for (const e of document.querySelectorAll('main *, header *')) {
    if (e.closest('svg, .hidden, .scroll, dialog') || !e.childNodes.length || e.clientWidth === 0) continue;
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (own && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
      found.push(`wider than its place: ${e.tagName} ${said(e)}`);
    if (own && e.getBoundingClientRect().right > innerWidth + 1) found.push(`off the screen: ${e.tagName} ${said(e)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`page ${document.documentElement.scrollWidth} wide`);
  return found;
}"""
WIDTHS = (1440, 1024, 390)
LOOKS = [(Quality.GOOD, Reason.NONE)] + [
    (quality, reason) for quality in (Quality.UNCERTAIN, Quality.BAD) for reason in Reason if reason is not Reason.NONE
]


async def faults(page, name: str) -> list[tuple[int, str]]:
    """What the browser finds at each width, with a picture of it where pictures are wanted."""
    found = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        await asyncio.sleep(0.4)
        if folder := os.environ.get("COLDPLATE_SCREENSHOTS"):
            await page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
        found += [(width, text) for text in await page.evaluate(FAULTS)]
    return found


async def say_every_quality(edge) -> None:
    """Points in turn good, and of each quality and reason that there is."""
    now_s, looks = edge.clock.now(), itertools.cycle(LOOKS)
    points = zip(edge.site.points.values(), looks, strict=False)
    await edge.say("live", [[p.id, typical(p), now_s, quality_code(q, r)] for p, (q, r) in points])


@pytest.mark.parametrize(
    ("site", "language"), [("demo-pod", "en"), ("demo-pod", "zh"), ("six-trains", "en")], indirect=["site"]
)
async def test_every_text_has_its_place(visit, served, silent, language):
    """With all well, with ranked racks and the form of a hold, and with points of every quality and reason."""
    name = f"{served.edge.site.id}-{language}"
    page = await visit(f"?lang={language}")
    assert await faults(page, name) == []
    await page.locator("section[aria-labelledby=hint-title] button").click()
    await page.locator("[data-hints] tbody tr").first.wait_for()
    await page.locator("details summary").first.click()
    silent |= set(served.edge.site.points)  # nothing overwrites what is said now
    await say_every_quality(served.edge)
    await page.locator("[data-look=uncertain]").first.wait_for()
    assert await faults(page, f"{name}-quality") == []
