"""HTTP links in a site file: what is refused, at its line, and what is read from a good one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sites import load_site
from sites.check import problems

BASE = Path(__file__).with_name("base-site.yaml").read_text(encoding="utf-8")
LINK = "  bms: {transport: mqtt, host: 10.0.0.3, port: 1883}\n"
GPU = "  gpu: {transport: http, host: 10.0.0.9, port: 9400, options: {OPTIONS}}\n"
SOURCE = "{profile: gpu-node, link: bms}"


def written(folder, *, options="", source="{profile: dcgm-gpu, link: gpu}", gpus=2):
    """The base site with an exporter for rack-01."""
    text = BASE.replace(LINK, LINK + GPU.replace("{OPTIONS}", f"{{{options}}}"))
    text = text.replace(SOURCE, source).replace("gpus_per_rack: 2", f"gpus_per_rack: {gpus}")
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_http_link_is_loaded(tmp_path):
    """Transport, address and options arrive; the rack's GPUs have DCGM's points."""
    path = written(tmp_path, options="tls: true, auth: bearer, token_file: /etc/t, timeout_s: 3")
    assert [p for p in problems(path) if p.severity == "fault"] == []
    site = load_site(path)
    assert site.links["gpu"].transport == "http"
    assert site.links["gpu"].options["timeout_s"] == 3
    assert site.points["rack-01/gpu-01/engine_active"].link == "gpu"


@pytest.mark.parametrize(
    ("change", "line", "message", "remedy"),
    [
        ({"options": "password: x"}, 12, "secret in clear", "password_file or password_env"),
        ({"options": "tsl: true"}, 12, "unknown option 'tsl'", "use one of tls"),
        ({"options": "auth: basic, username: u"}, 12, "neither is given", "exactly one"),
        ({"options": "timeout_s: 100"}, 12, "timeout_s is 100", "at most 60"),
        ({"gpus": 4, "source": "{profile: dcgm-gpu, link: gpu, object: 'a, b, c'}"}, 23, "4 GPUs can't be shared out equally among 3", "name all hosts"),
        ({"source": "{profile: dcgm-gpu, link: gpu, object: 'a, A'}"}, 23, "GPU host 'a' is named twice", "its own hosts"),
        ({"source": "{profile: dcgm-gpu, link: gpu, object: 'GPU-1 GPU-2 GPU-3'}"}, 23, "3 GPUs are named, a rack has 2", "gpus_per_rack"),
        ({"source": "{profile: dcgm-gpu, link: bms}"}, 25, "speaks http, link 'bms' is mqtt", "http link such as 'gpu'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_line(tmp_path, change, line, message, remedy):
    """Each fault of an HTTP link or of GPU hosts has its line and a remedy."""
    faults = [p for p in problems(written(tmp_path, **change)) if p.severity == "fault"]
    (found,) = faults
    assert found.where.endswith(f":{line}")
    assert message in found.message
    assert remedy in found.remedy
