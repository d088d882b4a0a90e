"""The control room over a plant in memory: the real cycle, guard, leases, modes and audit, on a clock moved by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

from actuator.actuator import Actuator
from alarms.board import ConditionBoard
from cli.budgets import BudgetDesk
from cli.control import CYCLE_S, Control
from cli.switchback import Switchback
from controller.step import step
from controller.worker import StepWorker
from plant.intents import Answer, Intent, IntentKind, Mode
from plant.live import LiveTable
from plant.samples import SampleBatch
from plant.topology import Site
from reports.switchback import SwitchbackPlan
from simulator.memory import GOOD, MemoryPlant
from store.audit import AuditLog
from store.bus import BusServer
from store.embedded import EmbeddedStore
from store.state import StateDir

NOON_S = 1_752_573_600.0
TICK_S = 20.0
LOOP = "tcs-1"
SUPPLY, DP = "cdu-1/effective_supply_temperature_setpoint", "cdu-1/effective_differential_pressure_setpoint"


class Direct(StepWorker):
    """The worker without its process: the same step, here. late: nothing comes in time."""

    late = False

    async def run(self, snapshot, outlook, now_s):
        """One step."""
        if self.late:
            self._note_failure(TimeoutError("told to be late"), now_s)
            return None
        result = step(self.state, snapshot, outlook, now_s, self._site)
        self._late_since_s, self.state = None, result.state
        return result


class Heard(BusServer):
    """The bus, with what was said last of each kind."""

    async def publish(self, kind, body):
        """Say it."""
        self.said[kind] = body
        await super().publish(kind, body)


STORES: list[EmbeddedStore] = []
"""Of the rooms of one test; its fixture closes them."""


class Room:
    """One site's control in mode auto; `site` may differ from the plant's."""

    def __init__(
        self,
        site: Site,
        folder: Path,
        plant: MemoryPlant | None = None,
        plan: SwitchbackPlan | None = None,
        worker: StepWorker | None = None,
    ) -> None:
        """worker: one with a process of its own, in place of the direct one."""
        self.site, self.plant = site, plant or MemoryPlant(site, NOON_S)
        self.clock, self.deaf, self.highest = self.plant.clock, False, Mode.AUTO
        self.state = StateDir(folder / "state")
        own = [f"{link.host}:{link.port}" for link in site.links.values()]
        self.state.write_json("commissioning.json", {"endpoints": own, "start_mode": "auto"})
        self.store = EmbeddedStore.open(self.state.path / "history.sqlite", site.retention)
        STORES.append(self.store)
        self.own_worker = worker
        self.plan, self.epoch, self.audit, self.switchback = plan, 0, None, None
        self.open()

    def open(self) -> None:
        """A new process over the same state and plant."""
        if self.audit is not None:
            self.audit.close()
        self.live, self.board = LiveTable(self.site.points.values(), self.clock), ConditionBoard()
        self.audit, self.epoch = AuditLog(self.state.audit, "edge", self.clock), self.epoch + 1
        drives = {name: self.plant.device(drive.equipment) for name, drive in self.site.drives.items()}
        self.actuator = Actuator(
            self.site, drives, self.live, self.clock, self.audit, self.epoch, frozenset(self.site.drives)
        )
        self.worker = self.own_worker or Direct(self.site)
        if self.plan is not None:
            self.switchback = Switchback(self.plan, self.site, self.state, self.audit, self.clock, self.board)
        budgets = BudgetDesk(self.site, self.clock, self.state, self.audit, self.board, self.live)
        highest = dict.fromkeys(self.site.drives, self.highest)
        self.control = Control(
            self.site, self.clock, self.state, self.live, self.actuator, self.worker, self.audit, self.board, highest,
            self.epoch, tuple, budgets.follow, self.switchback,
        )  # fmt: skip
        self.said: dict[str, object] = {}
        self.bus = Heard(self.state.bus, self.control.intent)
        self.bus.said = self.said
        self.control.publish_to(self.bus, self.store)

    async def cycles(self, count: int) -> None:
        """So many cycles of control, leases renewed and watched between them."""
        for _ in range(count):
            self.hear(self.plant.batch())
            await self.control.cycle()
            for _ in range(round(CYCLE_S / TICK_S)):
                self.plant.advance(TICK_S)
                now_s = self.clock.now()
                shown = self.plant.plant.measured(list(self.site.drives))
                self.hear(SampleBatch.of([(p, now_s, now_s, v, GOOD) for p, v in shown.items() if not math.isnan(v)]))
                await self.actuator.tick()

    def hear(self, batch: SampleBatch) -> None:
        """Telemetry, unless `deaf`."""
        if not self.deaf:
            self.live.update(batch)

    async def ask(self, kind: IntentKind, reason: str = "drill", **more) -> Answer:
        """An operator's wish."""
        return await self.control.intent(
            Intent(kind=kind, actor="mei", reason=reason, at_s=self.clock.now(), loop=LOOP, **more)
        )

    def shown(self) -> dict[str, float]:
        """Setpoints that the first CDU follows [SI]."""
        values = self.plant.plant.measured()
        return {p: values[p] for p in (SUPPLY, DP)}

    def at_default(self) -> bool:
        """Whether it is at its own design setpoints, with nothing held."""
        shown = self.shown()
        return abs(shown[SUPPLY] - 32.0) < 0.3 and abs(shown[DP] - 110e3) < 1500 and not self.actuator.state().leases

    def codes(self) -> set[str]:
        """Conditions that stand."""
        return {c.code for c in self.board.all()}

    def let_go(self) -> str:
        """Why the loop is let go."""
        kept = self.state.read_json("modes.json")
        return kept[LOOP]["let_go"] if kept else ""

    def mode(self) -> str:
        """The loop's mode as it is kept."""
        return self.state.read_json("modes.json")[LOOP]["mode"]

    def planned(self) -> str:
        """The code of the loop's newest plan, as the page hears it."""
        rows = [row for row in self.said.get("plans", []) if row.loop == LOOP]
        return rows[0].reason.code if rows else ""

    def told(self, action: str) -> list[dict]:
        """Details of the audit's entries of one kind."""
        return [e["detail"] for e in self.entries() if e["action"] == action]

    def written(self) -> int:
        """Commands accepted so far."""
        return self.actuator.state().accepted_commands

    def entries(self) -> list[dict]:
        """The audit."""
        return [json.loads(s) for p in self.state.audit.glob("*.jsonl") for s in p.read_text().splitlines()]
