"""What the pumps of a loop do when one of its CDUs is lost."""

from __future__ import annotations

from enum import StrEnum


class WhenLost(StrEnum):
    """What the CDUs that are left hold: the loop's pressure or flow (by a master), their own flow, or their speed."""

    MAKES_UP = "makes up"
    KEEPS_FLOW = "keeps flow"
    KEEPS_SPEED = "keeps speed"
