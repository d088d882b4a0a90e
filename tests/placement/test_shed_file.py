"""The shed file: what it names is found, what is wrong is told with its line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.main import app
from placement.shed.file import places_of, read_shed_file
from plant.errors import ConfigError

GOOD = """schema: 1
schedulers:
  - {name: hpc, kind: slurm, conf: /etc/slurm/slurm.conf, interruptible: ["qos=spot"], checkpoint_s: 20}
  - {name: k8s, kind: kubernetes}
limits:
  - nodes: ["gpu[01-02]"]
    bmc: "{node}.bmc"
    options: {tls: true, auth: redfish-session, username: coldplate, password_file: /etc/coldplate/bmc}
    paths: ["/redfish/v1/Systems/{node}/Processors/GPU_{gpu}/EnvironmentMetrics", "/redfish/v1/Chassis/1/Power#0"]
    gpus: 2
    first_gpu: 1
    full_w: 1200
    idle_w: 150
"""


def test_every_limit_is_found(tmp_path):
    """Nodes by ranges, GPUs by numbers; what names no GPU is one."""
    file = tmp_path / "shed.yaml"
    file.write_text(GOOD)
    form = read_shed_file(file)
    assert form.schedulers[0].ways[0].word == "spot"
    assert [place.name for place in places_of(form.limits[0])][:4] == [
        "gpu01.bmc:443/redfish/v1/Systems/gpu01/Processors/GPU_1/EnvironmentMetrics",
        "gpu01.bmc:443/redfish/v1/Systems/gpu01/Processors/GPU_2/EnvironmentMetrics",
        "gpu01.bmc:443/redfish/v1/Chassis/1/Power#0",
        "gpu02.bmc:443/redfish/v1/Systems/gpu02/Processors/GPU_1/EnvironmentMetrics",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("schema: 1", "schema: 2", "shed.yaml:1: schema is 2, 1 is needed; docs/schedulers.md shows a shed file"),
        ("name: k8s", "name: hpc", r"shed.yaml:4: two schedulers are called 'hpc'"),
        ("qos=spot", "all", r"shed.yaml:3: 'all' names no jobs"),
        ("kind: kubernetes", "kind: kubernetes, conf: /x", "conf is for kind: slurm"),
        ("kind: kubernetes", "kind: kubernetes, interruptible: [requeue]", "interruptible is for kind: slurm"),
        ("auth: redfish-session", "auth: magic", "unknown auth 'magic'"),
        ("password_file: /etc/coldplate/bmc", "password: x", "secret in clear"),
        ("nodes: [", 'nodes: ["n[1", ', r"shed.yaml:\d+: 'n\[1' is no list of hosts"),
        ("idle_w: 150", "idle_w: 1300", "idle_w must be below full_w"),
        ("idle_w: 150", "idle_w: -5", r"shed.yaml:13: limits\[0\].idle_w is -5, at least 0 is needed"),
        (
            "full_w: 1200",
            "full_w: 1.2 kW",
            r"shed.yaml:12: limits\[0\].full_w is '1.2 kW', a number is needed, without",
        ),
        ("full_w: 1200", "full_w: .nan", r"shed.yaml:12: limits\[0\].full_w is nan, a number is needed"),
        ("    full_w: 1200\n", "", r"shed.yaml:6: limits\[0\].full_w is missing"),
        ("gpus: 2", "gpu: 2", r"shed.yaml:10: limits\[0\].gpu: unknown key; did you mean 'gpus'"),
        ("limits:", "limit:", r"shed.yaml:5: limit: unknown key; did you mean 'limits'"),
        ('nodes: ["gpu[01-02]"]', "nodes: []", r"shed.yaml:6: limits\[0\].nodes has 0 entries, at least 1 needed"),
        ('"/redfish/v1/S', '"redfish/v1/S', r"shed.yaml:9: limits\[0\].paths\[0\] is .* a path that begins with /"),
        ("GPU_{gpu}", "GPU_{GPU}", "shed.yaml:6: {GPU} stands for nothing"),
        ('bmc: "{node}.bmc"', 'bmc: "{nodes}.bmc"', "shed.yaml:6: {nodes} stands for nothing"),
        ('bmc: "{node}.bmc"', 'bmc: "https://{node}.bmc"', r"shed.yaml:7: limits\[0\].bmc .*needed: a host's name"),
        ('bmc: "{node}.bmc"', 'bmc: ""', r"shed.yaml:7: limits\[0\].bmc is empty"),
        ('bmc: "{node}.bmc"', "bmc: one", "one:443/redfish/v1/Chassis/1/Power#0 stands twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, old, new, words):
    """File, line, field and what to do."""
    file = tmp_path / "shed.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        read_shed_file(file)


def test_an_api_that_is_silent_is_told(tmp_path):
    """Also without a token, when nothing is told there."""
    file = tmp_path / "shed.yaml"
    file.write_text("schema: 1\nschedulers:\n  - {name: hpc, kind: slurm}\n")
    words = ["shed", "--config", str(file), "--api", "http://127.0.0.1:9", "--state", str(tmp_path), "--once"]
    done = CliRunner().invoke(app, words, env={"COLDPLATE_TOKEN": ""})
    assert done.exit_code == 1
    assert "http://127.0.0.1:9" in done.output
