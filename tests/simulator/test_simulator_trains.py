"""A simulated plant with six trains: units in parallel, commanded or staged by themselves."""

from pathlib import Path

import pytest

import sites
from devices import gpu
from plant.errors import RefusedError
from simulator.faults import Faults
from simulator.plant import SimulatedPlant
from simulator.telemetry import Bms

JULY_S = 1_783_764_000.0
TRAINS = Path(__file__).parents[2] / "site-configs" / "six-trains.yaml"


@pytest.fixture
def hall():
    """The hall at 60 % load, an hour after its start."""
    return SimulatedPlant(sites.load_site(TRAINS), JULY_S, work=lambda _rack, _at_s: 0.6)


def command(plant, minutes, **wanted):
    """Hold enable commands with heartbeats; units with `_` for `-`."""
    for beat in range(2 * minutes):
        for unit, value in wanted.items():
            name = unit.replace("_", "-")
            for register, written in (("remote_enable", 1.0), ("heartbeat", beat + 1.0), ("enable_command", value)):
                plant.command(f"{name}/{register}", written)
        plant.step(30.0)


def test_energy_is_kept_with_units_in_parallel(hall):
    """What comes in as electricity goes out as heat or stays in the water, also while units are switched."""
    before_j = hall.stored_j
    command(hall, 30, tower_1=0.0, tower_2=0.0, fws_pump_1=0.0)
    hall.step(1800.0)
    ledger = hall.ledger
    assert ledger.electric_j - ledger.rejected_j == pytest.approx(
        hall.stored_j - before_j, abs=1e-9 * ledger.electric_j
    )


def test_off_units_carry_nothing_and_what_depends_on_them_stops(hall):
    """A stopped tower has no water and no power, and takes economiser and chiller of its train with it."""
    command(hall, 20, tower_1=0.0, chiller_1=1.0, chiller_3=1.0)
    shown = hall.measured(["tower-1", "tower-3", "economiser-1", "chiller-1", "chiller-3"])
    assert shown["tower-1/flow"] == shown["tower-1/running"] == shown["tower-1/effective_enable_command"] == 0.0
    assert shown["economiser-1/running"] == 0.0
    assert shown["tower-3/flow"] > 0.0
    assert shown["chiller-1/running"] == 0.0, "no condenser water"
    assert shown["chiller-3/effective_enable_command"] == 1.0
    assert shown["chiller-3/running"] == 0.0, "it may run, and nobody needs it"


def test_only_the_gpus_that_the_site_file_names_tell(hall):
    """Four GPUs of each of 40 racks, in one node's message a rack."""
    hall.step(30.0)
    sent = [p for p in Bms(hall).messages() if "/gpu/" in p.topic]
    assert len(sent) == 40
    assert all(set(gpu.decode(p.topic, p.payload).gpus) == {0, 1, 2, 3} for p in sent)


def test_without_heartbeat_the_own_sequence_takes_over(hall):
    """A minute after the last heartbeat a stopped tower is the plant's own again, and runs where it is needed."""
    command(hall, 20, **{f"tower_{n}": float(n > 4) for n in range(1, 7)})
    assert sum(hall.measured([f"tower-{n}"])[f"tower-{n}/running"] for n in range(1, 7)) == 2
    hall.step(3600.0)
    assert sum(hall.measured([f"tower-{n}"])[f"tower-{n}/running"] for n in range(1, 7)) > 2
    assert hall.measured(["tower-1"])["tower-1/control_source"] == 0.0


def test_a_tripped_pump_is_replaced(hall):
    """Where a pump trips another one starts, and facility water goes on flowing."""
    running = [p.id for p in hall.facility.pump.pumps if p.running]
    before = hall.facility.pump.flow_m3_s
    hall.faults.stopped.add(running[0])
    hall.step(900.0)
    assert running[0] not in [p.id for p in hall.facility.pump.running]
    assert hall.facility.pump.flow_m3_s > 0.9 * before


def test_a_switch_takes_0_and_1_only(hall):
    """Half an enable is refused."""
    hall.command("chiller-1/remote_enable", 1.0)
    with pytest.raises(RefusedError, match="none of 0, 1"):
        hall.command("chiller-1/enable_command", 0.5)


def test_all_pumps_off_means_no_flow():
    """A fault of every pump stops the water."""
    site = sites.load_site(TRAINS)
    faults = Faults(stopped={f"fws-pump-{n}" for n in range(1, 7)})
    plant = SimulatedPlant(site, JULY_S, faults=faults, work=lambda _rack, _at_s: 0.2, warm_up_s=600.0)
    assert plant.facility.pump.flow_m3_s == 0.0
