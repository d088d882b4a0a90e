"""JWS in its compact form (RFC 7515), ES256 and RS256, checked by PyJWT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plant.errors import ConfigError

ALGORITHMS = ("ES256", "RS256")


def signed_payload(text: str, keys: Mapping[str, Path]) -> bytes:
    """What was signed. keys: PEM files of public keys by `kid`; one for every signature without a `kid` is called "".

    Raises:
        ConfigError: it is no JWS, its key is not known or unreadable, the signature is wrong, or the extra is missing.
    """
    try:
        import jwt  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("no PyJWT", remedy="pip install 'coldplate[grid]'") from None
    try:
        header = jwt.get_unverified_header(text)
    except jwt.InvalidTokenError as error:
        raise ConfigError(f"is no JWS: {error}") from error
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"is signed with {algorithm!r}", remedy=f"sign with {' or '.join(ALGORITHMS)}")
    if kid not in keys:
        raise ConfigError(f"is signed with key {kid!r}, which is not known", remedy="name its public key with --key")
    try:
        payload: bytes = jwt.PyJWS().decode(text, _pem(keys[kid]), algorithms=ALGORITHMS)
    except jwt.InvalidSignatureError as error:
        remedy = "compare the public key with the sender's"
        raise ConfigError(f"its signature is not one of key {kid!r}", remedy=remedy) from error
    except (jwt.InvalidKeyError, ValueError, TypeError) as error:
        remedy = f"give a PEM file of a key for {algorithm}"
        raise ConfigError(f"is no such key: {error}", where=str(keys[kid]), remedy=remedy) from error
    except jwt.InvalidTokenError as error:
        raise ConfigError(f"is no JWS: {error}") from error
    return payload


def _pem(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError("can't be read", where=str(file), remedy="give a PEM file") from error
