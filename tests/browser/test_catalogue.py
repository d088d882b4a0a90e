"""The page's texts: English and Chinese side by side, and Chinese for whatever the rooms may say."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from actuator.faults import FAULT_CODES
from collector.conditions import TEXTS
from controller.reasons import BINDINGS, TEMPLATES

SOURCES = Path(__file__).parents[2] / "dashboards" / "web" / "src" / "i18n"
_ENTRY = re.compile(r"^  '?([\w.:-]+)'?:\s*'((?:[^'\\]|\\.)*)',$", re.MULTILINE)
_PLACE = re.compile(r"\{(\w+)(?::k?\d)?\}")


def entries(name: str) -> dict[str, str]:
    """Key and text of every entry of a catalogue."""
    return dict(_ENTRY.findall((SOURCES / name).read_text(encoding="utf-8")))


def places(text: str) -> set[str]:
    """Names of the parameters in a text."""
    return set(_PLACE.findall(text))


@pytest.mark.parametrize(("part", "least"), [("", 150), ("-placement", 60)])
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
