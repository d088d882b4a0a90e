"""Worker processes of benchmarks of many tasks, forked from one that imports while the benchmark itself does."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import forkserver

PRELOAD = ["benchmarks.tasks", "statsmodels.tsa.arima.estimators.hannan_rissanen"]
"""What every worker needs; the second is what the controller imports late."""


def prepare() -> None:
    """Start the process that workers are forked from: its imports take as long as the benchmark's own."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many threads for tiny matrices only wait for one another
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
    forkserver.ensure_running()


@cache
def pool() -> ProcessPoolExecutor:
    """As many workers as there are cores, for the rest of this process."""
    prepare()
    return ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=multiprocessing.get_context("forkserver"))
