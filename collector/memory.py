"""Keeps the garbage collector from stopping the polls."""

from __future__ import annotations

import asyncio
import gc

SETTLED_AFTER_S = 10.0


async def settle() -> None:
    """Once everything stands, take it out of the garbage collector's view.

    Thousands of links are many objects; to walk them all takes a tenth of a second, in which nobody is read.
    """
    await asyncio.sleep(SETTLED_AFTER_S)
    collect_garbage()


def collect_garbage() -> None:
    """Once, and never again what is left now."""
    gc.collect()
    gc.freeze()
