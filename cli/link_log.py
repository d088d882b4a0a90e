"""A log line when a link leaves `up`, and when it comes back."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from plant.running import LinkState

log = logging.getLogger("coldplate.links")


class LinkLog:
    """Remembers what was said of each link. A link that comes up for the first time is no news."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def note(self, links: Iterable[LinkState]) -> None:
        """Say what changed; links that were not asked yet are passed over."""
        for link in links:
            heard = link.reads or link.failures
            if heard and link.state != self._said.get(link.link, "up"):
                self._said[link.link] = link.state
                reason = f": {link.last_error}" if link.last_error and link.state != "up" else ""
                fields = {"link": link.link, "endpoint": link.endpoint, "state": link.state, "error": link.last_error}
                log.warning("link %s at %s is %s%s", link.link, link.endpoint, link.state, reason, extra=fields)
