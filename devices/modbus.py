"""Modbus over TCP, RTU over TCP, and Modbus/TLS: one request in flight, and never a late answer taken for a fresh one.

Why not a library: docs/decisions/008-own-modbus-client.md.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
import time
from collections.abc import Callable, Sequence

from devices.modbus_frames import (
    MAX_WORDS,
    ExceptionAnswer,
    FrameError,
    Framing,
    Request,
    RtuFraming,
    TcpFraming,
    bits_as_words,
    read_request,
    write_request,
)
from devices.modbus_line import Line, Manners, why_no_connection
from devices.profiles import Table
from plant.errors import RefusedError, SilentError

__all__ = [
    "ILLEGAL_ADDRESS",
    "ILLEGAL_FUNCTION",
    "ILLEGAL_VALUE",
    "MAX_WORDS",
    "BusyError",
    "ModbusEndpoint",
    "ModbusRefusedError",
]

MAX_BACKOFF_S = 0.5
"""Between attempts to connect: more often helps nobody, more rarely delays a device that has healed."""
FIRST_BACKOFF_S = 0.25
MOST_PATIENCE = 4.0
"""A device that answers late is waited for up to so many timeouts."""
MARGIN = 1.5
"""Patience over the last late answer's time."""
CALMING = 0.95
"""Factor by which patience returns to the timeout with every prompt answer."""

BRIEF, LEAST_BRIEF_S = 4.0, 0.05
"""A silent unit whose neighbours answer is waited for so many times the gateway's usual answer, and at least so long:
a late answer is still told by its id, and earns it patience."""

_EXTRA = {1: 2.0, 3: MOST_PATIENCE}
"""Missed answers, of eight -> timeouts to wait for the next one."""

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
_BUSY_CODES = frozenset({5, 6, 10, 11})
_MEANING = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "no answer from the unit behind the gateway",
}


class ModbusRefusedError(RefusedError):
    """The device answered with an exception code."""

    def __init__(self, where: str, code: int) -> None:
        self.code = code
        super().__init__(f"{where}: exception {code}, {_MEANING.get(code, 'unknown code')}")


class BusyError(SilentError):
    """The device, or the gateway before it, has no value now (exception 5, 6, 10 or 11): ask again later."""

    def __init__(self, where: str, code: int) -> None:
        self.code = code
        super().__init__(f"{where}: exception {code}, {_MEANING[code]}")


class ModbusEndpoint:
    """One host:port. Times are real seconds: wires do not follow a scaled clock.

    timeout_s: for connecting and for each answer [s]; a device that was seen to answer late is given more, up to
    MOST_PATIENCE times. pause_s: quiet time that the device needs between requests [s], connect_delay_s: and after
    connecting; rtu: RTU frames over TCP; tls: for Modbus/TLS, with the certificate's name where it is not the host;
    jitter: draws from [0, 1) and spreads reconnects.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float = 1.0,
        pause_s: float = 0.0,
        connect_delay_s: float = 0.0,
        rtu: bool = False,
        tls: ssl.SSLContext | None = None,
        tls_name: str = "",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.host, self.port, self.timeout_s = host, port, timeout_s
        self.pause_s, self.connect_delay_s = pause_s, connect_delay_s
        self._framing: Framing = RtuFraming() if rtu else TcpFraming()
        self._tls, self._tls_name = tls, tls_name
        self._jitter = jitter
        self._lock = asyncio.Lock()
        self._line: Line | None = None
        self._manners = Manners()
        self._patience: dict[int, float] = {}
        self._missed: dict[int, int] = {}
        self._usual: dict[int, float] = {}
        self._backoff_s = 0.0
        self._retry_at, self._why = 0.0, ""
        self._free_at = 0.0

    @property
    def name(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return self._line is not None and self._line.open

    @property
    def slow(self) -> bool:
        """Whether a device here answers later than the timeout, and is being waited for longer."""
        return bool(self._patience)

    async def read(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        """`count` raw words (or bits, as 0 and 1) of a table from `address` on.

        Raises:
            SilentError: no connection, or no valid answer in time (`BusyError`: it said so itself).
            RefusedError: the device answered with an exception code (`ModbusRefusedError`).
        """
        return list(struct.unpack(f">{count}H", await self.read_octets(unit, table, address, count)))

    async def read_octets(self, unit: int, table: Table, address: int, count: int) -> bytes:
        """The same as big-endian words in one piece, for `devices.decode`. Raises: as `read`."""
        payload = await self._ask(read_request(unit, table, address, count))
        return bits_as_words(payload, count) if table in ("coil", "discrete") else payload

    async def write(self, unit: int, address: int, words: Sequence[int]) -> None:
        """Write holding registers. One word goes as function 6, more as function 16.

        Raises:
            SilentError: no connection, or no answer in time; the write may or may not have happened.
            RefusedError: the device answered with an exception code (`ModbusRefusedError`).
        """
        await self.send(write_request(unit, address, words))

    async def send(self, request: Request) -> None:
        """Send a write that is made already, so that what was looked at is what leaves. Raises: as `write`."""
        await self._ask(request)

    async def close(self) -> None:
        """Let go of the connection."""
        self._drop()
        await asyncio.sleep(0)  # the socket is closed one turn of the loop later

    async def _ask(self, request: Request) -> bytes:
        await self._lock.acquire()
        try:
            line = self._line
            if line is None or not line.open:
                line = await self._connect(request)
            if self.pause_s or self.connect_delay_s:
                await self._rest()
            return await self._exchange(line, request)
        finally:
            self._free_at = max(self._free_at, time.monotonic() + self.pause_s)
            self._lock.release()

    async def _exchange(self, line: Line, request: Request) -> bytes:
        patience_s, sent_at = self._patience_for(request.unit), time.monotonic()
        answer = line.ask(request, patience_s)
        try:
            payload = await answer
        except ExceptionAnswer as exception:
            self._answered(request.unit, time.monotonic() - sent_at)
            raise _refusal(self._where(request), exception.code) from None
        except FrameError as error:
            raise SilentError(f"{self._where(request)}: no valid answer, {error}") from error
        except TimeoutError:
            line.leave()
            self._expired(request.unit)
            raise SilentError(f"{self._where(request)}: no valid answer within {patience_s:g} s") from None
        except asyncio.CancelledError:
            line.leave()
            if answer.done() and not answer.cancelled():
                answer.exception()  # came together with the cancellation; marks it as seen
            raise
        self._answered(request.unit, time.monotonic() - sent_at)
        return payload

    def _patience_for(self, unit: int) -> float:
        """How long to wait for this unit [s]: sometimes longer, or a slow device would never be heard.

        Not always: a dead unit behind a gateway costs its neighbours what it is waited for.
        """
        if not self._missed and not self._patience:
            return self.timeout_s
        patience, missed = self._patience.get(unit), self._missed.get(unit, 0)
        if patience is not None:
            return patience
        if missed and self._manners.echoes and self._neighbours_answer(unit):
            return min(max(BRIEF * max(self._usual.values()), LEAST_BRIEF_S), self.timeout_s)
        return self.timeout_s * _EXTRA.get(missed % 8, 1.0)

    def _neighbours_answer(self, unit: int) -> bool:
        return any(other != unit and not self._missed.get(other) for other in self._usual)

    def _answered(self, unit: int, took_s: float) -> None:
        if self._missed:
            self._missed.pop(unit, None)
        self._usual[unit] = max(took_s, CALMING * self._usual.get(unit, took_s))
        if took_s > self.timeout_s:
            self._be_patient(unit, took_s)
        elif self._patience and unit in self._patience:
            self._patience[unit] = calmed = max(self._patience[unit] * CALMING, took_s * MARGIN)
            if calmed <= self.timeout_s:
                del self._patience[unit]
        for late_unit, late_s in self._manners.take_late() if self._manners.late else ():
            self._be_patient(late_unit, late_s)

    def _be_patient(self, unit: int, took_s: float) -> None:
        self._patience[unit] = min(took_s * MARGIN, self.timeout_s * MOST_PATIENCE)

    def _expired(self, unit: int) -> None:
        self._missed[unit] = self._missed.get(unit, 0) + 1
        if self._missed[unit] > 1:
            self._patience.pop(unit, None)
        for late_unit, late_s in self._manners.take_late():
            self._be_patient(late_unit, late_s)

    async def _connect(self, request: Request) -> Line:
        self._drop()
        wait_s = self._retry_at - time.monotonic()
        if wait_s > 0:
            raise SilentError(f"{self._where(request)}: {self._why}; next attempt in {wait_s:.1f} s")
        loop = asyncio.get_running_loop()
        # Until an attempt has succeeded it counts as failed, also when it is cancelled
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), MAX_BACKOFF_S)
        try:
            async with asyncio.timeout(self.timeout_s):
                _, line = await loop.create_connection(
                    lambda: Line(self._framing, self._manners),
                    self.host,
                    self.port,
                    ssl=self._tls,
                    server_hostname=(self._tls_name or self.host) if self._tls else None,
                )
        except (OSError, ValueError) as error:  # TimeoutErrors are of the first; what is no host name, of the second
            raise self._unreachable(request, why_no_connection(error)) from error
        self._line, self._backoff_s = line, 0.0
        self._free_at = time.monotonic() + self.connect_delay_s
        return line

    def _unreachable(self, request: Request, why: str) -> SilentError:
        self._retry_at = time.monotonic() + self._backoff_s * (0.5 + 0.5 * self._jitter())
        self._why = why
        return SilentError(f"{self._where(request)}: {why}")

    async def _rest(self) -> None:
        wait_s = self._free_at - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _where(self, request: Request) -> str:
        function, address, count = struct.unpack_from(">BHH", request.pdu)
        what = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}.get(function, "write")
        return f"{self.name} unit {request.unit} {what} {address}+{1 if function == 6 else count}"


def _refusal(where: str, code: int) -> BusyError | ModbusRefusedError:
    return BusyError(where, code) if code in _BUSY_CODES else ModbusRefusedError(where, code)
