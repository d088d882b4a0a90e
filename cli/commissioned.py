"""Which devices a site may drive now, and how far: the signed record against the site as it is today."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cli.hands import source_of
from devices.dsx import INTEGRATION
from devices.profiles import load_profile
from plant.intents import Intent, IntentKind, Mode
from plant.topology import Drive, Site
from store.commissioning import Commissioned, identity, rung_of


def address_and_identity(site: Site, drive: Drive) -> tuple[str, str]:
    """Where a drive's other side answers, and what a record about it must be about.

    A changed profile is another device, and so is another object or integration on a bus.
    """
    source, link = source_of(site, drive), site.links[drive.link]
    address = f"{link.host}:{link.port}"
    said = load_profile(source.profile).model_dump_json()
    if link.transport == "mqtt":
        said += f"\n{source.object}\n{link.options.get('integration', INTEGRATION)}"
    return address, identity(drive.equipment, address, source.unit, hashlib.sha256(said.encode()).hexdigest())


def highest_modes(site: Site, commissioned: Commissioned) -> dict[str, Mode]:
    """Equipment to its highest mode, of all that may be driven at all: the lowest among the paths of each."""
    found: dict[str, Mode] = {}
    for drive in site.drives.values():
        address, about = address_and_identity(site, drive)
        mode = commissioned.highest(about, address)
        known = found.get(drive.equipment, mode)
        found[drive.equipment] = min(known, mode if drive.kind != "none" else Mode.ADVISORY, key=rung_of)
    return {equipment: mode for equipment, mode in found.items() if rung_of(mode) > 0}


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
