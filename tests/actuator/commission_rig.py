"""The demo pod's devices over real sockets, sixty times as fast, with controllers that can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from contextlib import contextmanager

from cli.commission import CommissionOptions
from plant.clock import ScaledClock
from simulator import serve
from simulator.devices import ControlSource, DeviceController
from sites import load_site

SPEED = 60.0


class Deaf(DeviceController):
    """Takes every write and follows none."""

    def step(self, now_s, dt_s):
        """As ever, but its setpoints stay at their defaults."""
        super().step(now_s, dt_s)
        for setpoint in self._setpoints.values():
            setpoint.effective = setpoint.default


class TenTimes(DeviceController):
    """Shows what was written, and follows ten times that: its firmware reads the register with another scale."""

    def step(self, now_s, dt_s):
        """As ever, but what it was told remotely is taken ten times over."""
        super().step(now_s, dt_s)
        if self.source is ControlSource.REMOTE:
            for setpoint in self._setpoints.values():
                if abs(setpoint.remote - setpoint.default) > 1e-3:
                    setpoint.effective = 10.0 * setpoint.remote


class NeverLetsGo(DeviceController):
    """Has no working timeout: it stays remote until it is told otherwise."""

    def _watch(self, now_s):
        self._beat_s = now_s if self._beat_s > 0 else self._beat_s
        super()._watch(now_s)


class Rig:
    """options: for `commission`; plant: the simulated one, in a thread of its own."""

    def __init__(self, options: CommissionOptions, plants: list) -> None:
        self.options, self._plants = options, plants

    @property
    def plant(self):
        """The simulated plant."""
        return self._plants[0]

    def site(self):
        """The site at the rig's addresses."""
        found = json.loads(self.options.endpoints.read_text())
        return load_site(self.options.site_path, {k: tuple(v) for k, v in found.items()})


@contextmanager
def running(
    monkeypatch, site_path, folder, equipment, kind: type[DeviceController] | None = None, broker=None, speed=SPEED
):
    """A rig whose `equipment` has a controller of the given kind, and so has the BMS for it."""
    clock, ready, found, plants = ScaledClock(speed=speed), threading.Event(), {}, []
    site = load_site(site_path)
    monkeypatch.setattr(serve, "SimulatedPlant", _recorded(serve.SimulatedPlant, plants, equipment, kind))

    def opened(endpoints):
        found.update({k: list(v) for k, v in endpoints.items() if k != serve.FAULTS})
        ready.set()

    loop = asyncio.new_event_loop()
    serving = serve.serve_plant(site, clock, ports=dict.fromkeys(site.links, 0), ready=opened, broker=broker)
    task = loop.create_task(serving)

    def work():
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(30)
    path = folder / "endpoints.json"
    path.write_text(json.dumps(found))
    options = CommissionOptions(
        site_path=site_path, state=folder / "state", clock=clock, endpoints=path, equipment=(equipment,), person="ann"
    )
    try:
        yield Rig(options, plants)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)


def _recorded(made: Callable, plants: list, equipment: str, kind: type[DeviceController] | None) -> Callable:
    """The plant's constructor, with one controller of another class and the plant kept for the test."""

    def make(*arguments, **named):
        plant = made(*arguments, **named)
        for controller in (plant.controllers.get(equipment), plant.requested.get(equipment)):
            if kind is not None and controller is not None:
                controller.__class__ = kind
        plants.append(plant)
        return plant

    return make
