"""Pumps of facility and condenser water: the system curve that they work against, alone or in parallel."""

from __future__ import annotations

from collections.abc import Sequence

from plant.topology import Equipment
from simulator.pumps import PumpCurve

STATIC_SHARE = (
    0.5  # of the design head: what the loop keeps across its users; the rest is pipes, goes with flow squared
)
MOST_PUMP_FLOW = 1.25  # of its design flow a pump gives this at full speed


class Pump:
    """Pumps that keep a differential pressure at their users. Flow [m3/s], power [W].

    System curve: head = design head * (static + (1 - static) * (flow / design flow)^2); speed by the affinity laws.
    """

    def __init__(self, equipment: Equipment) -> None:
        design = equipment.design
        self.id, self.design_flow_m3_s, self.design_head_pa = equipment.id, design["flow_m3_s"], design["head_pa"]
        self.efficiency, self.volume_m3 = design.get("efficiency", 0.65), design.get("volume_m3", 2.0)
        self.static_share = design.get("static_head_fraction", STATIC_SHARE)
        self.curve = PumpCurve.through(self.design_flow_m3_s, self.design_head_pa, self.efficiency)
        self.running = True
        self.flow_m3_s = self.power_w = self.speed = 0.0
        self.head_pa = self.design_head_pa

    def step(self, flow_m3_s: float, share: float) -> None:
        """Move its part of what the valves let through; share: all of it over all pumps' design flow [1].

        Its whole power heats the water.
        """
        self.flow_m3_s = flow_m3_s
        self.head_pa = self.design_head_pa * (self.static_share + (1.0 - self.static_share) * share * share)
        self.speed = self.curve.speed_for(self.head_pa, flow_m3_s) if self.running else 0.0
        self.power_w = self.curve.power_w(self.speed, flow_m3_s, self.head_pa)


class PumpBank:
    """Pumps in parallel; those that run share the flow equally, the others carry nothing."""

    def __init__(self, pumps: Sequence[Pump]) -> None:
        self.pumps = list(pumps)
        self.design_flow_m3_s = sum(pump.design_flow_m3_s for pump in self.pumps)
        self.volume_m3 = sum(pump.volume_m3 for pump in self.pumps)
        self.flow_m3_s = self.power_w = 0.0
        self.drive = 1.0
        """Share of what users' valves would let through that the running pumps can give."""

    @property
    def running(self) -> list[Pump]:
        """Those that run."""
        return [pump for pump in self.pumps if pump.running]

    def step(self, flow_m3_s: float) -> None:
        """Move what the valves let through."""
        on, share = self.running or self.pumps, flow_m3_s / self.design_flow_m3_s
        for pump in self.pumps:
            pump.step(flow_m3_s / len(on) if pump in on else 0.0, share)
        self.flow_m3_s, self.power_w = flow_m3_s, sum(pump.power_w for pump in self.pumps)

    def limit(self) -> None:
        """Find the drive after pumps were switched: none, all, or what those that run give at full speed."""
        most_m3_s = MOST_PUMP_FLOW * sum(pump.design_flow_m3_s for pump in self.running)
        if len(self.pumps) == 1 or most_m3_s <= 0.0:
            self.drive = float(most_m3_s > 0.0)
        else:
            self.drive = min(most_m3_s / max(self.flow_m3_s / max(self.drive, 0.1), 1e-9), 1.0)
