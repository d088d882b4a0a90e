"""A lease never outlives its expiry on the device, whatever happens in whatever order."""

from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

SUPPLY, PRESSURE = "cdu-1/supply_setpoint", "cdu-1/pressure_setpoint"
steps = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.1, 90)),
    st.tuples(st.just("run"), st.floats(5, 200)),
    st.tuples(st.just("run"), st.floats(5, 200)),
    st.tuples(st.just("tick"), st.just(0.0)),
    st.tuples(st.just("poll"), st.just(0.0)),
    st.tuples(st.just("supply"), st.floats(20, 44)),
    st.tuples(st.just("pressure"), st.floats(40000, 160000)),
    st.tuples(st.just("operator"), st.floats(20, 44)),
    st.tuples(st.just("relinquish"), st.just(0.0)),
    st.tuples(st.just("silent"), st.just(0.0)),
    st.tuples(st.just("heal"), st.just(0.0)),
    st.tuples(st.just("kill"), st.just(0.0)),
    st.tuples(st.just("foreign"), st.floats(20, 44)),
)


class History:
    """What was granted, to compare with what the device does."""

    def __init__(self, rig) -> None:
        self.rig = rig
        self.ends_mono_s: dict[str, float] = {}
        self.foreign = False

    async def ask(self, point: str, value: float, ttl_s: float, holder: str = "controller") -> None:
        """Ask for a lease."""
        lease = self.rig.lease(value, ttl_s=ttl_s, point=point, holder=holder)
        if (await self.rig.actuator.request(lease)).accepted:
            self.ends_mono_s[point] = max(self.ends_mono_s.get(point, 0.0), lease.expires_mono_s)

    def check(self) -> None:
        """Compare the device with what was granted."""
        device, now = self.rig.device, self.rig.clock.monotonic()
        if self.foreign:
            return
        for name in ("supply", "pressure"):
            default = {"supply": 32.0, "pressure": 110000.0}[name]
            ended = now >= self.ends_mono_s.get(f"cdu-1/{name}_setpoint", 0.0)
            if ended and device.remote:
                assert abs(device.effective(name) - default) < 1e-6, f"{name} outlives its lease at {now}"


async def play(rig, script, ttl_s) -> None:
    """Play a script to its end."""
    history, epoch = History(rig), 5
    for what, number in script:
        if what == "wait":
            await wait(rig, history, number)
        elif what == "run":
            await run(rig, history, number)
        elif what == "tick":
            await rig.actuator.tick()
        elif what == "poll":
            rig.poll()
        elif what in {"supply", "pressure"}:
            await history.ask(f"cdu-1/{what}_setpoint", number, ttl_s)
        elif what == "operator":
            await history.ask(SUPPLY, number, ttl_s * 2, "operator:ann")
        elif what == "relinquish":
            await rig.actuator.relinquish([SUPPLY], "operator:ann", "test")
        elif what in {"silent", "heal"}:
            rig.device.fault = "silent" if what == "silent" else ""
        elif what == "kill":
            epoch += 1
            rig.start(epoch)
        else:
            rig.device.registers["supply_setpoint"] = number
            history.foreign = True
        history.check()
    await wait(rig, history, ttl_s * 2 + 1)
    assert not rig.device.remote


async def wait(rig, history, seconds) -> None:
    """Time passes in small pieces, and the promise is looked at after each."""
    for _ in range(round(seconds / 2) + 1):
        rig.clock.advance(2)
        history.check()


async def run(rig, history, seconds) -> None:
    """The actuator runs for a while, on fresh polls."""
    for _ in range(round(seconds / 5) + 1):
        rig.clock.advance(5)
        history.check()
        rig.poll()
        await rig.actuator.tick()
        history.check()


@settings(max_examples=120, deadline=None)
@given(script=st.lists(steps, max_size=40), ttl_s=st.floats(60, 400))
@example(script=[("pressure", 45e3), ("wait", 1.0), ("poll", 0.0), ("kill", 0.0), ("supply", 22.0)], ttl_s=60.0)
def test_no_lease_outlives_its_expiry(make_rig, script, ttl_s):
    """Random asks, silences, kills, pauses and foreign writes: after its lease's end a setpoint is at its default."""
    asyncio.run(play(make_rig(), script, ttl_s))
