"""Questions to a kube-apiserver on loopback, as the tests and benchmarks of a real one ask them."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ADMIN, HOST = "admin-of-this-lab", "127.0.0.1"
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
        self._idle: list[http.client.HTTPSConnection] = []

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
        wire = self._idle.pop() if self._idle else self._wire()
        try:
            wire.request("PATCH" if method == "APPLY" else method, path, data, headers)
            answer = wire.getresponse()
            text = answer.read()
        except BaseException:
            wire.close()
            raise
        self._idle.append(wire)
        return answer.status, json.loads(text) if text[:1] == b"{" else {"message": text.decode(errors="replace")}

    def _wire(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self._authority))
        return http.client.HTTPSConnection(HOST, self.port, timeout=30, context=context)

    def drop_wires(self) -> None:
        """Close connections that wait for the next question."""
        while self._idle:
            self._idle.pop().close()
