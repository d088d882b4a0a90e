"""The collector's conditions: what is wrong now, since when, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plant.records import Condition, Message, Params, Severity

SOURCE = "collector"


@dataclass(frozen=True, slots=True)
class Text:
    """A condition's texts: `cause` and `remedy` are filled from the parameters."""

    severity: Severity
    cause: str
    remedy: str


TEXTS: dict[str, Text] = {
    "device_silent": Text(
        Severity.CRITICAL,
        "{equipment} at {endpoint} unit {unit} does not answer: {error}",
        "check its power and network, and the link's host, port and unit id; polling goes on with back-off",
    ),
    "profile_mismatch": Text(
        Severity.WARNING,
        "{equipment} at {endpoint} unit {unit} does not have {points} of profile {profile}",
        "compare the device's register map and firmware with the profile; the other points are read",
    ),
    "device_refused": Text(
        Severity.WARNING,
        "{equipment} at {endpoint} unit {unit} refuses to be read: {error}",
        "check the device's access rights and the profile",
    ),
    "broker_lost": Text(
        Severity.CRITICAL,
        "no connection to the MQTT broker at {endpoint} of link {link}: {error}",
        "check the broker and the network; coldplate reconnects by itself and the broker keeps the messages",
    ),
    "link_failing": Text(
        Severity.CRITICAL,
        "link {link} fell over {count} times in a row and is started again each time: {error}",
        "report it with the log, which has the trace; until it is mended, take what it names out of the site file",
    ),
    "stale_points": Text(
        Severity.WARNING,
        "{count} of {total} points of {equipment} have no fresh value, e.g. {points}",
        "check the device, or what publishes for it; control does not act on stale points",
    ),
    "bad_values": Text(
        Severity.WARNING,
        "{count} points of {equipment} read something impossible, e.g. {example}",
        "check the sensor and its wiring, or the scale and limits in the profile",
    ),
    "clock_skew": Text(
        Severity.WARNING,
        "{equipment} dates its values {skew} s off, e.g. {point}",
        "set the clock of the device or publisher (NTP); meanwhile values from the future are dated by their arrival, "
        "those from the past are history and drive nothing",
    ),
    "device_alarm": Text(
        Severity.WARNING,
        "{equipment} reports {count} alarms of its own: {alarms}",
        "see the device's manual for these alarms and clear their cause at the device",
    ),
    "out_of_service": Text(
        Severity.INFO,
        "{what} is out of service until {until}: {reason}",
        "its values are kept but not used; it counts again at that time, or when its entry leaves the site file",
    ),
    "out_of_service_expired": Text(
        Severity.WARNING,
        "{what} was out of service until {until} ({reason}) and counts again",
        "remove its entry under out_of_service from the site file, or give it a later end",
    ),
    "stuck_values": Text(
        Severity.WARNING,
        "{count} points of {equipment} stay the same although what should move them moved, e.g. {points}",
        "check the sensor and whatever passes its value on; a gateway may repeat its last value for ever",
    ),
    "meter_reset": Text(
        Severity.INFO,
        "counters of {equipment} were set back or replaced: {points}",
        "of an energy meter declare replaced_s or register_rollover_j in its design; without it reports over that time "
        "are refused, or leave its part out",
    ),
    "heat_balance": Text(
        Severity.WARNING,
        "heat at {equipment} does not balance: {residual} % off its usual for {minutes} min, usual scatter {band} %; "
        "suspected: {points}",
        "compare the suspected sensors with a second instrument; once calibrated, have the baseline learned anew",
    ),
    "mass_balance": Text(
        Severity.WARNING,
        "flows at {equipment} do not add up: {residual} % off their usual for {minutes} min, usual scatter {band} %; "
        "suspected: {points}",
        "look for a leak or an open bypass, then check the suspected flow meters",
    ),
    "unparsable_messages": Text(
        Severity.WARNING,
        "{count} messages on link {link} could not be read, last {topic}: {error}",
        "find the publisher of that topic and correct its payload; the last few are kept for inspection",
    ),
    "unmapped_messages": Text(
        Severity.INFO,
        "{count} values on link {link} belong to no equipment of the site file, last {topic}",
        "give the equipment a source with that object, or set the link's option discover: true to store them",
    ),
    "messages_missed": Text(
        Severity.WARNING,
        "{count} messages on link {link} never came, last from {source}: their numbers have gaps",
        "check the publisher's quality of service and the broker's queue limits (max_queued_messages)",
    ),
    "edge_node_offline": Text(
        Severity.WARNING,
        "{count} Sparkplug edge nodes on link {link} are offline: {nodes}",
        "check their power and network; their points count as lost until they are born again",
    ),
    "bms_silent": Text(
        Severity.WARNING,
        "the BMS on link {link} has not beaten for {seconds} s",
        "check the BMS and its way to the broker; its values go stale and do not drive control",
    ),
    "late_values": Text(
        Severity.INFO,
        "{count} values on link {link} came too late to be live, last {point}, {age} s old",
        "after an outage this is the broker's backlog and ends by itself; else set the publisher's clock (NTP)",
    ),
    "spool_damaged": Text(
        Severity.CRITICAL,
        "accepted samples are lost: {places} places of the spool can't be read, about {samples} in deleted files",
        "check the disk of the state directory, and that nothing else writes to its spool folder; what is new is kept",
    ),
    "spool_failing": Text(
        Severity.CRITICAL,
        "samples can't be kept on disk: {error}; {waiting} wait in memory, {lost} were lost",
        "free disk space or mend the disk of the state directory; live values and control go on",
    ),
    "spool_overflow": Text(
        Severity.CRITICAL,
        "the spool dropped {lost} of its oldest samples: {by_size} for its size, {by_age} for their age",
        "bring the store back, or allow the spool more bytes",
    ),
    "store_lost": Text(
        Severity.CRITICAL,
        "the store takes no samples: {error}",
        "check the store; samples wait in the spool and are forwarded when it is back",
    ),
    "samples_set_aside": Text(
        Severity.WARNING,
        "the store will never take {count} samples: {error}",
        "look at the set-aside folder of the spool; other samples flow on",
    ),
}


class Ledger:
    """Holds conditions from when they are first raised until they are cleared; pure bookkeeping.

    by: who says so, where several may say the same of one equipment, such as two links to it: a condition stands until
    each of them has withdrawn it.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], dict[str, Condition]] = {}

    def raise_(self, code: str, subject: str, at_s: float, params: Params, *, by: str = "") -> None:
        """Raise, or renew with newer figures; `since_s` stays."""
        said = self._held.setdefault((code, subject), {})
        since_s = said[by].since_s if by in said else at_s
        said[by] = describe(code, subject, since_s, params)

    def clear(self, code: str, subject: str, *, by: str = "") -> None:
        """Withdraw; no matter if it was never raised."""
        said = self._held.get((code, subject), {})
        said.pop(by, None)
        if not said:
            self._held.pop((code, subject), None)

    def keep_only(self, code: str, subjects: Iterable[str]) -> None:
        """Withdraw all of a code but those of `subjects`."""
        kept = set(subjects)
        for key in [k for k in self._held if k[0] == code and k[1] not in kept]:
            del self._held[key]

    def has(self, code: str, subject: str) -> bool:
        """Whether it stands."""
        return (code, subject) in self._held

    def all(self) -> list[Condition]:
        """All that stand, oldest first; of what several say of one subject, what the first of them says."""
        first = [next(iter(said.values())) for said in self._held.values()]
        return sorted(first, key=lambda c: (c.since_s, c.code, c.subject))


def describe(code: str, subject: str, since_s: float, params: Params) -> Condition:
    """A condition in words and in numbers."""
    text = TEXTS[code]
    return Condition(
        code=code,
        subject=subject,
        severity=text.severity,
        since_s=since_s,
        cause=Message(code=f"{code}.cause", text=text.cause.format(**params), params=params),
        remedy=Message(code=f"{code}.remedy", text=text.remedy.format(**params), params=params),
        source=SOURCE,
    )
