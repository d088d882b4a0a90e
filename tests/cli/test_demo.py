"""What `coldplate demo` says to whoever has just started it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli import demo
from cli.demo import DemoOptions, too_busy


def test_a_busy_computer_is_told_to_go_slower():
    """Only where the clock is fast and others have the processors."""
    assert "load 24 on 2 cores" in too_busy(20.0, 24.0, 2)
    assert too_busy(20.0, 1.5, 2) == ""
    assert too_busy(1.0, 24.0, 2) == ""


@pytest.mark.asyncio
async def test_the_pages_address_is_told_once_it_answers(capsys, monkeypatch):
    """Not before: a browser would be refused."""
    monkeypatch.setattr(demo, "PAGE_LOOK_REAL_S", 0.01)
    free = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = free.sockets[0].getsockname()[1]
    free.close()
    await free.wait_closed()
    known = {"host": "127.0.0.1", "port": port, "speed": 1.0, "state": None, "broker": None}
    telling = asyncio.create_task(demo._say_page(DemoOptions(site_path=Path("x"), **known), "secret"))
    await asyncio.sleep(0.2)
    assert capsys.readouterr().out == ""
    page = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    async with asyncio.timeout(20):
        await telling
    page.close()
    assert f"http://127.0.0.1:{port}/#token=secret" in capsys.readouterr().out
