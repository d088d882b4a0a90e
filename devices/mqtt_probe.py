"""One knock at a broker: is it there, and does it take us? Leaves no session behind."""

from __future__ import annotations

import asyncio
import secrets
import ssl

from devices import mqtt_wire as wire
from plant.errors import PermanentError, RefusedError, SilentError

TIMEOUT_S = 5.0


async def knock(
    host: str, port: int, *, protocol: int, username: str = "", password: str = "", tls: ssl.SSLContext | None = None
) -> None:
    """CONNECT under a name of its own, wait for the answer, DISCONNECT.

    Raises:
        SilentError: nobody, or nobody in time.
        RefusedError: the broker does not take us, or is none.
    """
    hello = wire.connect(
        f"coldplate-doctor-{secrets.token_hex(4)}",
        protocol=protocol,
        keepalive_s=10,
        username=username,
        password=password,
        expiry_s=0,
        maximum=1,
    )
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                writer.write(hello)
                await _accepted(reader, protocol, where)
                writer.write(wire.DISCONNECT)
                await writer.drain()
            finally:
                writer.close()
    except TimeoutError as error:
        raise SilentError(f"{where}: no answer within {TIMEOUT_S:g} s") from error
    except ssl.SSLError as error:
        raise RefusedError(f"{where}: TLS: {error.reason}; check tls_ca and the certificates") from error
    except OSError as error:
        raise SilentError(f"{where}: {error.strerror or error}") from error
    except ValueError as error:
        raise SilentError(f"{where}: is no host name ({error})") from error


async def _accepted(reader: asyncio.StreamReader, protocol: int, where: str) -> None:
    parser = wire.Parser(protocol, 1)
    while data := await reader.read(4096):
        parser.feed(data)
        try:
            packets = parser.take(1)
        except PermanentError as error:
            raise RefusedError(f"{where}: is not an MQTT broker: {error}") from error
        if any(isinstance(packet, wire.Accepted) for packet in packets):
            return
        if packets:
            reason = packets[0].reason if isinstance(packets[0], wire.Refused) else "an unexpected packet"
            raise RefusedError(f"{where}: the broker refuses us: {reason}")
    raise SilentError(f"{where}: closed the connection; check that it is an MQTT broker and takes this user")
