"""What was identified, as records for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from controller.design import loop_design
from controller.identification.applied import racks_by_kind
from controller.identification.design_doubt import most_worse
from controller.identification.estimates import Estimate
from controller.identification.known import Known
from controller.identification.parameters import CASE, PARAMETERS, RACK_FLOW, UA, Parameter, prior_of
from controller.identification.plate_reserve import of_kind
from plant.errors import ConfigError
from plant.records import ModelParameter
from plant.topology import Site

IN_PLANS = (UA, RACK_FLOW, CASE)
"""Parameters that go into the model; the others are for maintenance, powers follow meters (`controller.learning`)."""


def parameters_of(known: Mapping[str, Known], site: Site) -> tuple[ModelParameter, ...]:
    """One record for each parameter that was looked at."""
    return tuple(record for loop in known for record in _of_loop(loop, known[loop], site))


def _of_loop(loop: str, known: Known, site: Site) -> Iterator[ModelParameter]:
    group = site.groups[loop]
    try:
        kinds, most = racks_by_kind(site, group).values(), most_worse(site, group, loop_design(site, group))
    except ConfigError:  # told by the plan that misses the same figure
        return
    looked = [{rack: most[rack] for rack in racks} for racks in kinds]
    plates = {rack: share for racks in looked for rack, share in of_kind(racks, known).items()}
    for key in known.estimates:
        yield _record(loop, key, known, plates, site)


def _record(loop: str, key: str, known: Known, plates: Mapping[str, float], site: Site) -> ModelParameter:
    equipment, _, name = key.rpartition("/")
    parameter, estimate, baseline = PARAMETERS[name], known.estimates[key], known.baselines.get(key)
    prior, (low, high) = prior_of(site.equipment[equipment], parameter), estimate.interval
    used = plates[equipment] if parameter is CASE else _used(parameter, estimate)
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


def _used(parameter: Parameter, estimate: Estimate) -> float:
    """What plans reckon with, over the site file's figure [1]."""
    return estimate.cautious(less_is_worse=parameter.less_is_worse) if parameter in IN_PLANS else 1.0
