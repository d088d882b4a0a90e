"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-scheduler as our children; ends them all.

There is no kubelet: nodes are objects, ready on paper, and a pod that was bound counts as placed. TLS, tokens and RBAC
are as on any cluster.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.kube_caller import ADMIN, HOST, KubeCaller
from benchmarks.slurm_lab import free_ports

PROGRAMS = ("etcd", "kube-apiserver", "kube-scheduler")
CONTROLLERS = "kube-controller-manager"
"""Only where pods of controllers and taints of nodes are looked at: nodes without a kubelet are soon lost to it."""
AT_ONCE = 8
SIZE = {"cpu": "64", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "8"}


def found_programs() -> dict[str, str]:
    """Paths of the programs in $KUBE_BIN, else on the path; those that are not there are absent."""
    where = os.pathsep.join([os.environ.get("KUBE_BIN", ""), os.environ.get("PATH", ""), "/usr/local/bin"])
    paths = {name: shutil.which(name, path=where) for name in (*PROGRAMS, CONTROLLERS)}
    return {name: path for name, path in paths.items() if path is not None}


class ControlPlane(KubeCaller):
    """`with ControlPlane(folder) as plane`: the API server answers, the default namespace can take pods."""

    def __init__(self, folder: Path, programs: Mapping[str, str] | None = None) -> None:
        self.folder, self._programs = folder, dict(programs or found_programs())
        self._ports = free_ports(3)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        super().__init__(self._ports[2], folder / "certs" / "apiserver.crt")

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._keys()
            client, peer = (f"http://{HOST}:{port}" for port in self._ports[:2])
            self._start("etcd", "--data-dir", str(self.folder / "etcd"), "--name", "lab", "--log-level", "error",
                        "--listen-client-urls", client, "--advertise-client-urls", client,
                        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                        "--initial-cluster", f"lab={peer}")  # fmt: skip
            self.start_api()
            # kube-controller-manager makes this one elsewhere; without it no pod is admitted. The namespace comes late
            path, account = "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}
            self.until(lambda: self.status("POST", path, account) in (201, 409), 60, "the default namespace")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_api(self) -> None:
        """kube-apiserver, until it is ready."""
        keys = str(self.folder / "accounts.key")
        self._start("kube-apiserver", "--etcd-servers", f"http://{HOST}:{self._ports[0]}", "--bind-address", HOST,
                    "--advertise-address", HOST, "--endpoint-reconciler-type", "none", "--secure-port", str(self.port),
                    "--cert-dir", str(self.folder / "certs"), "--token-auth-file", str(self.folder / "tokens.csv"),
                    "--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc",
                    "--service-account-key-file", keys, "--service-account-signing-key-file", keys,
                    "--service-cluster-ip-range", "10.0.0.0/24")  # fmt: skip
        self.until(self._ready, 120, "an API server that is ready")

    def start_scheduler(self, config: Mapping[str, Any] | None = None) -> None:
        """kube-scheduler with a KubeSchedulerConfiguration, whose way to the API server is set here."""
        path = self.folder / f"scheduler-{time.monotonic_ns()}.json"
        base = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
        client = {"kubeconfig": str(self.kubeconfig()), "qps": 1000, "burst": 1000}
        whole = {**base, **(config or {}), "clientConnection": client, "leaderElection": {"leaderElect": False}}
        path.write_text(json.dumps(whole))
        self._start("kube-scheduler", "--config", str(path), "--secure-port", "0", "-v", "1")

    def stop_scheduler(self) -> None:
        """In an orderly way; none is no matter."""
        self._stop("kube-scheduler")

    def _stop(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            child.terminate()
            child.wait(60)

    def start_controllers(self, *names: str) -> None:
        """kube-controller-manager with these of its controllers alone; nodes may be silent for an hour."""
        self._start(CONTROLLERS, "--kubeconfig", str(self.kubeconfig()), "--controllers", ",".join(names),
                    "--leader-elect=false", "--secure-port", "0", "--node-monitor-grace-period", "1h")  # fmt: skip

    def stop_controllers(self) -> None:
        """In an orderly way; none is no matter."""
        self._stop(CONTROLLERS)

    def stop_api(self) -> None:
        """Killed, as when its host fails; what it knew is in etcd."""
        child = self._children.pop("kube-apiserver")
        child.kill()
        child.wait(60)
        self.drop_wires()

    def close(self) -> None:
        """End every child."""
        self.drop_wires()
        for name in reversed((*PROGRAMS, CONTROLLERS)):
            child = self._children.pop(name, None)
            if child is not None:
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait(10)

    def kubeconfig(self, token: str = ADMIN) -> Path:
        """A kubeconfig file for a token; ours may do everything."""
        path = self.folder / f"kubeconfig-{abs(hash(token)):x}"
        authority = str(self.folder / "certs" / "apiserver.crt")
        cluster = {"server": f"https://{HOST}:{self.port}", "certificate-authority": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "users": [{"name": "lab", "user": {"token": token}}],
        }
        path.write_text(json.dumps(config))
        return path

    def account_token(self, namespace: str, name: str) -> str:
        """A token of a service account, as a pod of it gets one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        return str(self.call("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"])

    def each(self, work: Callable[[Any], object], of: Iterable[Any]) -> None:
        """Do it for all, a few at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(work, of))

    def add_nodes(self, names: Sequence[str], **spec: Any) -> None:
        """Nodes without machines, ready on paper."""
        ready = {"type": "Ready", "status": "True", "reason": "Paper"}
        status = {"capacity": SIZE, "allocatable": SIZE, "conditions": [ready]}

        def add(name: str) -> None:
            body = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "status": status}
            self.call("POST", "/api/v1/nodes", body)
            # a new node is tainted not-ready by admission, and nobody here would take that off
            self.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None, **spec}})

        self.each(add, names)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """All, by name."""
        return {n["metadata"]["name"]: n for n in self.call("GET", "/api/v1/nodes")["items"]}

    def taints(self, node: str) -> dict[str, str]:
        """Effect by key."""
        found = self.call("GET", f"/api/v1/nodes/{node}")["spec"].get("taints") or ()
        return {taint["key"]: taint["effect"] for taint in found}

    def add_pod(self, name: str, gpus: int = 0, owner: str = "", **spec: Any) -> None:
        """A pod of the namespace `default`; owner: a controller that it says it belongs to."""
        resources = {"requests": {"cpu": "100m"}, "limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}}
        annotations = spec.pop("annotations", {})
        metadata: dict[str, Any] = {"name": name, "annotations": annotations, "labels": {"app": owner or name}}
        if owner:
            about = {"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": f"uid-{owner}", "controller": True}
            metadata["ownerReferences"] = [about]
        container = {"name": "main", "image": "registry.k8s.io/pause:3.9", "resources": resources}
        body = {"metadata": metadata, "spec": {"containers": [container], **spec}}
        self.call("POST", "/api/v1/namespaces/default/pods", body)

    def pods(self) -> dict[str, dict[str, Any]]:
        """All of the namespace `default`, by name."""
        return {p["metadata"]["name"]: p for p in self.call("GET", "/api/v1/namespaces/default/pods")["items"]}

    def placed(self) -> dict[str, str]:
        """Pod -> its node, of those that have one."""
        return {n: p["spec"]["nodeName"] for n, p in self.pods().items() if p["spec"].get("nodeName")}

    def runs(self, pod: str) -> None:
        """Say of a pod that it runs, as its node's kubelet would."""
        ready = {"type": "Ready", "status": "True"}
        body = {"status": {"phase": "Running", "conditions": [ready]}}
        self.call("PATCH", f"/api/v1/namespaces/default/pods/{pod}/status", body)

    def remove_pods(self) -> None:
        """All, at once."""
        body = {"gracePeriodSeconds": 0}
        self.each(lambda n: self.call("DELETE", f"/api/v1/namespaces/default/pods/{n}", body), list(self.pods()))

    def why(self, pod: str) -> str:
        """What the scheduler says of a pod that waits."""
        conditions = self.pods()[pod].get("status", {}).get("conditions") or ()
        return next((c.get("message", "") for c in conditions if c["type"] == "PodScheduled"), "")

    def until(self, what: Callable[[], object], seconds: float, text: str) -> float:
        """Wait until it is true; how long that took [s]."""
        begin = time.monotonic()
        while not what():
            if time.monotonic() - begin > seconds or any(c.poll() is not None for c in self._children.values()):
                raise AssertionError(f"not within {seconds:g} s: {text}; {self._logs()}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def log(self, name: str) -> str:
        """What one of them said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _ready(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.status("GET", "/readyz") == 200
        return False

    def _keys(self) -> None:
        make = ["openssl", "genrsa", "-out", str(self.folder / "accounts.key"), "2048"]
        subprocess.run(make, check=True, capture_output=True)  # noqa: S603 - our own arguments
        (self.folder / "tokens.csv").write_text(f'{ADMIN},admin,1,"system:masters"\n')

    def _start(self, name: str, *options: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        argv = [self._programs[name], *options]
        self._children[name] = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603
        log.close()

    def _logs(self) -> str:
        tails = [f"{p.stem}: {p.read_text(errors='replace')[-1500:]}" for p in sorted(self.folder.glob("*.log"))]
        return "\n".join(tails)
