"""GPU messages of racks of which a few GPUs tell."""

from __future__ import annotations

from collector.gpu_join import GpuJoin
from collector.wiring import rules, wires
from devices.gpu import GpuMessage
from plant.topology import Equipment, Link, Source


def test_gpus_that_a_source_does_not_name_have_no_points(make_site):
    """Of a source with `gpus: 2` two GPUs are mapped and have rules; what others tell is counted."""
    sources = (Source(profile="gpu-node", link="bms", gpus=2),)
    links = [Link(id="bms", transport="mqtt", host="127.0.0.1", port=1)]
    site = make_site(links, [Equipment(id="rack-01", kind="rack", sources=sources)])
    join = GpuJoin(site, wires(site, "bms"))
    message = GpuMessage(rack="rack-01", node="n", time_s=1.0, gpus={0: {"temp_c": 60.0}, 3: {"temp_c": 60.0}})
    assert [row[0] for row in join.rows(message)] == ["rack-01/gpu-00/temperature"]
    assert join.unmapped == 1
    assert {point.split("/")[1] for point in rules(site)} == {"gpu-00", "gpu-01"}
