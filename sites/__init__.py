"""Site files: what stands where, what feeds what, as data; loaded, checked and turned into a `plant.topology.Site`."""

from __future__ import annotations

from sites.load import load_site

__all__ = ["load_site"]
