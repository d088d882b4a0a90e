"""The form of simulated instruments that are not perfect."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sites.form_base import Form


class SensorForm(Form):
    """Faults of some simulated instruments, in SI; only simulated devices read this. The last row of a point holds."""

    points: Annotated[str, Field(min_length=1)]
    """Id of a point, or a pattern such as cdu-*/tcs_flow."""
    noise: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation [SI]."""
    bias: float = 0.0
    """Constant error [SI]."""
    gain: Annotated[float, Field(gt=-1)] = 0.0
    """Relative error; 0.05 reads 5 % high."""
    drift_per_day: float = 0.0
    """Error that grows each day from the start [SI]."""
    quantum: Annotated[float, Field(ge=0)] = 0.0
    """Step of its register [SI]."""
    stuck_after_s: Annotated[float, Field(ge=0)] | None = None
    """From when after the start it repeats its value [s]."""
