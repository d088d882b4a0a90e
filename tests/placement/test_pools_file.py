"""The pools file: faults with their line."""

from __future__ import annotations

import pytest

from placement.pools_file import Allow, read_pools
from plant.errors import ConfigError

GOOD = """schema: 1
allow: operator
pools:
  - {name: train, kind: slurm, conf: /etc/slurm/slurm.conf, nodes: ["n[1-3]"], keep_idle: 2}
  - {name: serve, kind: kubernetes, kubeconfig: /etc/kubeconfig, nodes: [k1]}
planner: {node_kw: 5.6, least_score: 40, most_loans: 4, hours: 2}
"""


def test_a_good_one(tmp_path):
    """Homes by node; nothing is allowed by default."""
    file = tmp_path / "pools.yaml"
    file.write_text(GOOD)
    form = read_pools(file)
    assert form.home_of == {"n1": "train", "n2": "train", "n3": "train", "k1": "serve"}
    assert form.allow is Allow.OPERATOR
    file.write_text(GOOD.replace("allow: operator\n", ""))
    assert read_pools(file).allow is Allow.NONE


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("nodes: [k1]", "nodes: [n2]", r":5: node 'n2' is at home in train and serve"),
        ("name: serve", "name: train", r":5: two pools are called 'train'"),
        ("kind: slurm, conf", "kind: slurm, kubeconfig", r":4: .*kubeconfig is for kind: kubernetes"),
        (
            "nodes: [k1]",
            'nodes: [k1], names: {"n[1-3]": "ip-[1-2]"}',
            r":5: 'n\[1-3\]' is 3 nodes and 'ip-\[1-2\]' is 2",
        ),
        ("nodes: [k1]", "nodes: [k1], names: {n1: k1}", r":5: nodes 'n1' and 'k1' are both 'k1' there"),
        ("nodes: [k1]", "nodes: [k1], names: {n1: x, n2: x}", r":5: nodes 'n1' and 'n2' are both 'x' there"),
        ("nodes: [k1]", "nodes: ['k[1']", r":5: .*is no list of hosts"),
        ("nodes: [k1]", "nodes: [k1], names: {n1: 'x['}", r":5: .*is no list of hosts"),
        ("hours: 2", "hours: 0", r":6: planner.hours: .*greater than 0"),
        ("allow: operator", "allow: everybody", r":2: allow: .*'none', 'operator' or 'planner'"),
        ("kind: kubernetes", "kind: nomad", r":5: .*'slurm' or 'kubernetes'"),
        (GOOD, "- 1", r":1: a pools file must be a mapping.*docs/schedulers.md"),
    ],
)
def test_a_wrong_one(tmp_path, old, new, words):
    """Where, what, and where to look."""
    file = tmp_path / "pools.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        read_pools(file)
    with pytest.raises(ConfigError, match="give the path of a pools file"):
        read_pools(tmp_path / "none")
