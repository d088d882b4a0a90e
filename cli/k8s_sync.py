"""What `coldplate k8s sync` tells coldplate's own API: pods as future load."""

from __future__ import annotations

import asyncio
import time

from placement.api_client import Client
from placement.job_body import LEAST_PERIOD_S, PERIODS_VALID, job_body
from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.extender import PodPower
from placement.kubernetes.outlook import pod_outlooks
from placement.sync_cycle import Cycle
from placement.wishes import Wishes


async def tell_pods(
    cluster: Kubernetes, client: Client, name: str, power: PodPower, period_s: float, wishes: Wishes, cycle: Cycle
) -> None:
    """Tell the API what runs and waits.

    Raises:
        SilentError: one of both does not answer.
        RefusedError: one of both said no.
    """
    if not wishes.places:
        return
    skew_s = cycle.skew_s or 0.0
    now_s = time.time() + skew_s
    found = pod_outlooks(await cluster.pods(), wishes.rack_of, power, now_s)
    valid_for_s = PERIODS_VALID * max(period_s, LEAST_PERIOD_S)
    body = job_body(found, name, now_s, valid_for_s, wishes.site_ahead_s - skew_s)
    await asyncio.to_thread(lambda: client.put_jobs(body, actor=name))
