"""Promises of the condition board."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alarms.board import ConditionBoard
from plant.records import Condition, Message, Severity

TEXT = Message(code="x", text="x")
LEAK = Condition(
    code="leak", subject="cdu-1", severity=Severity.CRITICAL, since_s=50, cause=TEXT, remedy=TEXT, source="a"
)
STALE = replace(LEAK, code="stale", severity=Severity.WARNING, since_s=10)


def test_a_condition_that_goes_on_keeps_its_beginning():
    """Publishing the same condition later does not make it younger."""
    board = ConditionBoard()
    board.publish("a", [LEAK])
    board.publish("a", [replace(LEAK, since_s=90)])
    assert [c.since_s for c in board.all()] == [50]


def test_one_that_ended_begins_anew():
    """A condition withdrawn and raised again counts from its new beginning."""
    board = ConditionBoard()
    board.publish("a", [LEAK])
    board.publish("a", [])
    board.publish("a", [replace(LEAK, since_s=90)])
    assert [c.since_s for c in board.all()] == [90]


def test_a_source_withdraws_only_its_own():
    """What one room no longer says goes; what another says stays."""
    board = ConditionBoard()
    board.publish("a", [LEAK])
    board.publish("b", [STALE])
    board.publish("a", [])
    assert [(c.code, c.source) for c in board.all()] == [("stale", "b")]


def test_worst_come_first_then_the_oldest():
    """Severity orders before age."""
    board = ConditionBoard()
    info = replace(LEAK, code="i", severity=Severity.INFO, since_s=0)
    older = replace(LEAK, code="z", since_s=40)
    board.publish("a", [info, STALE, LEAK, older])
    assert [c.code for c in board.all()] == ["z", "leak", "stale", "i"]


def test_changes_are_told_once():
    """Raised, changed and withdrawn conditions appear in exactly one look."""
    board = ConditionBoard()
    board.publish("a", [LEAK, STALE])
    assert [c.code for c in board.changes().raised] == ["leak", "stale"]
    assert not board.changes()
    worse = replace(STALE, severity=Severity.CRITICAL)
    board.publish("a", [worse])
    changes = board.changes()
    assert (changes.changed, changes.withdrawn, changes.raised) == ((worse,), (LEAK,), ())


publications = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.tuples(st.sampled_from("pqr"), st.floats(0, 100)))), max_size=20
)


@given(publications)
def test_the_changes_add_up_to_the_board(history):
    """Whoever applies every change holds the same conditions as the board."""
    board, copy = ConditionBoard(), {}
    for source, said in history:
        board.publish(source, [replace(LEAK, code=code, since_s=since) for code, since in said])
        changes = board.changes()
        copy |= {(c.source, c.code): c for c in changes.raised + changes.changed}
        for gone in changes.withdrawn:
            del copy[gone.source, gone.code]
    assert sorted(copy) == sorted((c.source, c.code) for c in board.all())
    assert all(copy[c.source, c.code] == c for c in board.all())
