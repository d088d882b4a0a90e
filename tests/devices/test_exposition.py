"""Pages of metrics: what is read, what is set aside, and agreement with Prometheus's own reader."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from devices import dcgm, exposition
from simulator.dcgm import Exporter, SimulatedGpu

WANTED = {"temp", "power"}


def test_wanted_metrics_are_read_with_labels_and_times():
    """Labels with escapes, braces and commas, times in ms, values of any form; comments and other metrics are passed over."""
    text = (
        "# HELP temp text\n# TYPE temp gauge\n"
        'temp{gpu="0",name="a \\"b\\" \\\\ {c}, d"} 41.5\n'
        'temp{gpu="1",} 4.2e1 1700000000123\n'
        "power 7\n"
        "power{} +Inf\n"
        "power{} NaN\n"
        'other{gpu="0"} not looked at\n'
    )
    page = exposition.parse(text.encode(), WANTED)
    assert page.bad == 0
    assert [s.value for s in page.series[:4]] == [41.5, 42.0, 7.0, math.inf]
    assert math.isnan(page.series[4].value)
    assert page.series[0].labels == {"gpu": "0", "name": 'a "b" \\ {c}, d'}
    assert [s.time_s for s in page.series[:2]] == [None, 1_700_000_000.123]


@pytest.mark.parametrize(
    "line",
    [
        'temp{gpu="0"} hot',
        'temp{gpu="0" 41',
        "temp{gpu=0} 41",
        'temp{gpu="0"}',
        'temp{gpu="0"} 41 1700000000000 9',
        'temp{gpu="0"} 41 soon',
        'temp{gpu="0"} 4_1',
        "<html>",
        "{}",
    ],
)
def test_a_bad_line_is_set_aside_and_the_rest_is_read(line):
    """A line that can't be read is counted and kept; its neighbours are read."""
    page = exposition.parse(f'temp{{gpu="1"}} 1\n{line}\ntemp{{gpu="2"}} 2\n'.encode(), WANTED)
    assert [s.value for s in page.series] == [1.0, 2.0]
    assert (page.bad, page.bad_lines) == (1, [line])


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_time_beyond_any_float_is_a_bad_line(digits):
    """However many digits a stamp has, the page is read."""
    page = exposition.parse(f'temp{{gpu="0"}} 41 {"9" * digits}\ntemp{{gpu="2"}} 2\n'.encode(), WANTED)
    assert ([s.value for s in page.series], page.bad) == ([2.0], 1)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), st.text(alphabet='ab"\\\n{},= é'), max_size=3
    ),
    st.floats(allow_nan=False),
)
def test_it_agrees_with_the_library(labels, value):
    """Whatever stands in labels: the same labels and value as prometheus_client reads."""
    escaped = {k: v.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for k, v in labels.items()}
    text = "temp{" + ",".join(f'{k}="{v}"' for k, v in escaped.items()) + f"}} {value!r}\n"
    (family,) = text_string_to_metric_families(text)
    (series,) = exposition.parse(text.encode(), WANTED).series
    assert (series.labels, series.value) == (family.samples[0].labels, family.samples[0].value)


def test_a_simulated_page_is_a_real_page():
    """The simulated exporter's page reads the same with the library, all 72 GPUs and 12 metrics."""
    gpus = [SimulatedGpu(f"node-{n // 4:02d}", n % 4, energy_mj=n * 1e9 + 7) for n in range(72)]
    text = Exporter(gpus).page()
    theirs = {  # the library gives a counter's samples an ending that dcgm-exporter does not write
        (s.name.removesuffix("_total"), s.labels["Hostname"], s.labels["gpu"]): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    page = exposition.parse(text.encode(), {name for name, *_ in theirs})
    ours = {(s.name, s.labels["Hostname"], s.labels["gpu"]): s.value for s in page.series}
    assert len(ours) == 72 * 12
    assert ours == theirs


def test_gpus_are_taken_once_and_blanks_are_nothing():
    """Shared GPUs repeat, MIG instances do not count, and DCGM's blank values are NaN."""
    lines = [
        'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",Hostname="n",pod="x"} 50',
        'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",Hostname="n",pod="y"} 50',
        'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",GPU_I_ID="1",Hostname="n"} 51',
        'DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a",Hostname="n"} 140737488355328',
        'DCGM_FI_DEV_GPU_UTIL{device="nvidia3",UUID="GPU-b",Hostname="n"} 2147483633',
    ]
    wanted = {"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_UTIL"}
    first, second = dcgm.gpus(exposition.parse("\n".join(lines).encode(), wanted))
    assert (first.index, first.values["DCGM_FI_DEV_GPU_TEMP"]) == (0, 50.0)
    assert math.isnan(first.values["DCGM_FI_DEV_POWER_USAGE"])
    assert second.index == 3
    assert math.isnan(second.values["DCGM_FI_DEV_GPU_UTIL"])


def test_a_frozen_gpu_is_told_from_an_idle_one():
    """Power drawn while the energy counter stands still for long is a freeze; an idle GPU still uses energy."""
    watch = dcgm.FreezeWatch()

    def gpu(energy, power=90.0):
        return dcgm.Gpu("n", 0, "GPU-a", {dcgm.ENERGY: energy, dcgm.POWER: power, dcgm.UTILISATION: 0.0})

    assert not any(watch.frozen(gpu(1e9 + s), float(s)) for s in range(0, 300, 10))
    verdicts = [watch.frozen(gpu(5e9), float(s)) for s in range(300, 400, 10)]
    assert verdicts == [False] * 8 + [True] * 2
    assert not watch.frozen(gpu(5e9 + 1), 400.0)
    assert not any(watch.frozen(gpu(5e9, power=0.0), float(s)) for s in range(500, 700, 50))
