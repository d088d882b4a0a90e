"""Records to plain data and back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.errors import ConfigError
from plant.intents import Answer, Intent, IntentKind, Mode, ModeState
from plant.leases import Lease
from plant.records import Condition, Forecast, Headroom, HeatForecast, Message, Plan, Setpoint, Severity
from plant.running import ActuatorState
from store import codec

MESSAGE = Message(code="x", text="in words", params={"n": 1.5, "who": "CDU 1"})
LEASE = Lease(point="cdu-1/s", value=31.5, epoch=3, seq=2, issued_s=1.0, issued_mono_s=2.0, ttl_s=30.0)
HEAT = HeatForecast(
    subject="cdu-1", times_s=(1.0, 2.0), quantiles=(0.1, 0.9), heat_w=((1.0, 2.0), (3.0, 4.0)), model="m"
)
RECORDS = [
    MESSAGE,
    Condition(
        code="c", subject="s", severity=Severity.CRITICAL, since_s=1.0, cause=MESSAGE, remedy=MESSAGE, source="x"
    ),
    Forecast(made_s=1.0, heats=(HEAT,), note=MESSAGE),
    ModeState(loop="tcs-1", mode=Mode.HOLD, since_s=1.0, actor="ann", reason="r", hold={"cdu-1/s": 31.5}),
    Intent(kind=IntentKind.SET_MODE, actor="ann", reason="r", at_s=1.0, loop="tcs-1", mode=Mode.AUTO),
    ActuatorState(epoch=3, leases=(LEASE,), accepted_commands=1, refused_commands=0, writable_points=("cdu-1/s",)),
    Plan(
        id="p",
        loop="tcs-1",
        made_s=1.0,
        valid_until_s=2.0,
        setpoints=(Setpoint(point="cdu-1/s", current=30.0, value=31.0, target=33.0, design=32.0),),
        predicted_cooling_w=1.0,
        predicted_design_cooling_w=2.0,
        predicted_it_extra_w=0.0,
        predicted_case_c=60.0,
        case_limit_c=72.0,
        worst_case_margin_k=3.0,
        binding="case",
        reason=MESSAGE,
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_records_survive_json(record):
    """Every kind of record is the same after JSON and back; by what they show, as NaN equals nothing."""
    assert repr(codec.from_plain(type(record), codec.decode(codec.encode(record)))) == repr(record)
    assert repr(codec.from_plain(type(record), codec.to_plain(record))) == repr(record)


@given(st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_json_lacks_is_null_and_comes_back_as_nan(value):
    """NaN and infinities are null in JSON, and NaN again in a float field, however deep."""
    room = Headroom(rack="rack-01", at_s=1.0, power_w=value, cooling_w=2.0, marginal_w_per_w=value, known=False)
    assert b"null" in codec.encode(room)
    told = codec.from_plain(list[Message], codec.decode(codec.encode([replace(MESSAGE, params={"n": value})])))
    assert math.isnan(told[0].params["n"])
    assert codec.to_plain(room)["power_w"] is None
    back = codec.from_plain(Headroom, codec.decode(codec.encode(room)))
    assert math.isnan(back.power_w)
    heat = HeatForecast(subject="s", times_s=(1.0,), quantiles=(0.5,), heat_w=((value,),), model="m")
    assert math.isnan(codec.from_plain(HeatForecast, codec.to_plain(heat)).heat_w[0][0])


@pytest.mark.parametrize("data", [{}, {"accepted": "perhaps", "text": ""}, [], None, 3])
def test_wrong_data_name_the_field(data):
    """Data that are no such record raise ConfigError."""
    with pytest.raises(ConfigError, match="not a Answer"):
        codec.from_plain(Answer, data)
    with pytest.raises(ConfigError, match="not JSON"):
        codec.decode(b"{")
