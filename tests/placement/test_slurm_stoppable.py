"""Jobs that a shed plan may requeue: how a site names them, and what a real slurmctld says of them."""

from __future__ import annotations

import pytest

from placement.slurm.commands import Slurm
from placement.slurm.jobs import read_jobs
from placement.slurm.stoppable import Stoppable, stoppable, stoppable_among
from plant.errors import ConfigError

LINE = "JobId={} JobName=a UserId=u(1) QOS={} JobState=RUNNING Dependency=(null) Requeue={} Restarts=0 BatchFlag={} X=1"


def among(lines: list[str], *ways: str) -> set[str]:
    """Those that any of the ways names."""
    return stoppable_among(lines, [stoppable(way) for way in ways])


def test_only_batch_jobs_that_slurm_may_requeue():
    """The QOS alone does not do; another QOS whose name begins alike is another."""
    lines = [
        LINE.format(1, "spot", 1, 1),
        LINE.format(2, "spot", 0, 1),
        LINE.format(3, "spot", 1, 0),
        LINE.format(4, "spotless", 1, 1),
        LINE.format(5, "(null)", 1, 1).replace("JobId=5", "JobId=5 ArrayJobId=4 ArrayTaskId=1") + " Partition=p",
    ]
    assert among(lines, "qos=spot") == {"1"}
    assert among(lines, "qos=spot", "partition=p") == {"1", "5"}
    assert among(lines) == set()


def test_a_word_of_a_comment():
    """Whole words, wherever they stand."""
    lines = [f"{LINE.format(n, 'q', 1, 1)} Comment={words}" for n, words in enumerate(("a ckpt;b", "ckpts", "x"), 1)]
    assert among([*lines, f"{LINE.format(4, 'q', 1, 1)} Comment=why StdErr=/ckpt WorkDir=ckpt"], "comment=ckpt") == {
        "1"
    }


@pytest.mark.parametrize("text", ["spot", "user=me", "qos=", "comment=two words", ""])
def test_what_names_no_jobs(text):
    """Told with an example of what does."""
    with pytest.raises(ConfigError, match=r"give e\.g\. qos=spot"):
        stoppable(text)


@pytest.mark.real
async def test_what_slurm_says(make_lab):
    """By comment and by partition; not the one that is never to be requeued, nor one without a word, nor unasked."""
    lab = make_lab(real=2, extra=["PartitionName=spot Nodes=n1,n2 MaxTime=INFINITE State=UP"])
    slurm = Slurm(conf=lab.conf)
    by_word = lab.submit("sleep 60", "--comment=ckpt every 10 min", "-J", "a|b c")
    fixed = lab.submit("sleep 60", "--comment=ckpt", "--no-requeue")
    by_place = lab.submit("sleep 60", "-p", "spot")
    plain = lab.submit("sleep 60")
    array = lab.submit("sleep 60", "-p", "spot", "--array=1-2", "--hold")
    ways = [Stoppable("comment", "ckpt"), Stoppable("partition", "spot")]
    found = {job.id: job.interruptible for job in await read_jobs(slurm, ways)}
    waiting = next(job for job in found if job.startswith(f"{array}_"))
    assert found == {by_word: True, fixed: False, by_place: True, plain: False, waiting: True}
    assert not any(job.interruptible for job in await read_jobs(slurm))
