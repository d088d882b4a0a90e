"""Shed plans on real Redfish services over HTTP: held, told, never beyond the plan, given back whole and step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from cli.shed_take_over import take_over
from devices.http import HttpEndpoint
from devices.redfish_power import PowerLimit
from placement.shed.act import Shedder, ShedOptions
from placement.shed.book import ShedBook
from placement.shed.caps import Caps, Place
from placement.shed.file import read_shed_file
from placement.shed.node_watch import LOOK_S, NodeWatch
from placement.shed.plan import ShedJob, ShedNeed, shed_plan
from placement.shed.reports import ShedReport, ShedState, conditions, process_of
from placement.shed.stops import Run
from placement.shed.wishes import ShedWish
from plant.errors import ConflictError, RefusedError, SilentError
from plant.sheds import CapHeld, JobStopped, ShedKept
from simulator.http_server import serving
from simulator.redfish_power import SYSTEM, GpuNode

DRAW_W, IDLE_W, FULL_W = 1300.0, 200.0, 1350.0
NODES = ("n1", "n2")


@dataclass
class Cluster:
    """A scheduler's answers: jobs `train` (may be stopped) on n1 and `serve` on n2."""

    running: dict[str, Run] = field(
        default_factory=lambda: {
            "train": Run(nodes=("n1",), start_s=100.0, interruptible=True),
            "serve": Run(nodes=("n2",), start_s=100.0, interruptible=False),
        }
    )
    checkpoint_s: float = 0.0
    silent: bool = False
    done: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    async def runs(self) -> dict[str, Run]:
        """All."""
        if self.silent:
            raise SilentError("the controller does not answer")
        return dict(self.running)

    async def nodes(self) -> frozenset[str]:
        """All."""
        if self.silent:
            raise SilentError("the controller does not answer")
        return frozenset(("n1", "n2"))

    async def signal(self, job: str) -> str:
        """Its own exclusions."""
        self.done.append(("signal", job, ()))
        return "n9"

    async def requeue(self, stop: JobStopped, avoid: Sequence[str], *, still_runs: bool) -> None:
        """Gone from its nodes."""
        assert stop.before == "n9"
        self.done.append(("requeue" if still_runs else "exclude", stop.job, tuple(avoid)))
        self.running.pop(stop.job, None)

    async def release(self, stop: JobStopped) -> None:
        """Back where it was."""
        self.done.append(("release", stop.job, (stop.before,)))


class Rig:
    """Two nodes of four GPUs each behind Redfish, a scheduler, and clocks that the test sets."""

    def __init__(self, folder) -> None:
        self.folder, self.now_s = folder, 1000.0
        self.nodes = {n: GpuNode(least_w=300.0, draws=dict.fromkeys(range(4), DRAW_W)) for n in NODES}
        self.places: dict[str, Place] = {}
        self.cluster = Cluster()

    def shedder(self, *, acts: bool = True, tell=None, folder=None) -> Shedder:
        """As a process that has just been started; folder: of another host."""
        book = ShedBook(folder or self.folder, tell)
        options = ShedOptions(acts=acts, lease_s=100.0, step_s=10.0)
        caps = Caps(self.places, book, acts, lambda: self.now_s)
        return Shedder(caps, {"slurm": self.cluster}, book, options, lambda: self.now_s, lambda: self.now_s)

    def power_w(self) -> float:
        """Of all GPUs under their limits."""
        return sum(node.draw_w(i) or 0.0 for node in self.nodes.values() for i in range(4))

    def wish(self, power_w: float, within_s: float | None = None, jobs: Sequence[str] = ("train", "serve")) -> ShedWish:
        """The real plan for so much less, with what the list says of the jobs: `train` may be requeued."""
        known = [
            ShedJob(
                job=job,
                nodes={"r1": 1},
                node_gpus=4,
                dynamic_w=4 * (DRAW_W - IDLE_W),
                may_requeue=job == "train",
            )
            for job in jobs
        ]
        need = ShedNeed(loop="x", racks=frozenset({"r1"}), power_w=power_w, within_s=within_s)
        return ShedWish(
            plans=(shed_plan(need, known),),
            racks=frozenset({"r1"}),
            within_s=within_s,
            rack_of={"n1": "r1", "n2": "r1", "n3": "r2"},
        )

    async def restored(self, shedder: Shedder) -> list[float]:
        """Powers while nothing is asked any more, until nothing is held."""
        seen = []
        while not shedder.book.empty:
            self.now_s += 11.0
            assert not [deed for deed in await shedder.round(ShedWish()) if deed.error]
            seen.append(self.power_w())
        return seen


@pytest.fixture
async def rig(tmp_path) -> AsyncIterator[Rig]:
    """Services on ports of their own."""
    made = Rig(tmp_path / "book")
    async with AsyncExitStack() as stack:
        for name, node in made.nodes.items():
            port = await stack.enter_async_context(serving(node.app))
            endpoint = HttpEndpoint("127.0.0.1", port)
            stack.push_async_callback(endpoint.close)
            for i in range(4):
                limiter = PowerLimit(endpoint, f"{SYSTEM}/Processors/GPU_{i}/EnvironmentMetrics", FULL_W)
                made.places[f"{name}/{i}"] = Place(
                    name=f"{name}/{i}", node=name, limiter=limiter, full_w=FULL_W, idle_w=IDLE_W
                )
        yield made


async def test_a_dry_run_says_all_and_does_nothing(rig):
    """The default: limits, requeues and the book stay as they are; nothing is said twice."""
    shedder, before_w = rig.shedder(acts=False), rig.power_w()
    deeds = await shedder.round(rig.wish(6000.0))
    assert {(deed.what, deed.job) for deed in deeds} == {("cap", "serve"), ("requeue", "train")}
    assert all(deed.dry for deed in deeds)
    assert await shedder.round(rig.wish(6000.0)) == []
    assert rig.power_w() == before_w
    assert all(node.patches == [] for node in rig.nodes.values())
    assert rig.cluster.done == []
    assert not (rig.folder / "shed.json").exists()
    assert not shedder.report().acts


async def test_what_the_plan_asks_comes_off_and_is_given_back_in_steps(rig):
    """By real limits on real sockets, from what GPUs drew before the first cap."""
    shedder, before_w = rig.shedder(), rig.power_w()
    wish = rig.wish(2000.0)
    assert not [deed for deed in await shedder.round(wish) if deed.error]
    assert before_w - rig.power_w() == pytest.approx(2000.0, abs=8.0)
    assert shedder.report().relief_w["x"] == pytest.approx(2000.0, abs=8.0)
    again = sum(len(node.patches) for node in rig.nodes.values())
    assert await shedder.round(wish) == []
    assert sum(len(node.patches) for node in rig.nodes.values()) == again, "nothing is written twice"
    deeper = rig.wish(3000.0)
    await shedder.round(deeper)
    assert before_w - rig.power_w() == pytest.approx(3000.0, abs=8.0)
    seen = await rig.restored(shedder)
    assert seen == sorted(seen)
    assert len(seen) > 2
    assert seen[-1] == before_w
    assert shedder.report().held == ()


async def test_what_stood_there_before_comes_back_and_others_limits_stay(rig):
    """An operator's lower limit is never raised; one set meanwhile is left, and told."""
    rig.nodes["n1"].limits[0] = 700.0
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    assert rig.nodes["n1"].limit_w(0) <= 700.0
    rig.nodes["n1"].limits[1] = 950.0
    said = []
    while not shedder.book.empty:
        rig.now_s += 11.0
        # the book says what we set; a step that writes anew would overwrite it, so only the lift is looked at
        shedder.book.jobs.clear()
        said += await shedder.round(ShedWish())
    assert rig.nodes["n1"].limit_w(0) == 700.0
    assert rig.nodes["n1"].limit_w(1) == 950.0
    assert [deed.place for deed in said if deed.what == "left"] == ["n1/1"]


async def test_a_refused_limit_is_told_tried_again_and_not_reckoned_with(rig):
    """A deaf or locked controller; the plan is told not to count on it, the others hold."""
    shedder = rig.shedder()
    rig.nodes["n2"].locked = True
    wish = rig.wish(2000.0)
    deeds = await shedder.round(wish)
    assert {deed.job for deed in deeds if deed.error} == {"serve"}
    assert all("HTTP 400" in deed.error for deed in deeds if deed.error)
    report = shedder.report()
    assert report.uncapped == ("serve",)
    assert "HTTP 400" in report.last_error
    assert report.relief_w["x"] == pytest.approx(1000.0, abs=8.0)
    assert await shedder.round(wish) == [], "the same refusal is no news"
    rig.nodes["n2"].locked = False
    assert {deed.job for deed in await shedder.round(wish)} == {"serve"}
    assert shedder.report().last_error == ""


async def test_a_job_is_requeued_once_kept_away_and_let_in_again(rig):
    """Where caps are not enough; whoever gets its GPUs next finds no limit of its."""
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    for _ in range(3):
        await shedder.round(rig.wish(6000.0))
    assert rig.cluster.done == [("signal", "train", ()), ("requeue", "train", ("n1", "n2"))]
    assert [rig.nodes["n1"].limit_w(i) for i in range(4)] == [FULL_W] * 4
    assert shedder.report().stopped == ("train",)
    assert shedder.report().relief_w["x"] >= 6000.0
    await rig.restored(shedder)
    assert rig.cluster.done[-1] == ("release", "train", ("n9",))
    assert [what for what, _, _ in rig.cluster.done].count("requeue") == 1


async def test_when_the_clock_runs_out_everything_is_capped_before_it_is_requeued(rig):
    """And a checkpoint gets no more time than the ride-through leaves."""
    rig.cluster.checkpoint_s = 3600.0
    await rig.shedder().round(rig.wish(6000.0, within_s=5.0))
    capped = [path for path, _ in rig.nodes["n1"].patches]
    assert len(capped) == 4, "the job that goes is capped until it is gone"
    assert ("requeue", "train", ("n1", "n2")) in rig.cluster.done


async def test_nothing_is_stopped_that_may_not_be(rig):
    """The list says so, the scheduler does not: the scheduler knows better. A job that is gone is told."""
    rig.cluster.running["train"] = Run(nodes=("n1",), start_s=100.0, interruptible=False)
    shedder = rig.shedder()
    deeds = await shedder.round(rig.wish(6000.0))
    assert [d.error for d in deeds if d.what == "requeue"] == [
        "job train may not be stopped, says slurm; its list at the API says otherwise"
    ]
    del rig.cluster.running["train"]
    deeds = await shedder.round(rig.wish(6000.0))
    assert [d.error for d in deeds if d.what == "requeue"] == ["job train does not run any more"]
    assert rig.cluster.done == []
    assert "train" not in shedder.book.jobs


async def test_a_job_that_ends_takes_its_limits_along(rig):
    """Whoever comes next is not slowed by a plan that does not know it."""
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    rig.cluster.running["train"] = Run(nodes=("n3",), start_s=200.0, interruptible=True)
    await shedder.round(rig.wish(2000.0))
    assert [rig.nodes["n1"].limit_w(i) for i in range(4)] == [FULL_W] * 4
    assert rig.nodes["n2"].limit_w(0) < FULL_W


async def test_a_node_that_another_job_shares_is_not_capped(rig):
    """The plan does not name that job, so nothing is taken from it."""
    rig.cluster.running["other"] = Run(nodes=("n1",), start_s=100.0, interruptible=False)
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    assert rig.nodes["n1"].limit_w(0) == FULL_W
    assert rig.nodes["n2"].limit_w(0) < FULL_W
    assert shedder.report().uncapped == ("train",)


async def test_caps_are_leases(rig):
    """An API that falls silent: held until the lease is over, then given back in steps."""
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    held_w, silence = rig.power_w(), ShedWish(heard=False, problem="no answer")
    for _ in range(9):
        rig.now_s += 11.0
        await shedder.round(silence)
        assert rig.power_w() == held_w
    assert shedder.report().last_error == "no answer"
    while not shedder.book.empty:
        rig.now_s += 11.0
        await shedder.round(silence)
    assert rig.power_w() == 8 * DRAW_W


async def test_the_next_process_goes_on_from_the_book(rig):
    """Killed between what is written down and what is done: it is done, or given back; never forgotten."""
    first = rig.shedder()
    for place in rig.places.values():
        object.__setattr__(place, "limiter", Dying(place.limiter))
    with pytest.raises(Killed):
        await first.round(rig.wish(2000.0))
    for place in rig.places.values():
        object.__setattr__(place, "limiter", place.limiter.real)
    assert rig.power_w() < 8 * DRAW_W, "it died after the first device had taken it"
    second = rig.shedder()
    assert len(second.book.caps) == 8
    assert await rig.restored(second)
    assert rig.power_w() == 8 * DRAW_W
    assert all(node.limit_w(i) == FULL_W for node in rig.nodes.values() for i in range(4))


async def test_a_requeue_is_not_done_twice_after_a_kill(rig):
    """The run that was meant has ended: only its exclusions are missing."""
    first = rig.shedder()
    rig.cluster.running["train"] = Run(nodes=("n1",), start_s=100.0, interruptible=True)
    first.book.stopped["train"] = JobStopped(job="train", source="slurm", started_s=50.0, before="n9")
    first.book.keep()
    await rig.shedder().round(rig.wish(6000.0))
    assert rig.cluster.done == [("exclude", "train", ("n1", "n2"))]


async def test_what_is_held_stays_while_more_is_asked_than_there_is(rig):
    """A list that ran out names no jobs: that is no reason to give power back."""
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    held_w = rig.power_w()
    for _ in range(3):
        rig.now_s += 11.0
        await shedder.round(rig.wish(2000.0, jobs=()))
    assert rig.power_w() == held_w


async def test_a_silent_scheduler_frees_nothing(rig):
    """Where jobs run is not known for now: caps stay, and it is told."""
    shedder = rig.shedder()
    await shedder.round(rig.wish(2000.0))
    held_w = rig.power_w()
    rig.cluster.silent = True
    await shedder.round(rig.wish(2000.0))
    assert rig.power_w() == held_w
    assert "does not answer" in shedder.report().last_error


async def test_steps_back_that_bring_the_wish_back_come_ever_later(rig):
    """The wish is for so much more than is held; each time it returns at once the wait doubles."""
    shedder = rig.shedder()
    await shedder.round(rig.wish(3000.0))
    rises = []
    for _ in range(200):
        rig.now_s += 1.0
        before_w = rig.power_w()
        held_w = 8 * DRAW_W - before_w
        await shedder.round(ShedWish() if held_w >= 2990.0 else rig.wish(3000.0))
        if rig.power_w() > before_w + 1.0:
            rises.append(rig.now_s)
    gaps = [b - a for a, b in pairwise(rises)]
    assert len(gaps) >= 2
    assert gaps[-1] > 1.5 * gaps[0]


class Killed(BaseException):
    """As by SIGKILL: nobody tidies up."""


class Dying:
    """Sets the limit, and then the process is gone."""

    def __init__(self, real: PowerLimit) -> None:
        self.real = real

    async def read(self):
        """As it is."""
        return await self.real.read()

    async def set(self, watts: float):
        """Once."""
        await self.real.set(watts)
        raise Killed


async def test_what_is_held_is_told_before_it_is_done(rig, tmp_path):
    """Limits and requeues alike; another host's process gives all of it back from what it was told last."""
    full_w, told = rig.power_w(), []
    shedder = rig.shedder(tell=lambda kept: told.append((rig.power_w(), list(rig.cluster.done), kept)))
    await shedder.round(rig.wish(6000.0))
    assert rig.power_w() < full_w
    (first_w, _, first), (_, done, second), (_, _, last) = told
    assert (first_w, {cap.sure for cap in first.caps}) == (full_w, {False})
    assert ([stop.job for stop in second.stopped], done) == (["train"], [("signal", "train", ())])
    assert last == shedder.book.held_now
    while not all(
        cap.sure for cap in shedder.book.caps.values()
    ):  # a device that did not answer in time is asked again
        await shedder.round(rig.wish(6000.0))
    for _ in range(10):  # a device that is late in one of these rounds changes what is held
        count = len(told)
        await shedder.round(rig.wish(6000.0))
        if len(told) == count:
            break
    assert len(told) == count, "once nothing changes nothing is told"
    assert all(a[2] != b[2] for a, b in pairwise(told)), "nothing is told twice"
    last = told[-1][2]

    other = rig.shedder(folder=tmp_path / "elsewhere")
    other.book.adopt(last)
    assert other.book.owner != last.owner
    await rig.restored(rig.shedder(folder=tmp_path / "elsewhere"))
    assert rig.power_w() == full_w
    assert rig.cluster.done[-1] == ("release", "train", ("n9",))


async def test_who_cannot_be_told_stops_nothing_but_a_successor_does(rig):
    """A silent API is an error in the report; where another process goes on from the book, nothing is done any more."""
    full_w = rig.power_w()

    def silent(_):
        raise SilentError("no API")

    def taken(_):
        raise ConflictError("it is elsewhere's")

    stranger = rig.shedder(tell=taken)
    with pytest.raises(ConflictError, match="elsewhere"):
        await stranger.round(rig.wish(4000.0))
    assert (rig.power_w(), rig.cluster.done) == (full_w, [])
    shedder = rig.shedder(tell=silent)
    await shedder.round(rig.wish(4000.0))
    assert rig.power_w() < full_w
    assert "no API" in shedder.report().last_error


def test_a_book_of_a_dead_host_is_taken_over_once_its_lease_is_over(tmp_path):
    """Waited for while it is heard, its lease lasts or the API is silent; a book that holds something is not mixed."""
    cap = CapHeld(place="a", node="n1", job="j", draw_w=9.0, before_w=None, asked_w=5.0, watts=5.0, sure=True)
    report = ShedReport(acts=True, period_s=2.0, sent_at=0.0, lease_left_s=900.0)
    book, said = ShedBook(tmp_path), []

    class Client:
        age_s, kept, silent = 1.0, ShedKept(owner="old", caps=(cap,)), True

        def shed_book(self, name):
            assert name == "shed"
            if self.silent:
                raise SilentError("no API")
            return self.kept

        def shed(self):
            states = (process_of("shed", report, self.age_s),)
            return ShedState(now_s=0.0, edge_connected=True, shed=(), processes=states)

        def put_shed_book(self, _, kept):
            assert kept.taken_from == "old"
            self.kept = kept

    client = Client()

    def later(seconds):
        client.silent, client.age_s = False, client.age_s + 300.0
        assert seconds < 60.0

    take_over(client, "shed", book, said.append, wait=True, sleep=later)
    assert client.age_s == 901.0
    assert ["no API" in said[0], "lease lasts" in said[1], "1 limits" in said[2]] == [True] * 3
    assert (list(ShedBook(tmp_path).caps), client.kept.owner) == (["a"], book.owner)
    take_over(client, "shed", book, said.append, wait=True, sleep=pytest.fail)  # its own by now: it goes on
    client.kept = ShedKept(owner="third")
    with pytest.raises(RefusedError, match="holds something itself"):
        take_over(client, "shed", book, said.append, wait=False)


async def test_limits_for_nodes_that_nobody_has_are_told_once(tmp_path):
    """With the line; a scheduler that is silent keeps what was seen last; what is mended goes."""
    file = tmp_path / "shed.yaml"
    limits = '  - {nodes: [n1, n2o], bmc: "{node}.bmc", paths: [/p], full_w: 100}\n'
    file.write_text("schema: 1\nschedulers:\n  - {name: hpc, kind: slurm}\nlimits:\n" + limits)
    cluster, now_s = Cluster(), 0.0
    watch = NodeWatch({"hpc": cluster}, read_shed_file(file).node_at, lambda: now_s)
    assert await watch.look() == [
        f"no scheduler has n2o ({file}:5); correct it under limits",
        "1 nodes have no power limit in the shed file, e.g. n2",
    ]
    assert watch.unknown == (f"n2o ({file}:5)",)
    assert await watch.look() == []
    now_s = LOOK_S
    assert await watch.look() == []
    cluster.silent, now_s = True, 2 * LOOK_S
    (silent,) = await watch.look()
    assert "is not known: the controller does not answer" in silent
    assert watch.unknown
    cluster.silent, now_s = False, 3 * LOOK_S
    watch.node_at = {"n1": "", "n2": ""}
    assert (await watch.look(), watch.unknown) == ([], ())
    told = process_of("shed", ShedReport(acts=True, period_s=2.0, sent_at=0.0, unknown_nodes=("n2o (s:5)",)), 0.0)
    (condition,) = conditions([told], False, 0.0)
    assert condition.cause.text == "shed has power limits for 1 nodes that no scheduler has: n2o (s:5)"
