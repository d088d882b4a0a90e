"""An FMU as a plant: a tank, compiled here as FMI 2 and as FMI 3, behind the same seam as every other plant."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks.baselines import Rule, Tuning
from benchmarks.drive import drive_day
from benchmarks.fmu_mapping import read_mapping
from benchmarks.plants import load_plant
from plant.errors import ColdplateError, ConfigError

HERE = Path(__file__).parent
REALS = ("TSet", "dpSet", "TDry", "load", "lag", "failsAt", "TSup", "TRet", "flow", "TCase", "power", "energy")
PARAMETERS, INPUTS = {"lag", "failsAt"}, {"TSet", "dpSet", "TDry", "load"}
MAPPING = """
site: demo-pod.yaml
clock: run
parameters: {lag: 60}
commands:
  cdu-1/supply_temperature_setpoint: {variable: TSet, offset: -273.15}
  cdu-1/differential_pressure_setpoint: dpSet
  chiller/enable_command: enable
readings:
  cdu-1/tcs_supply_temperature: {variable: TSup, offset: -273.15}
  cdu-1/tcs_return_temperature: {variable: TRet, offset: -273.15}
  cdu-1/tcs_flow: {variable: flow, scale: 0.001}
  cdu-1/room_dew_point: {weather: dew_point_c}
  dry-coolers/outdoor_dry_bulb: {weather: dry_bulb_c}
weather: {dry_bulb_c: {variable: TDry, offset: -273.15}}
utilisation: {rack-01: load}
power_w: {tcs_pumps: power, fans: {variable: power, scale: 0.5}, it: {variable: load, scale: 1.0e6}}
energy_j: {chillers: energy}
limits:
  case_temperature: {variable: TCase, offset: -273.15}
not_judged: [rack_return_temperature, rack_flow_m3_s, air_inlet_temperature]
"""


def described(version):
    """The model description of the tank."""
    rows = []
    for reference, name in enumerate(REALS):
        causality = "parameter" if name in PARAMETERS else "input" if name in INPUTS else "output"
        start = ' start="0"' if causality != "output" else ""
        fixed = ' variability="tunable"' if causality == "parameter" else ""
        if version == 2:
            row = f'<ScalarVariable name="{name}" valueReference="{reference}" causality="{causality}"{fixed}>'
            rows.append(f"{row}<Real{start}/></ScalarVariable>")
        else:
            rows.append(f'<Float64 name="{name}" valueReference="{reference}" causality="{causality}"{fixed}{start}/>')
    outputs = [i for i, name in enumerate(REALS) if name not in PARAMETERS | INPUTS]
    if version == 2:
        rows.append(
            '<ScalarVariable name="enable" valueReference="0" causality="input"><Boolean start="true"/></ScalarVariable>'
        )
        order = "".join(f'<Unknown index="{i + 1}"/>' for i in outputs)
        head = 'fmiVersion="2.0" modelName="Tank" guid="tank"'
        structure = f"<Outputs>{order}</Outputs><InitialUnknowns>{order}</InitialUnknowns>"
    else:
        rows.append('<Boolean name="enable" valueReference="99" causality="input" start="true"/>')
        rows.append('<Float64 name="time" valueReference="100" causality="independent" variability="continuous"/>')
        head = 'fmiVersion="3.0" modelName="Tank" instantiationToken="tank"'
        order = "".join(f'<{{}} valueReference="{i}"/>' for i in outputs)
        structure = order.replace("{}", "Output") + order.replace("{}", "InitialUnknown")
    return (
        f'<?xml version="1.0"?><fmiModelDescription {head}><CoSimulation modelIdentifier="tank"/>'
        f"<ModelVariables>{''.join(rows)}</ModelVariables><ModelStructure>{structure}</ModelStructure>"
        "</fmiModelDescription>"
    )


@pytest.fixture(scope="module", params=[2, 3], ids=["fmi2", "fmi3"])
def folder(request, tmp_path_factory):
    """tank.fmu, its site and its mapping, in a folder."""
    pytest.importorskip("fmpy")
    if not shutil.which("cc"):
        pytest.skip("no C compiler to make an FMU with")
    found = tmp_path_factory.mktemp("fmu")
    library = found / "tank.so"
    command = ["cc", "-shared", "-fPIC", "-w", f"-DFMI{request.param}", "-o", str(library), str(HERE / "tank.c")]
    subprocess.run(command, check=True)
    platform = "linux64" if request.param == 2 else "x86_64-linux"
    with zipfile.ZipFile(found / "tank.fmu", "w") as archive:
        archive.writestr("modelDescription.xml", described(request.param))
        archive.write(library, f"binaries/{platform}/tank.so")
    shutil.copy(HERE.parents[1] / "site-configs" / "demo-pod.yaml", found)
    (found / "tank.yaml").write_text(MAPPING)
    return found


@pytest.fixture
def make(folder, scenario):
    """A plant of the FMU with some of its mapping changed; closed at the end."""
    made = []

    def made_with(*changes):
        text = MAPPING
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "tank.yaml").write_text(text)
        made.append(load_plant(f"fmu:{folder / 'tank.fmu'}")(scenario))
        return made[-1]

    yield made_with
    for plant in made:
        plant.close()


def test_setpoints_weather_and_work_go_in_and_readings_come_out(make, climate):
    """Kelvin, litres and Booleans on one side, the site file's units on the other."""
    plant = make()
    plant.reset(climate.start_s(196))
    shown = plant.advance({"cdu-1/supply_temperature_setpoint": 38.0}, 1800.0)
    assert shown["cdu-1/tcs_supply_temperature"] == pytest.approx(38.0, abs=0.01)
    assert shown["cdu-1/effective_supply_temperature_setpoint"] == 38.0
    assert shown["cdu-1/tcs_flow"] == pytest.approx(0.025)
    assert shown["cdu-1/tcs_return_temperature"] == pytest.approx(45.0, abs=0.01)
    assert shown["dry-coolers/outdoor_dry_bulb"] == pytest.approx(climate.at(climate.start_s(196) + 1800.0).dry_bulb_c)
    assert plant.advance({"chiller/enable_command": 0.0}, 60.0)["cdu-1/tcs_flow"] == 0.0


def test_energies_and_limits_are_of_the_time_since_reset(make, climate):
    """Powers are summed, counters are read, the warm-up counts for neither; a hot case is counted in seconds."""
    plant = make()
    for _ in range(2):
        plant.reset(climate.start_s(15))
        plant.advance({}, 3600.0)
        truth = plant.truth()
        pumps_j = truth.energy_j["tcs_pumps"]
        assert truth.energy_j["fans"] == pytest.approx(0.5 * pumps_j)
        assert truth.energy_j["chillers"] == pytest.approx(2.0 * pumps_j)
        assert truth.it_j == pytest.approx(0.7e6 * 3600.0)
        assert truth.site_j == pytest.approx(truth.it_j + truth.cooling_j)
        assert truth.violation_s == {}
        assert truth.highest_case_c == pytest.approx(32.0 + 21.0, abs=0.1)
    plant.advance({"cdu-1/supply_temperature_setpoint": 60.0}, 3600.0)
    assert plant.truth().violation_s["case"] > 3000.0
    assert plant.truth().violation_s["tcs-supply"] > 3000.0


def test_a_rule_drives_it_for_a_day(make, climate):
    """The same driver and guard as for every other plant."""
    plant = make()
    day = drive_day(plant, Rule(plant.site, Tuning(kind="static", supply_c=36.0)), climate.start_s(15), 600.0)
    assert day.violation_s == {}
    assert day.energy_j["tcs_pumps"] > 0
    assert day.moves == 0 or day.highest_case_c == pytest.approx(57.0, abs=0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("variable: TSup,", "variable: TSupp,"), "no variable 'TSupp'.*TSup"),
        (("cdu-1/tcs_flow:", "cdu-1/flow:"), "no point cdu-1/flow"),
        (("[rack_return_temperature, ", "["), "nothing tells rack_return_temperature"),
        (("clock: run", "clock: sundial"), "clock"),
        (("parameters: {lag: 60}", "parameters: {lag: often}"), "parameters.lag"),
    ],
)
def test_a_wrong_mapping_is_told_in_words(make, change, words):
    """Each fault names its place, and comes before anything is started."""
    with pytest.raises(ConfigError, match=words) as found:
        make(change)
    assert found.value.remedy


def test_a_step_that_fails_ends_the_run_in_words(make, climate):
    """The time of the step and the FMU's name."""
    plant = make(("{lag: 60}", "{lag: 60, failsAt: 5400}"))
    plant.reset(climate.start_s(15))
    plant.advance({}, 1800.0)
    with pytest.raises(ColdplateError, match=r"tank\.fmu fails in the step from 5400 s"):
        plant.advance({}, 60.0)


def test_what_is_no_fmu_or_none_for_here_is_refused(folder, scenario):
    """Another platform, another kind, or no FMU at all."""
    (folder / "tank.yaml").write_text(MAPPING)
    about = zipfile.ZipFile(folder / "tank.fmu").read("modelDescription.xml")
    cases = {
        "for Windows": (about, "binaries/x86_64-windows/tank.dll", "made for win64"),
        "for model exchange": (about.replace(b"CoSimulation", b"ModelExchange"), "binaries/none", "co-simulation"),
    }
    for name, (description, library, words) in cases.items():
        other = folder / f"{name}.fmu"
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("modelDescription.xml", description)
            archive.writestr(library, "")
        shutil.copy(folder / "tank.yaml", other.with_suffix(".yaml"))
        with pytest.raises(ConfigError, match=words):
            load_plant(f"fmu:{other}")(scenario)
    (folder / "letter.fmu").write_text("dear all")
    shutil.copy(folder / "tank.yaml", folder / "letter.yaml")
    with pytest.raises(ConfigError, match="not an FMU"):
        load_plant(f"fmu:{folder / 'letter.fmu'}")(scenario)
    with pytest.raises(ConfigError, match="can't be read"):
        load_plant(f"fmu:{folder / 'nowhere.fmu'}")(scenario)


def test_a_mapping_that_is_no_text_is_told_in_a_line(tmp_path):
    """The name of an FMU or of some other file in place of the mapping's."""
    (tmp_path / "hall.yaml").write_bytes(b"\xff\xfe\x00\x93")
    with pytest.raises(ConfigError, match=r"hall\.yaml: not UTF-8 text; write what its variables mean"):
        read_mapping(tmp_path / "hall.yaml")
