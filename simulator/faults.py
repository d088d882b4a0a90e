"""Faults that a person or a test puts into the simulated plant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from plant.errors import ConfigError
from plant.points import PointId

USAGE = (
    "silence|resume|stop|start EQUIPMENT, jam|free EQUIPMENT, stuck|nan|0xffff|clear POINT, leak|dry EQUIPMENT, heal"
)


@dataclass(slots=True)
class Faults:
    """What is wrong now.

    silent: equipment that answers nobody (it runs on); stopped: equipment that stands still; jammed: CDUs whose valve
    does not move; stuck: points that
    repeat a value [SI]; missing: points without a value; all_ones: points whose words are 0xFFFF; leaking: equipment.
    """

    silent: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    jammed: set[str] = field(default_factory=set)
    stuck: dict[PointId, float] = field(default_factory=dict)
    missing: set[PointId] = field(default_factory=set)
    all_ones: set[PointId] = field(default_factory=set)
    leaking: set[str] = field(default_factory=set)

    @property
    def any_point(self) -> bool:
        """Whether any reading is falsified."""
        return bool(self.stuck or self.missing or self.all_ones)

    def apply(self, values: dict[PointId, float]) -> None:
        """Falsify readings in place; a missing value is NaN."""
        for point, value in self.stuck.items():
            if point in values:
                values[point] = value
        for point in (*self.missing, *self.all_ones):
            if point in values:
                values[point] = math.nan

    def command(self, text: str, values: Mapping[PointId, float]) -> None:
        """Take one command line; `values` are the readings [SI] that `stuck` freezes.

        Raises:
            ConfigError: not a command.
        """
        verb, _, subject = text.strip().partition(" ")
        subject = subject.strip()
        sets = {"silence": self.silent, "stop": self.stopped, "nan": self.missing, "0xffff": self.all_ones}
        undo = {"resume": self.silent, "start": self.stopped, "dry": self.leaking}
        sets |= {"leak": self.leaking, "jam": self.jammed}
        undo["free"] = self.jammed
        if verb == "heal":
            self.heal()
        elif verb in sets and subject:
            sets[verb].add(subject)
        elif verb in undo:
            undo[verb].discard(subject)
        elif verb == "stuck" and subject in values:
            self.stuck[subject] = values[subject]
        elif verb == "clear":
            self._clear(subject)
        else:
            raise ConfigError(f"unknown fault {text.strip()!r}", remedy=f"use {USAGE}")

    def heal(self) -> None:
        """Take everything back."""
        for kept in (self.silent, self.stopped, self.jammed, self.missing, self.all_ones, self.leaking):
            kept.clear()
        self.stuck.clear()

    def _clear(self, point: PointId) -> None:
        self.stuck.pop(point, None)
        self.missing.discard(point)
        self.all_ones.discard(point)
