"""The sentence that says how well founded a forecast is."""

from __future__ import annotations

from collections.abc import Sequence

from controller.forecasting.bank import Bank
from controller.reasons import message
from plant.records import HeatForecast, Message


def note(records: Sequence[HeatForecast], bank: Bank, jobs: int) -> Message:
    """How well founded the forecast is, for a person."""
    known = [int(bank.known[bank.names.index(r.subject)]) for r in records]
    minutes, modelled = float(min(known, default=0)), sum(r.model != "persistence" for r in records)
    if not records:
        return message("forecast_none")
    if modelled:
        counts = {"modelled": float(modelled), "subjects": float(len(records)), "jobs": float(jobs)}
        return message("forecast_model", **counts, minutes=minutes)
    return message("forecast_persistence", minutes=minutes)
