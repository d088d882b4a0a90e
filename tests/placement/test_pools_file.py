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
        ("hours: 2", "hours: 0", r":6: planner.hours is 0, more than 0 is needed"),
        ("allow: operator", "allow: everybody", r":2: allow is 'everybody', 'none', 'operator' or 'planner' is needed"),
        ("kind: kubernetes", "kind: nomad", r":5: .*'slurm' or 'kubernetes'"),
        (
            GOOD[GOOD.index("  - {name: serve") : GOOD.index("planner")],
            "",
            ":3: 1 pool is named, and a loan needs two; name the cluster that lends and the one that borrows",
        ),
        (GOOD[GOOD.index("pools:") :], "pools: []", ":3: no pool is named"),
        (GOOD[GOOD.index("pools:") :], "", ":1: pools is missing; docs/schedulers.md shows a pools file"),
        (GOOD[GOOD.index("pools:") :], "pools: {train: {}}", ":3: pools is a mapping, a list is needed"),
        ("keep_idle: 2", "keep_idle: many", r":4: pools\[0\].keep_idle is 'many', a whole number is needed"),
        ("keep_idle: 2", "keep_idle: true", r":4: pools\[0\].keep_idle is True, a whole number is needed"),
        ("keep_idle: 2", "keep_idle: -1", r":4: pools\[0\].keep_idle is -1, at least 0 is needed"),
        ("keep_idle: 2", "keep_idel: 2", r":4: pools\[0\].keep_idel: unknown key; did you mean 'keep_idle'"),
        ("keep_idle: 2", "keep_idle: null", r":4: pools\[0\].keep_idle is empty, a whole number is needed"),
        ("node_kw: 5.6", "node_kw: 5 kW", ":6: planner.node_kw is '5 kW', a number is needed, without its unit"),
        ("node_kw: 5.6", "node_kw: .nan", ":6: planner.node_kw is nan, at most 1000 is possible"),
        ("name: train", "name: my train", r":4: pools\[0\].name is 'my train', needed: letters, digits"),
        ("name: train", "name: 7", r":4: pools\[0\].name is 7, a text is needed: write it in quotes"),
        ("conf: /etc/slurm/slurm.conf", "conf: [x]", r":4: pools\[0\].conf is a list, a path is needed"),
        ("nodes: [k1]", "nodes: ['']", ":5: '' is no list of hosts"),
        ("nodes: [k1]", "nodes: ['k 1']", ":5: 'k 1' is no list of hosts"),
        ("nodes: [k1]", "nodes: [k1], names: [k1]", r":5: pools\[1\].names is a list, a mapping is needed"),
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
