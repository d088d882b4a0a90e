"""A question to coldplate's scheduler extender as kube-scheduler puts it, for `coldplate k8s verify`; what hinders."""

from __future__ import annotations

import asyncio
import base64
import http.client
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from placement.kubernetes.cluster import Kubernetes
from plant.errors import ConfigError, RefusedError, SilentError

TIMEOUT_S = 10.0
_REMEDIES = {
    401: "its password is missing or wrong: --extender-token-file names the file extender-token of its state, and "
    "urlPrefix holds the same word",
    421: "it is not called so: start coldplate with --name and the name in this address",
}
_NAME, _ADDRESS = 62, 64
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extender:
    """url: of `coldplate serve`; password: of the file `extender-token`, where it listens beyond loopback.

    ca_file: PEM of who signed its certificate (kube-scheduler: `tlsConfig.caFile`); None: the system's authorities.
    """

    url: str
    password: str = field(default="", repr=False)
    ca_file: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """Whom to believe.

        Raises:
            ConfigError: ca_file holds no certificate.
        """
        if not self.url.lower().startswith("https:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            remedy = "name the PEM file of the authority that signed coldplate's certificate"
            raise ConfigError(error.strerror or str(error), where=str(self.ca_file), remedy=remedy) from error


async def extender_answers(cluster: Kubernetes, extender: Extender) -> str:
    """Ask filter and prioritize about this cluster's nodes; what they said.

    Raises:
        ConfigError: the authority's file holds none.
        SilentError: no answer, or from somebody whose certificate is not believed.
        RefusedError: it said no, or the answer is not the contract's.
    """
    names = list(await cluster.nodes())
    pod = {"metadata": {"name": "verify", "namespace": "default"}, "spec": {"containers": []}}
    question = msgspec.json.encode({"Pod": pod, "Nodes": None, "NodeNames": names})
    kept = await asyncio.to_thread(_asked, extender, "filter", question)
    scores = await asyncio.to_thread(_asked, extender, "prioritize", question)
    if not isinstance(kept, dict) or kept.get("Error") or not isinstance(scores, list) or len(scores) != len(names):
        raise RefusedError(f"filter {str(kept)[:80]}, prioritize {str(scores)[:80]}")
    return f"{len(kept['NodeNames'] or ())} of {len(names)} nodes pass, {len(scores)} have a score"


def _asked(extender: Extender, verb: str, body: bytes) -> object:
    url = f"{extender.url.rstrip('/')}/k8s/extender/{verb}"
    coded = base64.b64encode(f"scheduler:{extender.password}".encode()).decode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Basic {coded}"} if extender.password else {})
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the user's address
    context = extender.context()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310 - as above
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        remedy = _REMEDIES.get(error.code, "")
        raise RefusedError(f"{url}: HTTP {error.code}" + (f" ({remedy})" if remedy else "")) from error
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise SilentError(f"{url}: {_why(error, tls=context is not None)}") from error


def _why(error: Exception, *, tls: bool) -> str:
    """What hinders, and what to do where it is TLS."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {cause.verify_message}; {_cure(cause.verify_code)}"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS there ({cause.reason or cause}); give coldplate --tls-cert and --tls-key, or ask by http"
    if not tls and isinstance(cause, ConnectionResetError | http.client.HTTPException):
        return f"no answer in http ({cause}); ask by https where coldplate has a certificate"
    return str(cause)


def _cure(code: int) -> str:
    if code in (_NAME, _ADDRESS):
        return "make one whose subjectAltName has the name in this address, or call coldplate by a name that it has"
    return (
        "name its authority: --extender-ca-file here, tlsConfig.caFile for kube-scheduler (which without caFile "
        "believes everybody); one that is over has to be made anew"
    )
