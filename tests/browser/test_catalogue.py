"""The page's texts: English and Chinese side by side, and Chinese for whatever the rooms may say."""

from __future__ import annotations

import math
import re
from pathlib import Path
from string import Formatter

import pytest

from actuator.faults import FAULT_CODES
from actuator.guard import guard
from collector.conditions import TEXTS
from controller import letting_go
from controller.causes import Cause
from controller.modes import initial_modes
from controller.reasons import BINDINGS, TEMPLATES
from plant.errors import StaleError
from plant.intents import IntentKind
from plant.leases import Envelope, Lease
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason
from reports.switchback_blocks import BEGAN, ENDED, REGISTERED
from sites import load_site

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "dashboards" / "web" / "src" / "i18n"
_ENTRY = re.compile(r"^  '?([\w.:-]+)'?:\s*'((?:[^'\\]|\\.)*)',$", re.MULTILINE)
_PLACE = re.compile(r"\{(\w+)(?::k?\d)?\}")


def entries(name: str) -> dict[str, str]:
    """Key and text of every entry of a catalogue."""
    return dict(_ENTRY.findall((SOURCES / name).read_text(encoding="utf-8")))


def places(text: str) -> set[str]:
    """Names of the parameters in a text."""
    return set(_PLACE.findall(text))


@pytest.mark.parametrize(("part", "least"), [("", 150), ("-placement", 60), ("-audit", 80)])
def test_both_catalogues_have_the_same_keys_and_places(part, least):
    """Every key has a text in both languages, with the same parameters in it."""
    english, chinese = entries(f"en{part}.ts"), entries(f"zh{part}.ts")
    assert len(english) > least
    assert list(english) == list(chinese)
    assert [k for k in english if places(english[k]) != places(chinese[k])] == []


def test_every_sentence_of_the_controller_is_there_in_chinese():
    """No code of the controller is missing, and no translation asks for a parameter that is not sent."""
    chinese = entries("messages-zh.ts")
    assert sorted(set(TEMPLATES) - set(chinese)) == []
    for code, template in TEMPLATES.items():
        sent = {field for _, field, _, _ in Formatter().parse(template) if field} | {"binding", "subject"}
        assert places(chinese[code]) <= sent, code


def test_every_condition_of_the_collector_and_actuator_is_there_in_chinese():
    """Cause and remedy of each, with no parameter that is not sent."""
    chinese = entries("messages-zh.ts")
    wanted = {f"{code}.{part}" for code in (*TEXTS, *FAULT_CODES) for part in ("cause", "remedy")}
    assert sorted(wanted - set(chinese)) == []
    for code, text in TEXTS.items():
        sent = {field for _, field, _, _ in Formatter().parse(text.cause + text.remedy) if field}
        assert places(chinese[f"{code}.cause"]) <= sent, code


def test_every_binding_has_a_word():
    """What binds a plan is named in both languages."""
    assert [b for b in BINDINGS if f"binding.{b}" not in entries("en.ts")] == []


def test_whatever_the_actuator_refuses_has_a_word():
    """Each code that an audited refusal or failure may carry, in both languages."""
    patterns = {
        "guard": r'_refuse\(\s*"(\w+)"|code="(\w+)"',
        "admission": r'return "(\w+)", f"',
        "actuator": r'_refused\(lease, "(\w+)"',
        "faults": r'return "(\w+)"',
    }
    found = set(FAULT_CODES)
    for module, pattern in patterns.items():
        source = (ROOT / "actuator" / f"{module}.py").read_text(encoding="utf-8")
        found |= {
            code for match in re.findall(pattern, source) for code in ([match] if isinstance(match, str) else match)
        }
    found -= {""}
    assert len(found) > 25
    assert sorted(c for c in found if f"code.{c}" not in entries("en-audit.ts")) == []


def test_whatever_is_audited_has_a_word():
    """Each action that a process of coldplate writes into its chain."""
    patterns = {
        "actuator/actuator.py": r'\.keep\([\w.", ]*?, "(\w+)", ',
        "actuator/grip.py": r'\.keep\("actuator", "(\w+)"',
        "cli/budgets.py": r'_note\("([\w-]+)"',
        "cli/jobs.py": r'told\.actor, "(\w+)"',
        "cli/outcomes.py": r'told\.actor, "([\w-]+)"',
        "cli/control.py": r'"coldplate", "(\w+)"',
        "store/audit.py": r'"coldplate", "(\w+)"',
    }
    found = {f"intent:{kind}" for kind in IntentKind} | {REGISTERED, BEGAN, ENDED}
    for source, pattern in patterns.items():
        actions = re.findall(pattern, (ROOT / source).read_text(encoding="utf-8"))
        assert actions, source
        found |= set(actions)
    assert sorted(action for action in found if f"action.{action}" not in entries("en-audit.ts")) == []


def in_chinese(text: str) -> str:
    """As `inChinese` of the page does it."""
    if word := entries("zh-audit.ts").get(f"code.{text}"):
        return word
    source = (SOURCES / "sentences-zh.ts").read_text(encoding="utf-8")
    rows = re.findall(r"""^  \[(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"), '(.*)'\],$""", source, re.MULTILINE)
    for single, double, chinese in rows:
        if found := re.fullmatch((single or double).replace("\\\\", "\\"), text):
            return re.sub(r"\$(\d)", lambda place: in_chinese(found[int(place[1])]), chinese)
    return text


def stale(reason: Reason) -> str:
    """What is said of a point that is not good."""
    reading = Reading(value=1.0, time_s=0.0, age_s=87.2, quality=Quality.BAD, reason=reason)
    with pytest.raises(StaleError) as told:
        Snapshot(at_s=0.0, readings={"x-1/y": reading}).value("x-1/y")
    return str(told.value)


def let_go_words() -> list[str]:
    """Causes for which a loop is let go until somebody acknowledges it."""
    return [key.removeprefix("let_go.") for key in entries("en.ts") if key.startswith("let_go.")]


def refusal(readings: dict[str, Reading], *, actual: float = 30.0, since_s: float = 1e3, mono_s: float = 0.0) -> str:
    """What the guard says against a lease, without its point."""
    lease = Lease(point="x-1/y", value=31.0, epoch=1, seq=1, issued_s=0.0, issued_mono_s=0.0, ttl_s=60.0)
    envelope = Envelope(
        point="x-1/y", minimum=20.0, maximum=40.0, max_step=2.0, min_dwell_s=60.0,
        dew_point_margin_k=2.0, dew_point_points=("x-1/dew",), inputs=("x-1/in",),
    )  # fmt: skip
    verdict = guard(lease, envelope, actual, mono_s - since_s, Snapshot(at_s=0.0, readings=readings), mono_s, epoch=1)
    assert not verdict.allowed
    return verdict.text.removeprefix("x-1/y: ")


def test_reasons_written_as_sentences_are_known_in_chinese():
    """Nothing of them stays English but the names of points: missing inputs, refusals, modes and why loops are let go."""
    good = Reading(value=25.0, time_s=0.0, age_s=1.0, quality=Quality.GOOD, reason=Reason.NONE)
    damp = {"x-1/in": good, "x-1/dew": Reading(30.0, 0.0, 1.0, Quality.GOOD, Reason.NONE)}
    both = {"x-1/in": good, "x-1/dew": good}
    said = [stale(reason) for reason in Reason] + [stale(Reason.STALE | Reason.JUMP)]
    said += [refusal({}), refusal({"x-1/in": good}), refusal(damp), refusal(both, actual=math.nan)]
    said += [refusal(both, since_s=5.0), refusal(both, mono_s=90.0), refusal(both, actual=10.0)]
    said += [cause.replace("_", " ") for cause in (*letting_go.BLIND, *Cause, *let_go_words())]
    for auto in (True, False):
        said += [
            m.reason for m in initial_modes(load_site(ROOT / "site-configs" / "demo-pod.yaml"), auto=auto).values()
        ]
    left = {text: re.sub(r"[a-z-]+-1(/\w+)?|°C|K\b|CDU", "", in_chinese(text)) for text in said}
    assert {text: rest for text, rest in left.items() if re.search("[A-Za-z]", rest)} == {}
