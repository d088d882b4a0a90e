"""JWS in its compact form (RFC 7515), ES256 and RS256, checked by OpenSSL's own command: no cryptography of our own."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from plant.errors import ConfigError

ALGORITHMS = ("ES256", "RS256")
_ES256_BYTES = 64
_TIMEOUT_S = 10.0


def signed_payload(text: str, keys: Mapping[str, Path]) -> bytes:
    """What was signed. keys: PEM files of public keys by `kid`; one for every signature without a `kid` is called "".

    Raises:
        ConfigError: it is no JWS, its key is not known, the signature is wrong, or there is no openssl.
    """
    parts = text.split(".")
    if len(parts) != 3:
        raise ConfigError("is no JWS: three parts with dots between them")
    header, payload, signature = (_bytes(part) for part in parts)
    algorithm, kid = _header(header)
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"is signed with {algorithm!r}", remedy=f"sign with {' or '.join(ALGORITHMS)}")
    if kid not in keys:
        raise ConfigError(f"is signed with key {kid!r}, which is not known", remedy="name its public key with --key")
    signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    if not _verified(signed, _der(signature) if algorithm == "ES256" else signature, keys[kid]):
        raise ConfigError(f"its signature is not one of key {kid!r}", remedy="compare the public key with the sender's")
    return payload


def _header(text: bytes) -> tuple[str, str]:
    try:
        header = json.loads(text)
        return str(header["alg"]), str(header.get("kid", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError("is no JWS: its header names no algorithm") from error


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("is no JWS: a part is not base64url") from error


def _der(signature: bytes) -> bytes:
    """Two numbers of 32 bytes as OpenSSL wants them (RFC 7518, 3.4: JWS has them side by side)."""
    if len(signature) != _ES256_BYTES:
        raise ConfigError(f"its signature has {len(signature)} bytes, ES256 has {_ES256_BYTES}")
    numbers = b"".join(_integer(part) for part in (signature[:32], signature[32:]))
    return b"\x30" + bytes([len(numbers)]) + numbers


def _integer(part: bytes) -> bytes:
    body = part.lstrip(b"\0") or b"\0"
    body = b"\0" + body if body[0] & 0x80 else body
    return b"\x02" + bytes([len(body)]) + body


def _verified(signed: bytes, signature: bytes, key: Path) -> bool:
    program = shutil.which("openssl")
    if program is None:
        raise ConfigError("no program openssl", remedy="install openssl, which checks signatures")
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        argv = [program, "dgst", "-sha256", "-verify", str(key), "-signature", file.name]
        done = subprocess.run(  # noqa: S603 - a program of the host, no shell
            argv, input=signed, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    if b"unable to load key" in done.stderr.lower() or b"could not" in done.stderr.lower():
        raise ConfigError("can't be read as a public key", where=str(key), remedy="give a PEM file")
    return done.returncode == 0
