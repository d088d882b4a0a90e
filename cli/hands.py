"""The hands of every drive of a site: Modbus registers, or requests to the BMS."""

from __future__ import annotations

from collections.abc import Mapping

from actuator.checkout import Instrument
from collector.mqtt_options import link_options
from devices import dsx_integration
from devices.dsx import INTEGRATION
from devices.dsx_device import DsxDevice
from devices.dsx_integration import BmsIntegration
from devices.links import ModbusDevice
from devices.modbus import ModbusEndpoint
from devices.mqtt import Subscriber
from devices.profiles import load_profile
from plant.clock import Clock
from plant.points import PointId
from plant.ports import FrameCheck, any_frame
from plant.topology import Drive, Link, Site, Source


def source_of(site: Site, drive: Drive) -> Source:
    """The source that a drive's commands go over."""
    sources = site.equipment[drive.equipment].sources
    return next(s for s in sources if s.link == drive.link and load_profile(s.profile).fallback.kind != "none")


def bms_integrations(site: Site, clock: Clock) -> dict[str, BmsIntegration]:
    """One for every MQTT link that a drive goes over; to be run by the caller."""
    links = {drive.link for drive in site.drives.values()} & site.links.keys()
    return {name: _integration(site, site.links[name], clock) for name in links if site.links[name].transport == "mqtt"}


def _integration(site: Site, link: Link, clock: Clock) -> BmsIntegration:
    """Its session is its own and is kept nowhere: a broker must not hold requests back for later."""
    options, name = link_options(site, link), str(link.options.get("integration", INTEGRATION))
    subscriber = Subscriber(
        link.host,
        link.port,
        f"{options.client_id}-requests",
        dsx_integration.topics(name),
        protocol=options.protocol,
        username=options.username,
        password=options.secret(),
        tls=options.tls,
        keep_session=False,
    )
    return BmsIntegration(name, subscriber, clock)


def modbus_devices(site: Site, endpoints: Mapping[str, ModbusEndpoint]) -> dict[str, ModbusDevice]:
    """Every equipment that has a Modbus source."""
    return {
        equipment.id: ModbusDevice(endpoints[source.link], equipment.id, load_profile(source.profile), source.unit)
        for equipment in site.equipment.values()
        for source in equipment.sources
        if source.link in endpoints
    }


def hands(
    site: Site, endpoints: Mapping[str, ModbusEndpoint], integrations: Mapping[str, BmsIntegration], clock: Clock
) -> dict[str, Instrument]:
    """Drive's name to its hands."""
    registers = modbus_devices(site, endpoints)
    found: dict[str, Instrument] = {}
    for name, drive in site.drives.items():
        if drive.link in integrations:
            source = source_of(site, drive)
            profile, bms = load_profile(source.profile), integrations[drive.link]
            asking = DsxDevice(bms, drive.equipment, profile, source.object, clock)
            found[name] = _Beside(asking, registers.get(drive.equipment))
        elif drive.equipment in registers:
            found[name] = registers[drive.equipment]
    return found


class _Beside:
    """Requests over the BMS, with a look at the device's own registers where the BMS does not show a point."""

    def __init__(self, asking: DsxDevice, registers: ModbusDevice | None) -> None:
        self._asking, self._registers = asking, registers
        self._shown = {f"{asking.equipment}/{point.name}" for point in asking.profile.points}

    async def write(self, point: PointId, value: float, check: FrameCheck = any_frame) -> float:
        """See `DsxDevice.write`."""
        return await self._asking.write(point, value, check)

    async def read_back(self, point: PointId) -> float:
        """See `DsxDevice.read_back`."""
        return await self._asking.read_back(point)

    async def look(self, point: PointId) -> float:
        """Any numeric point now [SI]. Raises: RefusedError, SilentError."""
        if point in self._shown or self._registers is None:
            return await self._asking.look(point)
        return await self._registers.look(point)

    def fall_silent(self) -> None:
        """See `DsxDevice.fall_silent`."""
        self._asking.fall_silent()
