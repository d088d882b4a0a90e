"""What `coldplate k8s` says to coldplate's own API: pods as future load, and a question to the extender."""

from __future__ import annotations

import asyncio
import base64
import time
import urllib.error
import urllib.request

import msgspec

from placement.api_client import Client
from placement.job_body import LEAST_PERIOD_S, PERIODS_VALID, job_body
from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.extender import PodPower
from placement.kubernetes.outlook import pod_outlooks
from placement.sync_cycle import Cycle
from placement.wishes import Wishes
from plant.errors import RefusedError, SilentError

TIMEOUT_S = 10.0
UNKNOWN = 401


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


async def extender_answers(cluster: Kubernetes, api: str, password: str = "") -> str:
    """Ask filter and prioritize about this cluster's nodes, as kube-scheduler does; what they said.

    password: of the file `extender-token`, where coldplate listens beyond loopback.

    Raises:
        SilentError: no answer.
        RefusedError: the answer is not the contract's.
    """
    names = list(await cluster.nodes())
    pod = {"metadata": {"name": "verify", "namespace": "default"}, "spec": {"containers": []}}
    question = msgspec.json.encode({"Pod": pod, "Nodes": None, "NodeNames": names})
    extender = f"{api.rstrip('/')}/k8s/extender"
    kept = await asyncio.to_thread(_asked, f"{extender}/filter", question, password)
    scores = await asyncio.to_thread(_asked, f"{extender}/prioritize", question, password)
    if not isinstance(kept, dict) or kept.get("Error") or not isinstance(scores, list) or len(scores) != len(names):
        raise RefusedError(f"filter {str(kept)[:80]}, prioritize {str(scores)[:80]}")
    return f"{len(kept['NodeNames'] or ())} of {len(names)} nodes pass, {len(scores)} have a score"


def _asked(url: str, body: bytes, password: str) -> object:
    known = f"Basic {base64.b64encode(f'scheduler:{password}'.encode()).decode()}" if password else ""
    headers = {"Content-Type": "application/json"} | ({"Authorization": known} if known else {})
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the user's address
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        remedy = " (--extender-token-file names the file extender-token of its state)" if error.code == UNKNOWN else ""
        raise RefusedError(f"{url}: HTTP {error.code}{remedy}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise SilentError(f"{url}: {error}") from error
