"""Settings of an HTTP link: TLS, who we are, and how long to wait. Secrets are named here, never written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from devices.secrets_at import one_place, secret_at
from plant.errors import ConfigError

Option = str | float | bool

AUTHS = ("none", "basic", "bearer", "redfish-session")
IN_CLEAR = ("password", "token", "secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """What a link's `options` may say.

    tls: https; tls_verify: check the server's certificate; tls_ca: against this authority (PEM), not the system's;
    tls_cert, tls_key: a client certificate. auth: `none`, `basic`, `bearer` or `redfish-session`; the password or
    token stands in a file or an environment variable. timeout_s: for one whole answer [s, real]. metrics_path: of an
    exporter. etag: ask only for what changed; off by default, as a server that forgets to change its ETag would show
    an old value as live.
    """

    tls: bool = False
    tls_verify: bool = True
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    auth: str = "none"
    username: str = ""
    password_file: str = ""
    password_env: str = ""
    token_file: str = ""
    token_env: str = ""
    timeout_s: float = 5.0
    metrics_path: str = "/metrics"
    etag: bool = False

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.tls else "http"

    def password(self) -> str:
        """The password, read now, so that a changed one needs no restart.

        Raises:
            ConfigError: it can't be had.
        """
        return secret_at("password", self.password_file, self.password_env)

    def token(self) -> str:
        """The bearer token, read now.

        Raises:
            ConfigError: it can't be had.
        """
        return secret_at("token", self.token_file, self.token_env)


_TYPES = {f.name: f.type for f in fields(HttpOptions)}


def read_options(options: Mapping[str, Option]) -> HttpOptions:
    """The settings of a link.

    Raises:
        ConfigError: an unknown one, a wrong type, a secret in clear, or settings that do not go together.
    """
    known: dict[str, Option] = {}
    for name, value in options.items():
        if name in IN_CLEAR:
            remedy = f"put it into a file or a variable and name that: {_secret_names(name)}"
            raise ConfigError(f"option {name!r} would be a secret in clear", remedy=remedy)
        if name not in _TYPES:
            raise ConfigError(f"unknown option {name!r} of an http link", remedy=f"use one of {', '.join(_TYPES)}")
        known[name] = _typed(name, value)
    made = HttpOptions(**known)  # type: ignore[arg-type]  # each was checked by name
    _check(made)
    return made


def _secret_names(name: str) -> str:
    what = "password" if name == "secret" else name
    return f"{what}_file or {what}_env"


def _typed(name: str, value: Option) -> Option:
    wanted = _TYPES[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {"bool": isinstance(value, bool), "str": isinstance(value, str), "float": is_number}[str(wanted)]
    if not fits:
        word = {"bool": "true or false", "str": "a text", "float": "a number"}[str(wanted)]
        raise ConfigError(f"option {name!r} is {value!r}", remedy=f"write {word}")
    return value


def _check(options: HttpOptions) -> None:
    if options.auth not in AUTHS:
        raise ConfigError(f"unknown auth {options.auth!r}", remedy=f"use one of {', '.join(AUTHS)}")
    if options.auth in {"basic", "redfish-session"}:
        if not options.username:
            raise ConfigError(f"auth {options.auth!r} needs a username", remedy="add `username`")
        one_place("password", options.password_file, options.password_env)
    if options.auth == "bearer":
        one_place("token", options.token_file, options.token_env)
    if not options.tls and (options.tls_ca or options.tls_cert or options.tls_key):
        raise ConfigError("a certificate is named, but tls is off", remedy="add `tls: true`")
    if options.tls_key and not options.tls_cert:
        raise ConfigError("tls_key without tls_cert", remedy="add tls_cert, the client's certificate")
    if not 0 < options.timeout_s <= 60:
        raise ConfigError(f"timeout_s is {options.timeout_s:g}", remedy="write more than 0 and at most 60 seconds")
    if not options.metrics_path.startswith("/"):
        raise ConfigError(f"metrics_path {options.metrics_path!r}", remedy="let it begin with /")
