"""What is logged of links: changes, once, with fields."""

from __future__ import annotations

import logging

from cli.link_log import LinkLog
from plant.running import LinkState


def link(state, error="", reads=1):
    """A link in a state."""
    return LinkState(link="cdu", endpoint="h:1", state=state, since_s=0.0, last_error=error, reads=reads)


def test_changes_are_logged_once_with_fields(caplog):
    """Leaving and coming back are one line each; the first connection and repetitions are none."""
    said = LinkLog()
    with caplog.at_level(logging.WARNING):
        said.note([link("silent", "not read yet", reads=0)])
        said.note([link("up")])
        assert caplog.records == []
        for _ in range(3):
            said.note([link("silent", "no answer within 5 s")])
        said.note([link("up")])
    first, second = caplog.records
    assert first.getMessage() == "link cdu at h:1 is silent: no answer within 5 s"
    assert (first.link, first.state, first.error) == ("cdu", "silent", "no answer within 5 s")
    assert second.getMessage() == "link cdu at h:1 is up"


def test_a_link_that_never_answered_is_logged(caplog):
    """Failures alone are enough to speak."""
    said = LinkLog()
    said.note([LinkState(link="x", endpoint="h:2", state="silent", since_s=0.0, last_error="refused", failures=2)])
    assert "link x at h:2 is silent: refused" in caplog.text
