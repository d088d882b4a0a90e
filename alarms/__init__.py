"""Conditions that the rooms publish, gathered."""
