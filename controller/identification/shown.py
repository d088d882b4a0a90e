"""What was identified, as records for people."""

from __future__ import annotations

import math
from collections.abc import Mapping

from controller.identification.estimates import Estimate
from controller.identification.known import Known
from controller.identification.parameters import CASE, PARAMETERS, RACK_FLOW, UA, Parameter, prior_of
from controller.identification.plate_reserve import trusted, unseen
from plant.records import ModelParameter
from plant.topology import Equipment, Site

IN_PLANS = (UA, RACK_FLOW, CASE)
"""Parameters that go into the model; the others are for maintenance, powers follow meters (`controller.learning`)."""


def parameters_of(known: Mapping[str, Known], site: Site) -> tuple[ModelParameter, ...]:
    """One record for each parameter that was looked at."""
    return tuple(_record(loop, key, known[loop], site) for loop in known for key in known[loop].estimates)


def _record(loop: str, key: str, known: Known, site: Site) -> ModelParameter:
    equipment, _, name = key.rpartition("/")
    parameter, estimate, baseline = PARAMETERS[name], known.estimates[key], known.baselines.get(key)
    prior, (low, high) = prior_of(site.equipment[equipment], parameter), estimate.interval
    used = _used(parameter, estimate, site.equipment[equipment])
    return ModelParameter(
        equipment=equipment,
        parameter=name,
        loop=loop,
        unit=parameter.unit,
        prior=prior,
        value=prior * estimate.ratio,
        low=prior * low,
        high=prior * high,
        used=prior * used,
        baseline=None if baseline is None else prior * math.exp(baseline.log),
        looks=estimate.count,
        at_s=estimate.at_s,
    )


def _used(parameter: Parameter, estimate: Estimate, equipment: Equipment) -> float:
    """What plans reckon with, over the site file's figure [1]."""
    if parameter is CASE:
        return trusted(estimate, unseen(equipment))
    return estimate.cautious(less_is_worse=parameter.less_is_worse) if parameter in IN_PLANS else 1.0
