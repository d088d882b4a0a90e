"""Which devices a site may drive now, and how far: the signed record against the site as it is today."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from devices.profiles import load_profile
from plant.records import Intent, IntentKind, Mode
from plant.topology import Site
from store.commissioning import Commissioned, identity, rung_of


def address_and_identity(site: Site, equipment: str) -> tuple[str, str]:
    """Where a driven device answers, and what a record about it must be about. A changed profile is another device."""
    for source in site.equipment[equipment].sources:
        profile = load_profile(source.profile)
        if profile.fallback.kind != "none":
            link = site.links[source.link]
            address = f"{link.host}:{link.port}"
            digest = hashlib.sha256(profile.model_dump_json().encode()).hexdigest()
            return address, identity(equipment, address, source.unit, digest)
    return "", ""


def highest_modes(site: Site, commissioned: Commissioned) -> dict[str, Mode]:
    """Equipment to its highest mode, of all that may be driven at all."""
    found = {}
    for drive in site.drives.values():
        address, about = address_and_identity(site, drive.equipment)
        mode = commissioned.highest(about, address)
        if drive.kind != "none" and rung_of(mode) > 0:
            found[drive.equipment] = mode
    return found


def highest_of_loop(site: Site, loop: str, highest: Mapping[str, Mode]) -> Mode:
    """The lowest of its commanded devices' highest modes."""
    devices = {point.rpartition("/")[0] for point in site.groups[loop].commands.values()}
    return min((highest.get(d, Mode.ADVISORY) for d in devices), key=rung_of, default=Mode.ADVISORY)


def too_high(site: Site, intent: Intent, highest: Mapping[str, Mode]) -> str:
    """Why a wish goes beyond what was commissioned; empty if it does not."""
    wanted = Mode.HOLD if intent.kind is IntentKind.HOLD else intent.mode
    if intent.kind not in {IntentKind.SET_MODE, IntentKind.HOLD} or wanted is None or intent.loop not in site.groups:
        return ""
    most = highest_of_loop(site, intent.loop, highest)
    if rung_of(wanted) <= rung_of(most) or rung_of(most) == 0:
        return ""
    return (
        f"{intent.loop} can't be set to {wanted}: its record allows {most} at most; after a time without faults "
        f"raise it with coldplate commission SITE --raise {intent.loop}"
    )
