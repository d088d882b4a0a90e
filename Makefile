# coldplate: `make demo` runs the main job, `make test` passes the tests. Each does its own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PAGE   := dashboards/dist/index.html
PORT   ?= 8080
SPEED  ?= 20

.PHONY: setup demo test check debian faults campaign mutants slurm-24.11 kubernetes clean

setup: $(VENV)/.installed $(PAGE)

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "coldplate needs Python 3.11 or newer; found %d.%d. Install it, or name one with PYTHON=..." % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	touch $@

# The page needs Node at build time only. Where it is missing or too old it comes as a wheel, into the same environment.
$(PAGE): $(VENV)/.installed $(shell find dashboards/web -path '*/node_modules' -prune -o -type f -print 2>/dev/null)
	./dashboards/web/build.sh $(abspath $(VENV))
	@touch $@

demo: setup
	$(BIN)/coldplate demo --port $(PORT) --speed $(SPEED)

# Real servers and a real browser for the tests: installed where we may (root or password-less sudo on Debian).
debian:
	./tests/install-debian-packages.sh

# Most tests wait for others, so two for each core at a time; a file's tests stay together and in order.
# Bytecode is kept even where the environment says not to: every process that a test starts would compile it all anew.
test faults campaign: export PYTHONDONTWRITEBYTECODE :=
WORKERS ?= $(shell echo $$(( 2 * $$(nproc 2>/dev/null || echo 2) > 8 ? 8 : 2 * $$(nproc 2>/dev/null || echo 2) )))
test: setup debian
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# Slower campaigns: kills, full disks, lost brokers, over and over.
faults: setup debian
	$(BIN)/python -m pytest tests/faults --campaign -o faulthandler_timeout=3600

# A million hostile asks of the guard, a whole switchback on the simulated pod, and all of the above.
campaign: faults
	$(BIN)/python -m pytest tests/actuator tests/controller tests/placement tests/cli --campaign -o faulthandler_timeout=3600

# Small faults put into the guard one by one: each must be noticed.
mutants: setup
	$(BIN)/python tests/actuator/kill_rate.py

# The Slurm tests once more, on Slurm 24.11 of Debian 13, unpacked into a folder (root; nothing is installed).
slurm-24.11: setup debian
	./tests/with-slurm-24.11.sh .slurm-24.11 $(BIN)/python -m pytest tests/placement -m real

# The Kubernetes adapter on a real kube-apiserver and kube-scheduler: of the folder KUBE_BIN, else built here (needs Go).
kubernetes: setup
	./tests/with-kubernetes.sh .kubernetes $(BIN)/python -m pytest tests/placement/test_kubernetes_real*.py

clean:
	rm -rf $(VENV) .slurm-24.11 .kubernetes dashboards/dist dashboards/web/node_modules
