"""Units that may be switched: their commands, envelopes and figures."""

from __future__ import annotations

from collections.abc import Iterator

from plant.leases import Envelope
from plant.points import PointId
from plant.topology import ENABLE, ENABLE_COMMAND, RUNNING, Stage
from sites.form import SiteForm
from sites.form_groups import GroupForm
from sites.form_stages import StageForm

LEAST_RUNNING = {"cooling-tower": 1, "dry-cooler": 1, "pump": 1}
"""Where the site file says nothing: something carries heat and water always."""


def enables(group: GroupForm) -> dict[str, PointId]:
    """Role to enable command of each unit."""
    return {f"{ENABLE}{stage.unit}": f"{stage.unit}/{ENABLE_COMMAND}" for stage in group.stages}


def stages_of(form: SiteForm, group: GroupForm) -> tuple[Stage, ...]:
    """A group's units in the file's order."""
    kinds = {e.id: e.kind for e in form.equipment}
    return tuple(_stage(stage, kinds[stage.unit]) for stage in group.stages)


def _stage(given: StageForm, kind: str) -> Stage:
    return Stage(
        unit=given.unit,
        kind=kind,
        command=f"{given.unit}/{ENABLE_COMMAND}",
        running=f"{given.unit}/{RUNNING}",
        min_on_s=given.min_on_s,
        min_off_s=given.min_off_s,
        start_s=given.start_s,
    )


def least_running(group: GroupForm) -> dict[str, int]:
    """Kind to how many run at least."""
    return LEAST_RUNNING | dict(group.least_running.items())


def enable_envelopes(group: GroupForm) -> Iterator[Envelope]:
    """A switch for each unit."""
    for stage in group.stages:
        yield Envelope(
            point=f"{stage.unit}/{ENABLE_COMMAND}",
            minimum=0.0,
            maximum=1.0,
            max_step=1.0,
            min_dwell_s=stage.min_on_s,
            min_off_s=stage.min_off_s,
            source=stage.source,
        )
