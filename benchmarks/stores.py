"""Points a second into each store, and how long answers take, over real servers; beside the plain library path.

Two thousand points once a second, in the batches of a draining spool, from samples in columns to the acknowledgement.
What each store holds afterwards is counted. The peer is influxdb-client as its documentation shows it: a `Point` object
a sample and the client's own batching, into the same VictoriaMetrics.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import WriteOptions

from benchmarks import store_servers
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.ports import RangeQuery, Store
from plant.samples import SampleBatch
from store.embedded import EmbeddedStore
from store.open import Samples, open_samples, store_url

POINTS = 2000
BATCH_S = 10
ROUNDS = 3
ASKED = 20
NAMES = tuple(f"rack-{i // 20:03d}/sensor_{i % 20}" for i in range(POINTS))
SETTLED_S = 2.0
Figures = dict[str, float | str]


def run(quick: bool, data: Path | None) -> Figures:  # noqa: ARG001 - every benchmark is given both
    """Points a second [1/s] (median of rounds) and answers [ms] (median) per store; `lost_points` must be 0.

    Raises:
        ConfigError: no server is installed.
    """
    seconds = 30 if quick else 300
    figures: Figures = {"points": POINTS, "samples_a_round": float(POINTS * seconds), "rounds": ROUNDS}
    missing = [name for name in ("victoria-metrics", "influxd") if store_servers.program(name) is None]
    if len(missing) == 2:
        remedy = "apt-get install victoria-metrics influxdb"
        raise ConfigError("neither victoria-metrics nor influxd is installed", where="bench stores", remedy=remedy)
    figures |= {f"note_{name.replace('-', '_')}": "not installed, so not measured" for name in missing}
    with tempfile.TemporaryDirectory(prefix="coldplate-stores-") as work:
        figures |= asyncio.run(_embedded(Path(work), seconds))
        for name, prefix in (("victoria-metrics", "victoria"), ("influxd", "influx1")):
            if name not in missing:
                figures |= _served(Path(work), name, prefix, seconds, quick=quick)
    figures["lost_points"] = float(sum(v for k, v in figures.items() if k.endswith("_lost") and isinstance(v, float)))
    return figures


def _batches(start_s: float, seconds: int) -> list[SampleBatch]:
    rng = np.random.default_rng(1)
    index = np.tile(np.arange(POINTS), BATCH_S)
    made = []
    for begin in range(0, seconds, BATCH_S):
        time_s = np.repeat(start_s + begin + np.arange(BATCH_S), POINTS)
        value = np.round(rng.normal(30, 3, len(index)), 2)
        code = np.zeros(len(index), np.int32)
        made.append(SampleBatch(names=NAMES, index=index, time_s=time_s, received_s=time_s, value=value, code=code))
    return made


async def _embedded(work: Path, seconds: int) -> Figures:
    store = EmbeddedStore.open(work / "history.sqlite", {})
    figures = await _measured(store, "embedded", seconds)
    await store.close()
    return figures


@contextmanager
def _server(work: Path, name: str) -> Iterator[store_servers.StoreServer]:
    path = store_servers.program(name)
    assert path is not None
    folder = work / name
    if name == "influxd":
        server = store_servers.influxd(path, folder)
    else:
        server = store_servers.victoria(path, folder, "-dedup.minScrapeInterval=1ms")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _served(work: Path, name: str, prefix: str, seconds: int, *, quick: bool) -> Figures:
    with _server(work, name) as server:
        url = f"influx1+{server.url}/coldplate" if name == "influxd" else f"vm+{server.url}"
        figures = asyncio.run(_measured_server(url, prefix, seconds))
        if name != "influxd":
            library = _library_points_per_s(server.url, 30_000 if quick else 200_000)
            figures["library_path_points_per_s"] = library
            figures["victoria_to_library_ratio"] = float(figures["victoria_points_per_s"]) / library
    return figures


async def _measured_server(url: str, prefix: str, seconds: int) -> Figures:
    store = open_samples(store_url(url, {}), "", ScaledClock())
    figures = await _measured(store, prefix, seconds)
    await store.close()
    return figures


async def _measured(store: Store | Samples, prefix: str, seconds: int) -> Figures:
    """Write some rounds, one after the other in time; then ask."""
    start_s = time.time() // 3600 * 3600 - ROUNDS * seconds - 7200
    rates, cpu_s, accepted = [], 0.0, 0
    for number in range(ROUNDS):
        batches = _batches(start_s + number * seconds, seconds)
        began, began_cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            accepted += (await store.write(batch)).accepted
        rates.append(POINTS * seconds / (time.perf_counter() - began))
        cpu_s += time.process_time() - began_cpu
    await asyncio.sleep(SETTLED_S)  # VictoriaMetrics shows samples a second after it took them
    end_s = start_s + ROUNDS * seconds
    counted = await store.range(
        RangeQuery(points=NAMES, start_s=start_s, end_s=end_s, step_s=3600.0, aggregate="count")
    )
    held = sum(float(series.value.sum()) for series in counted)
    return {
        f"{prefix}_points_per_s": statistics.median(rates),
        f"{prefix}_points_per_s_of_own_cpu": ROUNDS * POINTS * seconds / cpu_s,
        f"{prefix}_lost": accepted - held,
        f"{prefix}_raw_ms": await _answer_ms(store, RangeQuery(points=NAMES[:10], start_s=start_s, end_s=end_s)),
        f"{prefix}_minutes_ms": await _answer_ms(
            store, RangeQuery(points=NAMES[:100], start_s=start_s, end_s=end_s, step_s=60.0)
        ),
        f"{prefix}_last_ms": await _last_ms(store),
    }


async def _answer_ms(store: Store | Samples, query: RangeQuery) -> float:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        await store.range(query)
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


async def _last_ms(store: Store | Samples) -> float:
    took = []
    for _ in range(ASKED // 4):
        began = time.perf_counter()
        await store.last(NAMES[:200])
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def _library_points_per_s(url: str, count: int) -> float:
    """The peer's figure, to the last flush."""
    start_ms = int(time.time() * 1000) - count
    options = WriteOptions(batch_size=5000, flush_interval=1000)
    began = time.perf_counter()
    with InfluxDBClient(url=url, token="t", org="o") as client, client.write_api(write_options=options) as api:  # noqa: S106
        for i in range(count):
            tagged = Point("peer").tag("point", NAMES[i % POINTS])  # type: ignore[no-untyped-call]
            point = tagged.field("value", i * 0.01).field("code", 0)
            api.write("b", "o", point.time(start_ms + i, "ms"))
    return count / (time.perf_counter() - began)
