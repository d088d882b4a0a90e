"""Promises of the priority rule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actuator.priority import resolve
from plant.leases import Lease

leases = st.builds(
    Lease, point=st.just("p"), value=st.floats(0, 1), epoch=st.integers(1, 3), seq=st.integers(0, 50),
    issued_s=st.just(0.0), issued_mono_s=st.floats(0, 100), ttl_s=st.floats(0, 100),
    holder=st.sampled_from(["controller", "operator:ann", "operator:bo"]),
)  # fmt: skip


@given(st.lists(leases), st.floats(0, 250))
def test_operator_outranks_controller_and_the_dead_never_win(held, mono_s):
    """The winner lives, and is an operator's if any operator's lease lives; nobody wins only if all are over."""
    winner = resolve(held, mono_s)
    live = [x for x in held if x.live(mono_s)]
    assert (winner is None) == (not live)
    if winner is not None:
        assert winner in live
        assert winner.by_operator or not any(x.by_operator for x in live)
