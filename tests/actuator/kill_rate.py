"""`make mutants`: how many small faults in the guard its boundary cases notice. Ends with 1 where one survives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import actuator.guard

HERE = Path(__file__).parent


def beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def main() -> int:
    """Print the rate and every survivor."""
    mutants, cases = beside("mutants"), beside("guard_cases").cases()
    source = Path(actuator.guard.__file__)
    made, alive = 0, []
    for what, code in mutants.mutants(source.read_text(encoding="utf-8")):
        made += 1
        module = mutants.module_of(code)
        if not any(case.fault(module) for case in cases):
            alive.append(what)
    said = [f"actuator/guard.py: {made - len(alive)} of {made} mutants killed by {len(cases)} cases"]
    sys.stdout.write("\n".join([*said, *(f"survived: {what}" for what in alive), ""]))
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
