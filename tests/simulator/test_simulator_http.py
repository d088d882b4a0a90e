"""The simulated HTTP devices speak what the shipped profiles read, and nothing is left out."""

from __future__ import annotations

import httpx

from devices import exposition
from devices.profiles import load_profile
from devices.redfish import split_path
from simulator.dcgm import Exporter, SimulatedGpu
from simulator.http_server import serving
from simulator.redfish import CDUS, RedfishService, SimulatedCdu

MANDATORY = {
    "PrimaryCoolantConnectors",
    "SecondaryCoolantConnectors",
    "Pumps",
    "Filters",
    "LeakDetection/LeakDetectors",
}
"""Collections that OCPCoolantDistributionUnit.v1_0_0 asks for."""


async def test_the_redfish_service_is_laid_out_as_the_profile_says():
    """Every path of redfish-cdu leads to a value, collections list their members, and each resource names itself."""
    async with (
        serving(RedfishService([SimulatedCdu("1"), SimulatedCdu("2")]).app) as port,
        httpx.AsyncClient() as client,
    ):
        base = f"http://127.0.0.1:{port}{CDUS}"
        cdus = (await client.get(base)).json()["Members"]
        assert [m["@odata.id"] for m in cdus] == [f"{CDUS}/1", f"{CDUS}/2"]
        for point in load_profile("redfish-cdu").points:
            resource, tokens = split_path(point.path)
            document = (await client.get(f"{base}/2/{resource}".rstrip("/"))).json()
            assert document["@odata.id"] == f"{CDUS}/2/{resource}".rstrip("/")
            for token in tokens:
                document = document[token]
            assert isinstance(document, str | int | float)
        for collection in MANDATORY:
            members = (await client.get(f"{base}/1/{collection}")).json()["Members"]
            for member in members:
                assert (await client.get(f"http://127.0.0.1:{port}{member['@odata.id']}")).status_code == 200


async def test_etags_follow_what_a_resource_says():
    """A resource is sent again only when it changed."""
    cdu = SimulatedCdu("1")
    async with serving(RedfishService([cdu]).app) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}{CDUS}/1/SecondaryCoolantConnectors/1"
        tag = (await client.get(url)).headers["ETag"]
        assert (await client.get(url, headers={"If-None-Match": tag})).status_code == 304
        cdu.secondary.return_c += 1
        again = await client.get(url, headers={"If-None-Match": tag})
        assert (again.status_code, again.headers["ETag"] == tag) == (200, False)


async def test_the_exporter_has_every_metric_of_the_profile():
    """Each field of dcgm-gpu is on the page of each GPU, and a token is asked for where one is set."""
    exporter = Exporter([SimulatedGpu("n1", 0), SimulatedGpu("n1", 1)], token="t")
    async with serving(exporter.app) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/metrics"
        assert (await client.get(url)).status_code == 401
        answer = await client.get(url, headers={"Authorization": "Bearer t"})
    fields = {point.field for point in load_profile("dcgm-gpu").points}
    page = exposition.parse(answer.content, fields)
    assert sorted((s.name, s.labels["gpu"]) for s in page.series) == sorted((f, g) for f in fields for g in "01")
