"""The Unix socket that both ends of the bus are on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_LINE = 1 << 25
_LONGEST_SOCKET_NAME = 100


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name of the socket that fits the kernel's 107 bytes, however deep the folder lies."""
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_NAME:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def drop(writer: asyncio.StreamWriter) -> None:
    """End a connection now, whatever is still to be sent."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await asyncio.shield(writer.wait_closed())  # the close future is shared: a cancelled task must not cancel it
