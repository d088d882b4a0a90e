"""Questions to a kube-apiserver on loopback, as the tests and benchmarks of a real one ask them."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ADMIN, HOST = "admin-of-this-lab", "127.0.0.1"
IDLE_S = 30.0
"""A connection that lay idle for longer is not used again [s]: the API server closes it after 90."""
PLURALS = {
    "Deployment": "apis/apps/v1/{ns}deployments",
    "ClusterRole": "apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "apis/rbac.authorization.k8s.io/v1/{ns}roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/{ns}rolebindings",
    "ServiceAccount": "api/v1/{ns}serviceaccounts",
    "Namespace": "api/v1/namespaces",
    "PriorityClass": "apis/scheduling.k8s.io/v1/priorityclasses",
    "PodDisruptionBudget": "apis/policy/v1/{ns}poddisruptionbudgets",
    "Job": "apis/batch/v1/{ns}jobs",
}


class KubeCaller:
    """port: the server's; authority: the file of who signed its certificate, which need not be there yet."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port, self._authority = port, authority
        self._idle: list[tuple[float, http.client.HTTPSConnection]] = []

    def status(self, method: str, path: str, body: object = None, *, token: str = ADMIN) -> int:
        """What the API server answers to that."""
        return self._ask(method, path, body, token)[0]

    def call(self, method: str, path: str, body: object = None, *, token: str = ADMIN) -> dict[str, Any]:
        """An answer that must be a good one."""
        status, answer = self._ask(method, path, body, token)
        if status >= 400:
            raise AssertionError(f"{method} {path}: {status} {answer.get('message')}")
        return answer

    def apply(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """As `kubectl apply --server-side` does."""
        for document in documents:
            metadata = document["metadata"]
            space = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
            path = f"/{PLURALS[document['kind']].format(ns=space)}/{metadata['name']}?fieldManager=lab&force=true"
            self.call("APPLY", path, document)

    def _ask(self, method: str, path: str, body: object, token: str) -> tuple[int, dict[str, Any]]:
        kinds = {"PATCH": "application/merge-patch+json", "APPLY": "application/apply-patch+yaml"}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kinds.get(method, "application/json")}
        data = None if body is None else json.dumps(body).encode()
        wire = self._fresh()
        try:
            wire.request("PATCH" if method == "APPLY" else method, path, data, headers)
            answer = wire.getresponse()
            text = answer.read()
        except BaseException:
            wire.close()
            raise
        self._idle.append((time.monotonic(), wire))
        return answer.status, json.loads(text) if text[:1] == b"{" else {"message": text.decode(errors="replace")}

    def _fresh(self) -> http.client.HTTPSConnection:
        try:
            since_s, wire = self._idle.pop()
        except IndexError:
            return self._wire()
        if time.monotonic() - since_s < IDLE_S:
            return wire
        wire.close()
        self.drop_wires()  # those below it are older still
        return self._wire()

    def _wire(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self._authority))
        return http.client.HTTPSConnection(HOST, self.port, timeout=30, context=context)

    def drop_wires(self) -> None:
        """Close connections that wait for the next question."""
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while True:
                self._idle.pop()[1].close()
