"""Loans of nodes: every step, crashes between and within them, roll-back; and between two real Slurm clusters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from placement.loans import RESTING, advance, call_back
from placement.slurm.commands import Slurm
from placement.slurm.nodes import read_nodes
from placement.slurm.pool import SlurmPool
from plant.errors import RefusedError, SilentError
from plant.loans import Loan, LoanState


@dataclass
class PaperPool:
    """A pool on paper. fails: what raises; busy: whether jobs run."""

    name: str
    here: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    busy: bool = False
    fails: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def _may(self, what: str) -> None:
        self.done.append(what)
        if what in self.fails:
            raise SilentError(f"{self.name} can't {what}")

    async def drain(self, node, reason):
        """As of `Pool`."""
        self._may("drain")
        self.drained.add(node)

    async def idle(self, node):
        """As of `Pool`."""
        self._may("idle")
        return not self.busy

    async def release(self, node):
        """As of `Pool`."""
        self._may("release")
        self.here.discard(node)

    async def admit(self, node):
        """As of `Pool`."""
        self._may("admit")
        self.here.add(node)
        self.drained.discard(node)

    async def usable(self, node):
        """As of `Pool`."""
        self._may("usable")
        return node in self.here and node not in self.drained


def loan(**changes) -> Loan:
    """A loan that somebody has just allowed."""
    given = {"id": "7", "node": "n1", "lender": "a", "borrower": "b", "owner": "ops", "due_s": 1000.0}
    return Loan(**(given | {"state": LoanState.ALLOWED, "since_s": 0.0} | changes))


@dataclass
class Ledger:
    """Where loans are kept."""

    last: Loan | None = None
    states: list[str] = field(default_factory=list)

    async def keep(self, kept: Loan) -> None:
        """Remember it."""
        self.last = kept
        self.states.append(str(kept.state))


def pools(**b) -> dict[str, PaperPool]:
    """Lender a with the node, borrower b without."""
    return {"a": PaperPool("a", here={"n1"}), "b": PaperPool("b", **b)}


async def drive(one: Loan, two, ledger: Ledger, begin_s: float, steps: int = 50) -> Loan:
    """Advance second by second until it rests."""
    for second in range(steps):
        one = await advance(one, two, begin_s + second, ledger.keep)
        if one.state in RESTING:
            break
    return one


async def test_there_and_back():
    """A node goes, stays until its time is due, and comes back; each step is timed."""
    two, ledger = pools(), Ledger()
    lent = await drive(loan(), two, ledger, 0.0)
    assert lent.state is LoanState.LENT
    assert (two["a"].here, two["b"].here) == (set(), {"n1"})
    assert (await advance(lent, two, 999.0, ledger.keep)).state is LoanState.LENT
    back = await drive(await advance(lent, two, 1000.0, ledger.keep), two, ledger, 1001.0)
    assert back.state is LoanState.RETURNED
    assert (two["a"].here, two["b"].here) == ({"n1"}, set())
    assert {"draining", "verifying", "leaving", "checking"} <= back.took_s.keys()


@pytest.mark.parametrize("crash", range(1, 10))
async def test_a_crash_after_any_step(crash):
    """What was kept last is enough to go on from."""
    two, ledger = pools(), Ledger()
    one = loan(due_s=5.0)
    for second in range(crash):
        one = await advance(one, two, float(second), ledger.keep)
    assert ledger.last is not None
    done = await drive(ledger.last, two, ledger, 20.0)
    if done.state is LoanState.LENT:
        done = await drive(await advance(done, two, 60.0, ledger.keep), two, ledger, 61.0)
    assert done.state is LoanState.RETURNED
    assert (two["a"].here, two["b"].here) == ({"n1"}, set())


@pytest.mark.parametrize("what", ["admit", "usable"])
async def test_a_borrower_that_can_not_take_it(what):
    """Given up after two minutes, and the lender has its node back, with the cause."""
    two, ledger = pools(fails={what}), Ledger()
    one = await drive(loan(), two, ledger, 0.0, steps=400)
    assert one.state is LoanState.FAILED
    assert one.problem == f"b can't {what}"
    assert two["a"].here == {"n1"}
    assert "n1" not in two["a"].drained


async def test_jobs_that_do_not_end():
    """The lender's jobs are never ended: the loan is given up at its limit."""
    two, ledger = pools(), Ledger()
    two["a"].busy = True
    one = await drive(loan(drain_limit_s=60.0), two, ledger, 0.0, steps=100)
    assert one.state is LoanState.FAILED
    assert one.problem == "draining: not done within 60 s"
    assert "n1" not in two["a"].drained


async def test_the_way_back_is_tried_for_ever():
    """A borrower whose jobs go on keeps the node until they end; then it comes home."""
    two, ledger = pools(busy=True), Ledger()
    one = await drive(loan(state=LoanState.CALLED_BACK), two, ledger, 0.0, steps=5000)
    assert one.state is LoanState.LEAVING
    two["b"].busy = False
    assert (await drive(one, two, ledger, 6000.0)).state is LoanState.RETURNED


async def test_what_nobody_can_use_meanwhile_is_told():
    """The borrower's node fails, or its people close it: told as long as it is so; the loan goes on until it is due."""
    two, ledger = pools(here={"n1"}), Ledger()
    two["a"].drained.add("n1")
    two["b"].drained.add("n1")
    one = await advance(loan(state=LoanState.LENT), two, 1.0, ledger.keep)
    assert (one.state, one.problem) == (LoanState.LENT, "b can't use n1: it is not ready, or closed there")
    assert ledger.last == one
    two["b"].drained.clear()
    assert (await advance(one, two, 2.0, ledger.keep)).problem == ""


async def test_called_back_early():
    """Before the borrower has it: rolled back. After it is over: refused."""
    two, ledger = pools(), Ledger()
    one = await advance(loan(), two, 0.0, ledger.keep)
    done = await drive(await call_back(one, 1.0, ledger.keep), two, ledger, 2.0)
    assert (done.state, done.problem) == (LoanState.FAILED, "called back")
    assert two["a"].here == {"n1"}
    with pytest.raises(RefusedError, match="nothing to call back"):
        await call_back(done, 3.0, ledger.keep)


async def test_a_proposal_does_nothing():
    """Until an operator allows it."""
    two, ledger = pools(), Ledger()
    assert (await advance(loan(state=LoanState.PROPOSED), two, 0.0, ledger.keep)).state is LoanState.PROPOSED
    assert not two["a"].done


async def test_a_pool_that_nobody_knows():
    """Says which."""
    with pytest.raises(RefusedError, match="no pool b"):
        await advance(loan(), {"a": PaperPool("a")}, 0.0, Ledger().keep)


@pytest.mark.real
async def test_between_real_schedulers(make_lab):
    """Slurm lends a node on which a job still runs, and has it back; the job is not ended for it."""
    lab = make_lab(real=2)
    slurm, ledger = Slurm(conf=lab.conf), Ledger()
    job = lab.submit("sleep 3", "-w", "n1")
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", 10, "a start")
    two = {"a": SlurmPool("a", slurm), "b": PaperPool("b")}
    one, began = loan(due_s=time.time() + 3600, since_s=time.time()), time.monotonic()
    while one.state is not LoanState.LENT:
        one = await advance(one, two, time.time(), ledger.keep)
    assert lab.job(job)["JobState"] == "COMPLETED"
    assert (await read_nodes(slurm))["n1"].reason == "coldplate: loan 7 to b by ops: no reason given"
    one = await call_back(one, time.time(), ledger.keep)
    while one.state is not LoanState.RETURNED:
        one = await advance(one, two, time.time(), ledger.keep)
    assert time.monotonic() - began < 60
    again = lab.submit("sleep 1", "-w", "n1")
    lab.until(lambda: lab.job(again)["JobState"] == "RUNNING", 10, "a start on the returned node")


@pytest.mark.real
async def test_a_node_that_others_drained_is_not_lent(make_lab):
    """Nor put back into service."""
    lab = make_lab(real=1)
    pool = SlurmPool("a", Slurm(conf=lab.conf))
    lab.run("scontrol", "update", "nodename=n1", "state=drain", "reason=bad DIMM")
    with pytest.raises(RefusedError, match="drained by others: bad DIMM"):
        await pool.drain("n1", "loan")
    with pytest.raises(RefusedError, match="drained by others"):
        await pool.admit("n1")
    with pytest.raises(RefusedError, match="a has no node n9"):
        await pool.usable("n9")


@pytest.mark.parametrize(("state", "idle"), [("drained", True), ("draining", False), ("drained*", None)])
async def test_a_node_that_does_not_answer_is_not_idle(state, idle):
    """Slurm forgets the jobs of a node that is silent; they may run on there."""

    class Told:
        async def run(self, *words):
            return words[-1].partition("%")[0] + f"n1|1|{state}|coldplate: loan 7 to b\n"

    pool = SlurmPool("a", Told())
    if idle is None:
        with pytest.raises(SilentError, match="n1 does not answer a: what runs there is not known"):
            await pool.idle("n1")
    else:
        assert await pool.idle("n1") is idle
