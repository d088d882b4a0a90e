"""Modbus TCP: one connection, one request in flight, and never a late answer taken for a fresh one.

The only module that knows pymodbus. A connection on which an answer failed to come is closed: some devices echo
transaction id 0, so on a kept connection the late answer would pass as the answer to the next request.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from devices.profiles import Table
from plant.errors import RefusedError, SilentError

MAX_WORDS = 125
"""Registers in one read, by the Modbus application protocol."""
MAX_BACKOFF_S = 8.0
FIRST_BACKOFF_S = 0.25

ILLEGAL_ADDRESS = 2
_RETRY_CODES = frozenset({6, 10, 11})
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

# Failures reach the operator as link states and conditions; pymodbus would log each one on its own
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusRefusedError(RefusedError):
    """The device answered with an exception code."""

    def __init__(self, where: str, code: int) -> None:
        self.code = code
        super().__init__(f"{where}: exception {code}, {_MEANING.get(code, 'unknown code')}")


class ModbusEndpoint:
    """One host:port. Times are real seconds: wires do not follow a scaled clock.

    timeout_s: for connecting and for each answer [s]; pause_s: quiet time that the device needs between requests [s];
    jitter: draws from [0, 1) and spreads reconnects.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float = 1.0,
        pause_s: float = 0.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.host, self.port, self.timeout_s, self.pause_s = host, port, timeout_s, pause_s
        self._jitter = jitter
        self._lock = asyncio.Lock()
        self._client: AsyncModbusTcpClient | None = None
        self._backoff_s = 0.0
        self._retry_at = 0.0
        self._free_at = 0.0

    @property
    def name(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return self._client is not None and self._client.connected

    async def read(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        """`count` raw words (or bits, as 0 and 1) of a table from `address` on.

        Raises:
            SilentError: no connection, or no answer in time.
            RefusedError: the device answered with an exception code (`ModbusRefusedError`).
        """
        where = f"{self.name} unit {unit} {table} {address}+{count}"
        pdu = await self._ask(where, lambda client: _reader(client, table)(address, count=count, device_id=unit))
        words = [int(bit) for bit in pdu.bits[:count]] if table in ("coil", "discrete") else list(pdu.registers)
        if len(words) != count:
            self._drop()
            raise SilentError(f"{where}: the answer holds {len(words)} values")
        return words

    async def write(self, unit: int, address: int, words: list[int]) -> None:
        """Write holding registers. One word goes as function 6, more as function 16.

        Raises:
            SilentError: no connection, or no answer in time; the write may or may not have happened.
            RefusedError: the device answered with an exception code (`ModbusRefusedError`).
        """
        where = f"{self.name} unit {unit} write {address}+{len(words)}"

        async def send(client: AsyncModbusTcpClient) -> ModbusPDU:
            if len(words) == 1:
                return await client.write_register(address, words[0], device_id=unit)
            return await client.write_registers(address, words, device_id=unit)

        await self._ask(where, send)

    async def close(self) -> None:
        """Let go of the connection."""
        self._drop()

    async def _ask(self, where: str, send: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]]) -> ModbusPDU:
        async with self._lock:
            client = await self._connection(where)
            await self._rest()
            try:
                pdu = await send(client)
            except ModbusException as error:
                self._drop()
                _cancel_after_all()
                raise SilentError(f"{where}: no valid answer within {self.timeout_s:g} s") from error
            except BaseException:
                self._drop()
                raise
            finally:
                self._free_at = time.monotonic() + self.pause_s
        _cancel_after_all()
        if pdu.isError():
            raise _refusal(where, pdu)
        return pdu

    async def _connection(self, where: str) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        wait_s = self._retry_at - time.monotonic()
        if wait_s > 0:
            raise SilentError(f"{where}: no connection, next attempt in {wait_s:.1f} s")
        client = AsyncModbusTcpClient(
            self.host, port=self.port, timeout=self.timeout_s, retries=0, reconnect_delay=0, name=self.name
        )
        self._client = client
        try:
            if await client.connect():
                self._backoff_s = 0.0
                return client
        except BaseException:
            self._drop()
            raise
        self._drop()
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), MAX_BACKOFF_S)
        self._retry_at = time.monotonic() + self._backoff_s * (0.5 + 0.5 * self._jitter())
        raise SilentError(f"{where}: cannot connect, check power, cable and the link's host and port")

    async def _rest(self) -> None:
        wait_s = self._free_at - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _reader(client: AsyncModbusTcpClient, table: Table) -> Any:
    return {
        "holding": client.read_holding_registers,
        "input": client.read_input_registers,
        "coil": client.read_coils,
        "discrete": client.read_discrete_inputs,
    }[table]


def _cancel_after_all() -> None:
    """Cancel a task whose cancellation was lost on the way, or it would never end.

    pymodbus turns a cancellation into an exception of its own, and asyncio.wait_for of Python 3.11, which it waits
    with, drops one that comes together with the answer.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _refusal(where: str, pdu: ModbusPDU) -> SilentError | ModbusRefusedError:
    code = pdu.exception_code
    if code in _RETRY_CODES:
        return SilentError(f"{where}: exception {code}, {_MEANING[code]}")
    return ModbusRefusedError(where, code)
