"""From meter registers to figures that name their inputs, and to JSON and PDF."""
