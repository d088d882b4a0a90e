"""The form of what may be switched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sites.form_base import Duration, Form

StageKind = Literal["cooling-tower", "dry-cooler", "economiser", "chiller", "pump"]
"""Kinds of which units may be switched, from outside to inside."""
Count = Annotated[int, Field(ge=0)]


class StageForm(Form):
    """One unit of the facility plant that may be switched, and how often."""

    unit: str
    """Id of a tower, dry cooler, economiser, chiller or pump with points `enable_command` and `running`."""
    min_on_s: Duration
    """Shortest time that it runs before it may be stopped again [s]."""
    min_off_s: Duration
    """Shortest time that it stands before it may be started again [s]."""
    start_s: Duration = 300.0
    """From the command until it carries its share [s]; one that does not run by then counts as failed."""
    source: str
    """Where these figures come from."""
