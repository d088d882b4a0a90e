"""The collector on simulated exporters and Redfish units, over real HTTP."""

from __future__ import annotations

import math

import pytest

from collector import http_link
from collector.collector import Collector
from collector.spool import Spool
from devices.profiles import load_profile
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.samples import Quality, Reason
from plant.topology import Equipment, Link, Source
from simulator.dcgm import Exporter, SimulatedGpu
from simulator.http_server import serving
from simulator.redfish import CDUS, Connector, RedfishService, SimulatedCdu

SPEED = 60.0
"""A poll of 10 s comes each sixth of a second."""


class Rig:
    """A collector on HTTP links."""

    def __init__(self, make_site, folder, ports, equipment, *, gpus=4, speed=SPEED, **options):
        ports = ports if isinstance(ports, dict) else {"http": ports}
        links = [Link(id=n, transport="http", host="127.0.0.1", port=p, options=options) for n, p in ports.items()]
        self.site = make_site(links, equipment, gpus_per_rack=gpus)
        self.clock = ScaledClock(speed)
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.collector = Collector(
            self.site, {}, self.live, Spool(folder / "spool", 50_000_000, self.clock), self.clock
        )

    def count(self, name):
        """One counter."""
        return self.collector.counters()[name]

    def codes(self):
        """Standing conditions by code and subject."""
        return {(c.code, c.subject): c for c in self.collector.conditions()}

    def reading(self, point):
        """The newest reading, or None."""
        return self.live.select([point]).readings.get(point)

    def marked(self, point, quality, reason):
        """Whether a point has this quality and reason."""
        found = self.reading(point)
        return found is not None and found.quality is quality and bool(found.reason & reason)

    def states(self):
        """Link states."""
        return [link.state for link in self.collector.links()]


CDU = Equipment(id="cdu-1", kind="cdu", sources=(Source(profile="redfish-cdu", link="http", object="1"),))


def rack(*objects, links=("http",)):
    """A rack whose GPUs the links' exporters speak of."""
    sources = zip(objects or ("",), links, strict=False)
    return Equipment(
        id="rack-01", kind="rack", sources=tuple(Source(profile="dcgm-gpu", link=k, object=o) for o, k in sources)
    )


def gpus(*hosts, each=2):
    """GPUs of hosts, all telling different temperatures."""
    return [SimulatedGpu(h, i, temperature_c=40.0 + 10 * n + i) for n, h in enumerate(hosts) for i in range(each)]


# --- Redfish ---


async def test_every_point_of_a_cooling_unit_is_read_in_si(peers, make_site, tmp_path):
    """The whole profile is on the simulated unit, with litres per minute, kPa, percent, hours and kWh in SI."""
    primary = Connector(flow_lpm=900.0, supply_c=25.0, return_c=34.0)
    cdu = SimulatedCdu("1", primary=primary, secondary=Connector(flow_lpm=600.0), pumps_percent=[62.0, 60.0])
    async with serving(RedfishService([cdu]).app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == len(load_profile("redfish-cdu").points))
            snapshot = rig.live.snapshot()
            expected = {
                "fws_flow": 0.015, "tcs_flow": 0.01, "fws_return_temperature": 34.0, "tcs_supply_pressure": 310_000.0,
                "tcs_differential_pressure": 130_000.0, "pump_speed": 0.62, "pump_2_speed": 0.60,
                "pump_service_time": 1200 * 3600.0, "reservoir_level": 0.88, "leak_detector": 0.0, "active_power": 4200.0,
                "energy_import": 15_000 * 3.6e6, "stated_heat_removed": 550_000.0, "health": 0.0,
            }  # fmt: skip
            assert {n: snapshot.value(f"cdu-1/{n}") for n in expected} == pytest.approx(expected)
            assert rig.states() == ["up"]
            assert rig.codes() == {}


async def test_each_resource_is_fetched_once_a_poll(peers, make_site, tmp_path):
    """Ten points of a connector cost one request, and slow resources are asked for less often."""
    service = RedfishService([SimulatedCdu("1")])
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])

        def seldom() -> bool:
            """A busy machine polls late, and then the slow ones are due sooner."""
            return 2 * service.requests.count("1/Filters/1") < rig.count("http_reads")

        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.count("http_reads") >= 4 and seldom())
        polls = rig.count("http_reads")
        assert service.requests.count("1/Filters/1") >= 1
        assert abs(service.requests.count("1/SecondaryCoolantConnectors/1") - polls) <= 1


async def test_null_is_not_zero_and_a_fault_marks_its_values(peers, make_site, tmp_path):
    """A null reading is BAD; an absent pump has no value, a critical connector's values are doubted, a leak is told."""
    cdu = SimulatedCdu("1", leak="Critical")
    service = RedfishService([cdu])
    service.changed["1/PrimaryCoolantConnectors/1"] = {"FlowLitersPerMinute": {"Reading": None}}
    service.changed["1/Pumps/2"] = {"Status": {"State": "Absent"}}
    service.changed["1/SecondaryCoolantConnectors/1"] = {"Status": {"State": "Enabled", "Health": "Critical"}}
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.count("http_reads") >= 1 and rig.reading("cdu-1/pump_2_speed"))
            await peers.until(lambda: rig.reading("cdu-1/leak_detector"))
            assert rig.marked("cdu-1/fws_flow", Quality.BAD, Reason.NOT_A_NUMBER)
            assert math.isnan(rig.reading("cdu-1/fws_flow").value)
            assert rig.reading("cdu-1/fws_supply_temperature").good
            assert rig.marked("cdu-1/pump_2_speed", Quality.BAD, Reason.DEVICE_FAULT)
            assert rig.marked("cdu-1/tcs_flow", Quality.UNCERTAIN, Reason.DEVICE_FAULT)
            leak = rig.reading("cdu-1/leak_detector")
            assert (leak.value, leak.good) == (2.0, True)


async def test_missing_and_moved_resources_are_named_and_the_rest_flows(peers, make_site, tmp_path):
    """What the unit lacks is a profile mismatch with path and reason; a redirect is not followed; it heals."""
    service = RedfishService([SimulatedCdu("1")], missing={"1/Pumps/2"}, moved={"1/Reservoirs/1": "/elsewhere"})
    service.changed["1/PrimaryCoolantConnectors/1"] = {"SupplyPressurekPa": {}}
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: ("profile_mismatch", "cdu-1") in rig.codes())
            text = rig.codes()["profile_mismatch", "cdu-1"].cause.text
            assert f"pump_2_speed ({CDUS}/1/Pumps/2: HTTP 404)" in text
            assert f"reservoir_level ({CDUS}/1/Reservoirs/1: HTTP 307 to /elsewhere)" in text
            assert f"{CDUS}/1/PrimaryCoolantConnectors/1#/SupplyPressurekPa/Reading is not there" in text
            assert rig.states() == ["mismatch"]
            await peers.until(lambda: rig.reading("cdu-1/tcs_flow"))
            assert rig.reading("cdu-1/tcs_flow").good
            assert rig.reading("cdu-1/pump_2_speed") is None
            service.missing.clear()
            service.moved.clear()
            service.changed.clear()
            await peers.until(lambda: ("profile_mismatch", "cdu-1") not in rig.codes())
            assert rig.states() == ["up"]
            await peers.until(lambda: rig.reading("cdu-1/pump_2_speed"))
            assert rig.reading("cdu-1/pump_2_speed").good


async def test_a_busy_resource_does_not_hide_the_others(peers, make_site, tmp_path):
    """One resource that answers 503 marks its own points, and 503 everywhere is silence."""
    service = RedfishService([SimulatedCdu("1")], busy={"1/Pumps/1"})
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.marked("cdu-1/pump_speed", Quality.BAD, Reason.NO_COMM))
            assert rig.reading("cdu-1/tcs_flow").good
            service.busy |= set(service.requests)
            await peers.until(lambda: ("device_silent", "cdu-1") in rig.codes())
            assert "HTTP 503" in rig.codes()["device_silent", "cdu-1"].cause.text
            service.busy.clear()
            await peers.until(lambda: rig.reading("cdu-1/pump_speed").good)


async def test_a_dead_server_is_silent_and_comes_back(peers, make_site, tmp_path):
    """While nobody listens its points are BAD and the link is silent; when it is back values flow and it is withdrawn."""
    service = RedfishService([SimulatedCdu("1")])
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])
        link = rig.collector.run()
        context = peers.running(link)
        await context.__aenter__()
        await peers.until(lambda: rig.states() == ["up"])
    await peers.until(lambda: ("device_silent", "cdu-1") in rig.codes())
    assert rig.states() == ["silent"]
    await peers.until(lambda: rig.marked("cdu-1/tcs_flow", Quality.BAD, Reason.NO_COMM))
    async with serving(service.app, port=port):
        await peers.until(lambda: rig.states() == ["up"], 15)
        assert ("device_silent", "cdu-1") not in rig.codes()
        await peers.until(lambda: rig.reading("cdu-1/tcs_flow").good)
        await context.__aexit__(None, None, None)


async def test_wrong_credentials_are_told_and_not_tried_again_at_once(peers, make_site, tmp_path):
    """A refused login is a condition that names the place; the account is not locked by trying on."""
    (tmp_path / "password").write_text("wrong")
    service = RedfishService([SimulatedCdu("1")], username="ann", password="right")
    options = {"auth": "redfish-session", "username": "ann", "password_file": str(tmp_path / "password")}
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU], **options)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: ("device_refused", "cdu-1") in rig.codes())
            assert "HTTP 401; check user, password" in rig.codes()["device_refused", "cdu-1"].cause.text
            requests = rig.count("http_requests")
            await peers.until(lambda: rig.clock.monotonic() > 60)
            assert rig.count("http_requests") == requests == 1


async def test_etags_are_used_where_the_site_says_so(peers, make_site, tmp_path):
    """With `etag: true` what did not change is not sent again; without it a server's stuck ETag can't freeze values."""
    cdu = SimulatedCdu("1")
    service = RedfishService([cdu], still=True)
    async with serving(service.app) as port:
        rig = Rig(make_site, tmp_path, port, [CDU])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.reading("cdu-1/tcs_supply_temperature"))
            cdu.secondary.supply_c = 33.5
            await peers.until(lambda: rig.reading("cdu-1/tcs_supply_temperature").value == 33.5)
            assert service.unchanged == 0
        service.still = False
        rig = Rig(make_site, tmp_path / "again", port, [CDU], etag=True)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.count("http_reads") >= 2)
            assert service.unchanged >= 5
            cdu.secondary.supply_c = 34.0
            await peers.until(lambda: rig.reading("cdu-1/tcs_supply_temperature").value == 34.0)


async def test_a_page_that_is_not_redfish_is_refused(peers, make_site, tmp_path):
    """A login page in HTML is told as what it is."""
    exporter = Exporter(gpus("n"))
    async with serving(exporter.app) as port:
        unit = Equipment(
            id="cdu-1", kind="cdu", sources=(Source(profile="redfish-cdu", link="http", object="/metrics"),)
        )
        rig = Rig(make_site, tmp_path, port, [unit])
        async with peers.running(rig.collector.run()):
            await peers.until(rig.codes)
            assert {code for code, _ in rig.codes()} <= {"device_refused", "profile_mismatch"}


# --- dcgm-exporter ---


async def test_gpus_of_many_hosts_land_in_their_rack_positions(peers, make_site, tmp_path):
    """72 GPUs of 18 hosts on one page: position in the rack by the order of hosts in `object`, then by `gpu`."""
    hosts = [f"node-{n:02d}" for n in range(18)]
    page = [SimulatedGpu(h, i, temperature_c=20 + n * 4 + i) for n, h in enumerate(hosts) for i in range(4)]
    async with serving(Exporter(page[::-1]).app) as port:
        rig = Rig(make_site, tmp_path, port, [rack(", ".join(hosts))], gpus=72)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.count("samples") >= 72 * 12)
            snapshot = rig.live.snapshot()
            found = [snapshot.value(f"rack-01/gpu-{n:02d}/temperature") for n in range(72)]
            assert found == [20.0 + n for n in range(72)]
            assert snapshot.value("rack-01/gpu-05/utilisation") == 0.9
            assert snapshot.value("rack-01/gpu-05/sm_clock") == 1.98e9
            assert rig.count("unmapped_values") == 0
            assert rig.codes() == {}


async def test_one_exporter_a_host_fills_one_rack(peers, make_site, tmp_path):
    """Each host has its own exporter and link; a fully qualified Hostname is the same host."""
    async with serving(Exporter(gpus("n1.example.net")).app) as one, serving(Exporter(gpus("n2")).app) as two:
        rig = Rig(make_site, tmp_path, {"a": one, "b": two}, [rack("n1", "n2", links=("a", "b"))])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.reading("rack-01/gpu-01/power") and rig.reading("rack-01/gpu-03/power"))
            assert rig.count("unmapped_values") == 0
            await peers.until(lambda: rig.states() == ["up", "up"])


async def test_a_single_exporter_needs_no_names(peers, make_site, tmp_path):
    """Without `object` a rack's only exporter is believed under whatever host name its container has."""
    async with serving(Exporter(gpus("dcgm-exporter-x7k2p", each=4)).app) as port:
        rig = Rig(make_site, tmp_path, port, [rack()])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.reading("rack-01/gpu-03/temperature"))
            assert rig.reading("rack-01/gpu-03/temperature").value == 43.0


async def test_gpus_can_be_named_by_uuid(peers, make_site, tmp_path):
    """A UUID in `object` is one GPU's position, wherever its host counts it."""
    async with serving(Exporter(gpus("n1", each=4)).app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("GPU-n1-3 GPU-n1-1")], gpus=2)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.reading("rack-01/gpu-01/temperature"))
            assert rig.live.snapshot().value("rack-01/gpu-00/temperature") == 43.0
            assert rig.live.snapshot().value("rack-01/gpu-01/temperature") == 41.0


async def test_a_missing_gpu_is_unknown_not_zero(peers, make_site, tmp_path):
    """A GPU that falls off the page is BAD at once, never 0; one that never was has no value; strangers are counted."""
    exporter = Exporter(gpus("n1", each=3) + gpus("stranger", each=1))
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.reading("rack-01/gpu-02/power"))
            del exporter.gpus[2]
            await peers.until(lambda: rig.marked("rack-01/gpu-02/power", Quality.BAD, Reason.NO_COMM))
            assert math.isnan(rig.reading("rack-01/gpu-02/power").value)
            assert rig.reading("rack-01/gpu-03/power") is None
            assert rig.reading("rack-01/gpu-00/power").good
            assert "gpu 0 of stranger" in rig.codes()["unmapped_messages", "http"].cause.text


async def test_a_stranger_that_went_is_forgiven(peers, make_site, tmp_path, monkeypatch):
    """Once the exporter no longer tells of GPUs that the site does not know, the condition goes."""
    monkeypatch.setattr("collector.http_link.FORGIVEN_AFTER_S", 60.0)
    exporter = Exporter(gpus("n1", each=2) + gpus("stranger", each=1))
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: ("unmapped_messages", "http") in rig.codes())
            del exporter.gpus[2]
            await peers.until(lambda: ("unmapped_messages", "http") not in rig.codes(), 10)


async def test_a_missing_metric_is_a_mismatch_and_xid_is_kept(peers, make_site, tmp_path):
    """Profiling counters that an exporter does not export are named; the last XID stands as it is."""
    exporter = Exporter(gpus("n1"), hidden={"DCGM_FI_PROF_DRAM_ACTIVE"})
    exporter.gpus[1].xid = 79
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")], gpus=2)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: ("profile_mismatch", "rack-01") in rig.codes())
            assert "DCGM_FI_PROF_DRAM_ACTIVE (not on the page)" in rig.codes()["profile_mismatch", "rack-01"].cause.text
            await peers.until(lambda: rig.reading("rack-01/gpu-01/xid"))
            assert rig.live.snapshot().value("rack-01/gpu-01/xid") == 79.0
            assert rig.live.snapshot().value("rack-01/gpu-00/xid") == 0.0
            assert rig.reading("rack-01/gpu-00/dram_active") is None


async def test_profiling_zeros_of_a_working_gpu_are_doubted(peers, make_site, tmp_path):
    """Profiling counters that all read 0 while the GPU works are stuck; its power and temperature are not."""
    exporter = Exporter(gpus("n1"))
    hidden = {"DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE"}
    exporter.hidden = hidden
    exporter.extra = [f"{name}{{{gpu.labels()}}} 0" for name in hidden for gpu in exporter.gpus]
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")], gpus=2)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.marked("rack-01/gpu-00/tensor_active", Quality.UNCERTAIN, Reason.STUCK))
            assert rig.reading("rack-01/gpu-00/power").good


async def test_a_frozen_exporter_is_flagged_and_thaws(peers, make_site, tmp_path):
    """A page that repeats itself while power is drawn is UNCERTAIN, not live; when energy counts again it is good."""
    exporter = Exporter(gpus("n1"))

    def work():
        for gpu in exporter.gpus:
            gpu.energy_mj += 1e6

    exporter.before = work
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")], gpus=2)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.count("http_reads") > 10)
            assert rig.reading("rack-01/gpu-00/power").good
            exporter.freeze()
            await peers.until(lambda: rig.marked("rack-01/gpu-01/temperature", Quality.UNCERTAIN, Reason.STUCK))
            assert rig.count("frozen_gpus") == 2
            exporter.thaw()
            await peers.until(lambda: rig.reading("rack-01/gpu-01/temperature").good)
            assert rig.count("frozen_gpus") == 0


async def test_bad_lines_are_counted_and_the_page_is_read(peers, make_site, tmp_path):
    """Lines that can't be read are told with an example and cost nothing else."""
    exporter = Exporter(gpus("n1"), extra=['DCGM_FI_DEV_GPU_TEMP{gpu="9} hot', "<html>"])
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")], gpus=2)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.reading("rack-01/gpu-01/power"))
            assert rig.reading("rack-01/gpu-01/power").good
            assert "<html>" in rig.codes()["unparsable_messages", "http"].cause.text


async def test_a_wrong_path_or_page_is_refused(peers, make_site, tmp_path):
    """404 names the option; a page without metrics is told as such."""
    async with serving(Exporter(gpus("n1")).app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")], metrics_path="/metric")
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: ("device_refused", "rack-01") in rig.codes())
            assert (
                "/metric: HTTP 404; check the link's metrics_path"
                in rig.codes()["device_refused", "rack-01"].cause.text
            )
            assert rig.states() == ["silent"]


async def test_slow_answers_make_the_link_slow_not_silent(peers, make_site, tmp_path, monkeypatch):
    """A server that takes longer than the period is slow; its values are still taken."""
    import time

    exporter = Exporter(gpus("n1"), before=lambda: time.sleep(0.06))
    async with serving(exporter.app) as port:
        rig = Rig(make_site, tmp_path, port, [rack("n1")], gpus=2, speed=200.0)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.states() == ["slow"] and rig.reading("rack-01/gpu-01/power"))
            assert rig.reading("rack-01/gpu-01/power").value == 900.0


def test_wrong_options_stop_the_collector_with_the_link_named(make_site, tmp_path):
    """A secret in clear never reaches the wire."""
    with pytest.raises(ConfigError, match="link http: option 'password' would be a secret in clear"):
        Rig(make_site, tmp_path, 1, [CDU], auth="basic", username="a", password="b")
    assert http_link.SILENT_AFTER == 2
