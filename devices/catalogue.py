"""The shipped profiles as a document for people: docs/devices.md is what `catalogue_text` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from devices.profiles import Profile, ProfilePoint, load_profile, shipped_names

_HEAD = """# Devices

Made from the profiles in `devices/models/` by `coldplate devices`; a test holds it against them. How to add one:
[operating.md](operating.md#an-unknown-device).

A profile with the fallback `none` is advisory only: coldplate reads the device and never drives it, because nothing
takes its setpoints back when coldplate is gone. Addresses are protocol addresses and count from 0.
"""
_PROTOCOL = {"modbus-tcp": "Modbus", "mqtt": "MQTT", "http": "HTTP"}


def catalogue_text() -> str:
    """The whole document, in Markdown."""
    profiles = [load_profile(name) for name in shipped_names()]
    parts = [_HEAD, "\n".join(_overview(profiles)), *("\n".join(_section(p)) for p in profiles)]
    return "\n".join(parts).rstrip() + "\n"


def _overview(profiles: Iterable[Profile]) -> Iterator[str]:
    yield "| profile | device | kind | protocol | fallback | points | alarm bits |"
    yield "|---|---|---|---|---|---|---|"
    for p in profiles:
        link = f"[`{p.profile}`](#{p.profile})"
        yield _row(link, p.title, p.kind, _protocol(p), p.fallback.kind, len(p.points), _alarm_count(p) or "")
    yield ""


def _section(profile: Profile) -> Iterator[str]:
    yield f"## {profile.profile}"
    yield ""
    yield f"{profile.title}. Kind `{profile.kind}`, {_protocol(profile)}."
    yield ""
    yield f"- Source: {profile.source}"
    yield f"- Revision: {profile.revision}"
    yield f"- Fallback: {_fallback(profile)}"
    yield from (f"- {line}" for line in _wire(profile))
    if profile.note:
        yield f"- Note: {profile.note}"
    yield ""
    yield "| point | unit | where | plausible | every | |"
    yield "|---|---|---|---|---|---|"
    for point in profile.points:
        where, bounds = _where(point), _bounds(point)
        yield _row(f"`{point.name}`", _unit(point), where, bounds, f"{point.period_s:g} s", _remarks(point))
    yield ""
    yield from _alarms(profile)
    if profile.texts:
        texts = ", ".join(f"`{t.name}` ({t.table} {t.address}, {t.words} words)" for t in profile.texts)
        yield f"Texts, read by `coldplate probe`: {texts}."
        yield ""


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(c).replace('|', chr(92) + '|') for c in cells)} |"


def _protocol(profile: Profile) -> str:
    name = _PROTOCOL[profile.transport]
    return f"{name} ({profile.format})" if profile.format else name


def _fallback(profile: Profile) -> str:
    fallback = profile.fallback
    if fallback.kind == "none":
        return "none, so advisory only"
    return f"{fallback.kind}, {fallback.timeout_s:g} s after the last change of `{fallback.heartbeat}`"


def _wire(profile: Profile) -> Iterator[str]:
    if profile.sunspec_models:
        yield f"SunSpec models {', '.join(map(str, profile.sunspec_models))}; addresses count from the model's header"
    if profile.readable:
        ranges = ", ".join(f"{r.table} {r.first}–{r.last}" for r in profile.readable)
        yield f"Readable as blocks: {ranges}"
    if profile.pause_s or profile.connect_delay_s:
        yield f"Pause {profile.pause_s:g} s between requests, {profile.connect_delay_s:g} s after connecting"


def _unit(point: ProfilePoint) -> str:
    return "" if point.unit in {"1", "code"} else point.unit


def _where(point: ProfilePoint) -> str:
    if point.table:
        order = "" if point.order == "ABCD" or point.words == 1 else f" {point.order}"
        bits = "" if point.bit is None else f" bits {point.bit}–{point.bit + point.bit_width - 1}"
        return f"{point.table} {point.address} {point.type}{order}{bits}{_scale(point)}"
    if point.object:
        return "/".join((point.object, point.point, *point.area))
    return f"`{point.field or point.path}`"


def _scale(point: ProfilePoint) -> str:
    scale = f" × {point.scale:g}" if point.scale != 1.0 else ""
    fixed = f" × 2^-{point.fixed}" if point.fixed else ""
    return scale + fixed + (f" × 10^`{point.scale_from}`" if point.scale_from else "")


def _bounds(point: ProfilePoint) -> str:
    if point.min is None and point.max is None:
        return ""
    return f"{_number(point.min)} … {_number(point.max)}".strip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"


def _remarks(point: ProfilePoint) -> str:
    parts = ["writable"] if point.writable else []
    parts += [", ".join(f"{code} = {name}" for code, name in point.states.items())] if point.states else []
    parts += ["alarm bits" if point.alarms else "bits"] if point.bits else []
    return "; ".join(parts)


def _alarms(profile: Profile) -> Iterator[str]:
    flagged = [p for p in profile.points if p.bits]
    for point in flagged:
        kind = "Alarms" if point.alarms else "Bits"
        names = ", ".join(f"{bit} {name}" for bit, name in point.bits.items())
        yield f"- {kind} of `{point.name}`: {names}"
    if flagged:
        yield ""


def _alarm_count(profile: Profile) -> int:
    return sum(len(p.bits) for p in profile.points if p.alarms)
