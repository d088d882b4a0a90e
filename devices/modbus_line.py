"""One open Modbus connection: one request in flight, and a decision about everything that arrives."""

from __future__ import annotations

import asyncio
import os
import ssl
import time

from devices.modbus_frames import ExceptionAnswer, Frame, FrameError, Framing, Request

ID_STEP = 40_503
"""Transaction ids walk by this odd step: no two of the last thousand lie near one another, so a device that miscounts
by a few can't hit an id that is awaited."""
MAX_EXPIRED = 8
"""Unanswered requests that a connection may carry; beyond that it is closed."""
MAX_QUIET = 2
"""Requests in a row without a byte in return, after which a connection counts as dead: a half-open one never heals."""


class Manners:
    """What a device was seen to do with transaction ids, and how late it answered; outlives its connections.

    echoes: None until known; False for good once an answer carried an id that nobody had sent.
    """

    def __init__(self) -> None:
        self.echoes: bool | None = None
        self.late: list[tuple[int, float]] = []
        self._last_id = 0

    def next_id(self) -> int:
        """A transaction id other than the last 65,000; never 0, which careless devices answer to everything."""
        self._last_id = (self._last_id + ID_STEP) & 0xFFFF or ID_STEP
        return self._last_id

    def take_late(self) -> list[tuple[int, float]]:
        """(unit, seconds it took) of the late answers since the last call."""
        late, self.late = self.late, []
        return late


class Line(asyncio.Protocol):
    """One TCP or TLS connection. An answer is taken only if every part of it fits the request that waits for it."""

    def __init__(self, framing: Framing, manners: Manners) -> None:
        self._framing, self._manners = framing, manners
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._id = 0
        self._request: Request | None = None
        self._future: asyncio.Future[bytes] | None = None
        self._sent_at = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._expired: dict[int, tuple[int, float]] = {}
        self._quiet = 0

    @property
    def open(self) -> bool:
        """Whether requests may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: Request, patience_s: float) -> asyncio.Future[bytes]:
        """Send; the future gets the payload of the answer.

        Its exceptions: ExceptionAnswer, FrameError (also when the connection was lost), TimeoutError after patience_s.
        """
        self._id = self._manners.next_id()
        self._request, self._future = request, self._loop.create_future()
        self._sent_at = time.monotonic()
        self._deadline = self._sent_at + patience_s
        if self._transport is None:
            self._future.set_exception(FrameError("the connection is closed"))
        else:
            self._transport.write(self._framing.wrap(self._id, request))
            self._set_timer()
        return self._future

    def _set_timer(self) -> None:
        """One timer lives through many requests; it looks at the deadline of the one that is in flight then."""
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._watch)

    def _watch(self) -> None:
        self._timer = None
        if self._future is None or self._future.done():
            return
        if time.monotonic() < self._deadline:
            self._set_timer()
        else:
            self._future.set_exception(TimeoutError())

    def leave(self) -> None:
        """Nobody waits for the answer any more. It may still come, and must never pass for another.

        The connection stays only if the device echoes ids, so that the late answer can be told from the next one.
        """
        request, self._request, self._future = self._request, None, None
        self._quiet += 1
        if self._buffer or not self._manners.echoes or self._quiet >= MAX_QUIET or len(self._expired) >= MAX_EXPIRED:
            self.close()
        elif request is not None:
            self._expired[self._id] = request.unit, self._sent_at

    def close(self) -> None:
        """Hang up at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side hung up, or we did."""
        self._fail(f"the connection was lost: {exc}" if exc else "the device closed the connection")

    def data_received(self, data: bytes) -> None:
        """Bytes in any portions."""
        self._quiet = 0
        in_pieces = bool(self._buffer)
        data = self._buffer + data if in_pieces else data
        try:
            while data:
                frame, data = self._framing.take(data, self._request)
                if frame is None:
                    break
                self._deliver(frame, alone=not in_pieces and not data)
                in_pieces = False
            self._buffer = data
        except FrameError as error:
            self._fail(str(error))

    def _deliver(self, frame: Frame, *, alone: bool) -> None:
        """alone: it came in one piece, with nothing after it."""
        if frame.transaction is not None and not self._is_mine(frame.transaction):
            return
        if self._expired and not alone:
            # A device that answers two requests at once can write the late answer into the middle of this one
            raise FrameError("an answer in pieces while a late one is due")
        request, future = self._request, self._future
        if request is None or future is None or future.done():
            raise FrameError("an answer that nobody asked for")
        if frame.unit != request.unit:
            raise FrameError(f"unit {frame.unit} answers instead of unit {request.unit}")
        try:
            payload = request.check(frame.pdu)
        except ExceptionAnswer as answer:
            future.set_exception(answer)
        else:
            future.set_result(payload)
        self._request = self._future = None

    def _is_mine(self, transaction: int) -> bool:
        """Whether it answers the request in flight; a late answer to an earlier one is counted and dropped."""
        if transaction == self._id and self._request is not None:
            if self._manners.echoes is None:
                self._manners.echoes = True
            return True
        late = self._expired.pop(transaction, None)
        if late is not None:
            self._manners.late.append((late[0], time.monotonic() - late[1]))
            return False
        self._manners.echoes = False
        if transaction == 0 and not self._expired:
            # Some devices always answer id 0; alone on its connection there is only one request that it can answer
            return True
        raise FrameError(f"transaction id {transaction} was never sent")

    def _fail(self, why: str) -> None:
        self.close()
        self._buffer = b""
        if self._future is not None and not self._future.done():
            self._future.set_exception(FrameError(why))


def why_no_connection(error: OSError | ValueError) -> str:
    """Why connecting failed, and what to check."""
    if isinstance(error, ssl.SSLError):
        text = getattr(error, "verify_message", "") or (error.reason or str(error)).lower()
        return f"TLS failed, {text}, check certificates"
    number = getattr(error, "errno", None) or 0  # names that can't be found have negative ones of their own
    text = os.strerror(number) if number > 0 else getattr(error, "strerror", "") or str(error)
    return f"cannot connect, {text.lower() or 'no answer in time'}, check power, cable and the link's host and port"
