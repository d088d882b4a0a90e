"""What can go wrong with a driven device, in words: each fault becomes a condition with cause and remedy."""

from __future__ import annotations

from actuator.hand import FaultError, WithdrawnError
from plant.errors import ColdplateError, RefusedError, SilentError
from plant.records import Condition, Message, Severity

SOURCE = "actuator"

_REMEDY: dict[str, str] = {
    "mode_lost": "check whether someone switched the device to local, or its heartbeat did not reach it in time",
    "foreign_write": "find the other writer of this device (BMS, a second coldplate, a panel) and stop it",
    "foreign_owner": "stop the other coldplate, or wait until its hold on the device lapses",
    "write_refused": "check the device's remote permission and that its profile matches its firmware",
    "write_silent": "check power, network and address of the device; it goes to its default by itself meanwhile",
    "frame_mismatch": "correct scale and type of this point in the device's profile",
    "register_implausible": "correct scale, unit and word order of this point in the device's profile; if they are "
    "right, set the register to its design value at the device",
    "command_failure": "check the device's actuator, interlocks and manual overrides; it was let go to its default",
    "release_unconfirmed": "look at the device itself; its own timeout returns it to its default",
    "audit_failed": "free the disk of the state directory; no new setpoint is written until the audit log works",
    "actuator_fault": "report this with the log; the device was let go to its default",
}
_SEVERITY: dict[str, Severity] = {
    "foreign_write": Severity.CRITICAL,
    "command_failure": Severity.CRITICAL,
    "frame_mismatch": Severity.CRITICAL,
    "register_implausible": Severity.CRITICAL,
    "actuator_fault": Severity.CRITICAL,
    "release_unconfirmed": Severity.CRITICAL,
}
FAULT_CODES = tuple(_REMEDY)
LOCKING = frozenset({"mode_lost", "foreign_write", "command_failure", "frame_mismatch", "register_implausible"})
"""After these a controller may not take the device again at once: somebody, or something, wants it otherwise."""


def fault_condition(code: str, subject: str, since_s: float, text: str, params: dict[str, str | float]) -> Condition:
    """The condition of a fault: `text` says what happened, `params` are its numbers for translation."""
    return Condition(
        code=code,
        subject=subject,
        severity=_SEVERITY.get(code, Severity.WARNING),
        since_s=since_s,
        cause=Message(code=f"{code}.cause", text=text, params={"subject": subject, **params}),
        remedy=Message(code=f"{code}.remedy", text=_REMEDY[code], params={"subject": subject}),
        source=SOURCE,
    )


def code_of(error: Exception) -> str:
    """The fault that an error is."""
    if isinstance(error, FaultError):
        return error.code
    if isinstance(error, WithdrawnError):
        return "withdrawn"
    if isinstance(error, RefusedError):
        return "write_refused"
    if isinstance(error, SilentError):
        return "write_silent"
    return "actuator_fault" if not isinstance(error, ColdplateError) else "write_refused"
