"""The machines of a hall with trains from the design figures of its site file, new or worn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.trains_units import GordonNgChiller, PlateExchanger, TowerCell, VariablePump


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What is left of the design [1]: of towers' fill, chillers' heat and COP, pumps' efficiency, plates' UA."""

    fill: float = 1.0
    chillers: float = 1.0
    pumps: float = 1.0
    plates: float = 1.0


NEW = Wear()


@dataclass(frozen=True, slots=True)
class Tower:
    """A tower with its condenser pump."""

    cell: TowerCell
    pump: VariablePump
    static: float
    least: float

    def pump_w(self, share: float) -> float:
        """Of a share of design flow [W]."""
        head = self.static + (1.0 - self.static) * share**2
        return self.pump.power_w(share * self.pump.flow_m3_s, head * self.pump.head_pa)


def tower_of(design: Mapping[str, float], wear: Wear) -> Tower:
    """A tower and its pump."""
    cell = TowerCell(design)
    cell.fill *= wear.fill
    pump = VariablePump(
        flow_m3_s=design["flow_m3_s"], head_pa=design["head_pa"], efficiency=wear.pumps * design["efficiency"]
    )
    return Tower(cell=cell, pump=pump, static=design["static_head_fraction"], least=design["min_flow_fraction"])


def plates_of(design: Mapping[str, float], wear: Wear) -> PlateExchanger:
    """Plates of an economiser."""
    return PlateExchanger(
        ua_w_k=wear.plates * design["ua_w_k"], hot_m3_s=design["flow_m3_s"], cold_m3_s=design["condenser_flow_m3_s"]
    )


def chiller_of(design: Mapping[str, float], wear: Wear) -> GordonNgChiller:
    """A chiller; what wears takes of its heat and of every COP."""
    cops = {key: wear.chillers * value for key, value in design.items() if key == "heat_w" or key.startswith("cop")}
    return GordonNgChiller({**design, **cops})


def pump_of(design: Mapping[str, float], wear: Wear) -> VariablePump:
    """A facility pump; `variable_speed` 0: it has no drive."""
    return VariablePump(
        flow_m3_s=design["flow_m3_s"],
        head_pa=design["head_pa"],
        efficiency=wear.pumps * design["efficiency"],
        fixed=design.get("variable_speed", 1.0) == 0.0,
    )
