"""Power limits over Redfish: each form is found by itself, set within its range, believed only when it is told back."""

from __future__ import annotations

import pytest

from devices.http import HttpEndpoint
from devices.redfish_power import PowerLimit
from plant.errors import RefusedError
from simulator.http_server import serving
from simulator.redfish_power import CHASSIS, SYSTEM, GpuNode

METRICS = f"{SYSTEM}/Processors/GPU_2/EnvironmentMetrics"
CONTROL = f"{CHASSIS}/Controls/GPU2_PowerLimit"
POWER = f"{CHASSIS}/Power#2"


@pytest.mark.parametrize("path", [METRICS, CONTROL, POWER])
@pytest.mark.parametrize("percent", [False, True])
async def test_a_limit_is_set_told_and_lifted(path: str, percent: bool) -> None:
    """Whatever the form and its unit."""
    node = GpuNode(percent=percent)
    async with serving(node.app) as port:
        endpoint = HttpEndpoint("127.0.0.1", port)
        limit = PowerLimit(endpoint, path, full_w=1350.0)
        try:
            before = await limit.read()
            assert (before.on, before.watts) == (False, 1350.0)
            told = await limit.set(900.0)
            assert node.limit_w(2) == pytest.approx(900.0, abs=7.0)
            assert told.watts == pytest.approx(node.limit_w(2))
            assert node.limit_w(1) == 1350.0
            assert (await limit.lift()).watts == pytest.approx(1350.0)
        finally:
            await endpoint.close()


async def test_what_is_sent_is_what_the_makers_document() -> None:
    """Bodies as in the makers' own examples."""
    node = GpuNode()
    async with serving(node.app) as port:
        endpoint = HttpEndpoint("127.0.0.1", port)
        for path in (METRICS, CONTROL, POWER):
            await PowerLimit(endpoint, path, 1350.0).set(1000.0)
        await endpoint.close()
    assert node.patches == [
        (METRICS, {"PowerLimitWatts": {"SetPoint": 1000}}),
        (CONTROL, {"SetPoint": 1000, "ControlMode": "Manual"}),
        (f"{CHASSIS}/Power", {"PowerControl": [{}, {}, {"PowerLimit": {"LimitInWatts": 1000}}]}),
    ]


async def test_a_limit_below_what_the_device_allows_becomes_the_least_one() -> None:
    """A shed plan may ask for anything; a refusal would shed nothing."""
    node = GpuNode(least_w=700.0)
    async with serving(node.app) as port:
        endpoint = HttpEndpoint("127.0.0.1", port)
        assert (await PowerLimit(endpoint, METRICS, 1350.0).set(100.0)).watts == 700.0
        await endpoint.close()


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (GpuNode(locked=True), "refused: HTTP 400"),
        (GpuNode(deaf=True), "asked for 900 W, tells 1350 W"),
        (GpuNode(off=True), "off"),
    ],
)
async def test_a_device_that_does_not_take_it_is_not_believed(faulty: GpuNode, words: str) -> None:
    """Refused, ignored, or switched off: an error that says which."""
    async with serving(faulty.app) as port:
        endpoint = HttpEndpoint("127.0.0.1", port)
        with pytest.raises(RefusedError, match=words):
            await PowerLimit(endpoint, METRICS, 1350.0).set(900.0)
        await endpoint.close()


async def test_a_path_without_a_limit_is_named() -> None:
    """Wrong paths are found before anything is written."""
    node = GpuNode()
    async with serving(node.app) as port:
        endpoint = HttpEndpoint("127.0.0.1", port)
        with pytest.raises(RefusedError, match="Nowhere: HTTP 404"):
            await PowerLimit(endpoint, f"{CHASSIS}/Nowhere", 1350.0).read()
        with pytest.raises(RefusedError, match="has no PowerControl 9"):
            await PowerLimit(endpoint, f"{CHASSIS}/Power#9", 1350.0).set(900.0)
        with pytest.raises(RefusedError, match="no power limit"):
            await PowerLimit(endpoint, METRICS, 1350.0).set(float("nan"))
        await endpoint.close()
    assert node.patches == []
