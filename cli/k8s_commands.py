"""`coldplate k8s`: what a Kubernetes cluster is told, kept so, taken back, and shown to work there."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from pathlib import Path

import typer

from cli.slurm_commands import API, EVERY, NODE_KW, ONCE, TOKEN, WRITE, secret_in, token
from plant.errors import ColdplateError, ConfigError

k8s_app = typer.Typer(no_args_is_help=True, help="Hints and budgets in a Kubernetes cluster.")
KUBECONFIG = typer.Option(
    None, "--kubeconfig", exists=True, dir_okay=False, help="By default $KUBECONFIG, or the pod that this runs in."
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(k8s_app, name="k8s")


@k8s_app.command("sync")
def sync(
    api: str = API,
    token_file: Path | None = TOKEN,
    kubeconfig: Path | None = KUBECONFIG,
    name: str = typer.Option("kubernetes", "--name", help="How this cluster is called in the API."),
    write: bool = WRITE,
    once: bool = ONCE,
    every_s: float = EVERY,
    node_kw: float = NODE_KW,
    gpu_w: float = typer.Option(1000.0, "--gpu-w", min=0.0, help="What a pod draws for each GPU it asks for [W]."),
    pod_w: float = typer.Option(0.0, "--pod-w", min=0.0, help="What a pod without GPUs draws [W]; 0: not told."),
) -> None:
    """Keep annotations, labels and taints as coldplate's hints say; tell it pods and how it went."""
    from cli.k8s_sync import tell_pods
    from cli.sync_loop import SyncLoop
    from placement.api_client import Client
    from placement.kubernetes.cluster import connect
    from placement.kubernetes.cycle import KubernetesCycle
    from placement.kubernetes.extender import PodPower
    from placement.sync_cycle import Cycle, Reporter
    from placement.wishes import Ear, Wishes

    secret = token(token_file)
    if not write:
        print("dry run: nothing is changed; --write does it")
    if not secret:
        print("no token: pods and state are not told; see --token-file")
    power = PodPower(gpu_w=gpu_w, other_w=pod_w)

    async def work() -> bool:
        with contextlib.closing(Client(api, secret)) as client:
            async with connect(kubeconfig) as cluster:
                cycle = KubernetesCycle(cluster, write=write, node_kw=node_kw)

                async def pods(wishes: Wishes, done: Cycle) -> None:
                    if secret:
                        await tell_pods(cluster, client, name, power, every_s, wishes, done)

                report = (lambda r: client.report(name, r)) if secret else None
                reporter = Reporter("kubernetes", every_s, dry=not write)
                return await SyncLoop(Ear(client, scheduler=name), reporter, cycle.run, pods, report).work(once=once)

    raise typer.Exit(0 if asyncio.run(work()) else 1)


@k8s_app.command("take-back")
def take_back(kubeconfig: Path | None = KUBECONFIG, write: bool = WRITE) -> None:
    """Remove all marks of `sync` from all nodes. Loans stay."""
    from placement.kubernetes.cluster import connect
    from placement.kubernetes.writer import write as written

    async def work() -> int:
        async with connect(kubeconfig) as cluster:
            done = await written(cluster, {}, time.time(), dry=not write)
        for node, why in done.failed.items():
            print(f"{node}: {why}")
        print(f"{len(done.patches)} nodes" + ("" if write else " would lose their marks; --write does it"))
        return len(done.failed)

    raise typer.Exit(1 if asyncio.run(work()) else 0)


@k8s_app.command("verify")
def verify(
    node: str = typer.Option("", "--node", help="Write on this node, own keys only, and take them back."),
    throwaway: bool = typer.Option(False, "--throwaway", help="Make node objects without machines for it."),
    pods: int = typer.Option(0, "--pods", min=0, max=40, help="With --throwaway: so many for the scheduler."),
    kubeconfig: Path | None = KUBECONFIG,
    api: str = typer.Option("", "--api", help="Also ask coldplate's scheduler extender there."),
    extender_token_file: Path | None = typer.Option(
        None, "--extender-token-file", exists=True, dir_okay=False, help="Its password, where it wants one."
    ),
    extender_ca_file: Path | None = typer.Option(
        None, "--extender-ca-file", exists=True, dir_okay=False, help="Who signed its certificate, if not a known one."
    ),
) -> None:
    """Show that the adapter works on this cluster; status 1 if anything did not hold. Everything is taken back."""
    from cli.extender_question import Extender, extender_answers
    from placement.kubernetes.cluster import connect
    from placement.kubernetes.verify import Row, Verification, own_nodes, scheduled

    if bool(node) == throwaway:
        remedy = "name a node (--node gpu-1), or let two be made and deleted (--throwaway)"
        raise ConfigError("give exactly one of --node and --throwaway", remedy=remedy)
    if pods and not throwaway:
        raise ConfigError("--pods needs --throwaway", remedy="pods are only ever placed on nodes made for them")

    password = secret_in(extender_token_file) if extender_token_file else ""
    extender = Extender(url=api, password=password, ca_file=extender_ca_file)

    async def work() -> list[Row]:
        async with connect(kubeconfig) as cluster, contextlib.AsyncExitStack() as stack:
            stem = f"coldplate-verify-{secrets.token_hex(3)}"
            names = await stack.enter_async_context(own_nodes(cluster, stem, 4)) if throwaway else [node]
            verification = Verification(cluster, names[0])
            await verification.run()
            if pods:
                what = "the scheduler obeys the soft taint"
                await verification.row(what, lambda: scheduled(verification, stem, names, pods))
            if api:
                await verification.row("the extender answers", lambda: extender_answers(cluster, extender))
            return verification.rows

    try:
        rows = asyncio.run(work())
    except ColdplateError as error:
        print(f"not verified: {error}")
        raise typer.Exit(1) from error
    for row in rows:
        print(f"{'held' if row.held else 'FAILED':<7}{row.took_ms:8.1f} ms  {row.what}: {row.detail}".rstrip(": "))
    raise typer.Exit(0 if all(row.held for row in rows) else 1)
