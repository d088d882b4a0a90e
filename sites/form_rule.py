"""The form of a site's own reset rule: what a switchback sets coldplate against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sites.form_base import Duration, Form
from sites.form_stages import Count


class ResetForm(Form):
    """Trim and respond of one setpoint: the names are those of ASHRAE Guideline 36, 5.1.14."""

    start: float
    """SP0, where it begins [SI]."""
    min: float
    """SPmin, lowest value [SI]."""
    max: float
    """SPmax, highest value [SI]."""
    trim: float
    """SPtrim, added every time step [SI]."""
    respond: float
    """SPres, added for each request that is not ignored, against the trim's sign [SI]."""
    respond_max: float
    """SPres-max, the most that requests add in one time step, with the sign of `respond` [SI]."""
    ignored: Count = 0
    """I, so many requests are ignored."""


class RuleForm(Form):
    """The site's own rule. A role that it does not name stays at design."""

    every_s: Annotated[Duration, Field(gt=0)] = 300.0
    """T, the time step [s]; no shorter than the longest `min_dwell_s`."""
    near_k: Annotated[float, Field(gt=0)] = 3.0
    """A rack asks while its hottest GPU is nearer than this to the case limit [K]."""
    resets: dict[str, ResetForm] = Field(min_length=1)
    """Role to its trim and respond."""
    source: str
    """Where these figures come from."""
