"""A client of coldplate's own HTTP API, for processes beside schedulers: one connection, kept open, answers as records.

    coldplate = Client("http://127.0.0.1:8080", token)
    heard = coldplate.hints()          # asks with the last ETag; the same list again costs no body
    for node in heard.hints.nodes: ...

Blocking; one thread at a time. Times are the site's clock [s since 1970].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

from placement.advice import PackingAdvice
from placement.api_answers import Headrooms, Points, Schedulers, Status
from placement.api_connection import NOT_MODIFIED, Connection, decoded
from placement.budgets import Budgets, BudgetShown
from placement.hint_list import NodeHints
from placement.loan_reports import Lender, Lenders, LoanReport
from placement.scheduler_reports import Report, SchedulerState
from placement.shed.reports import ShedReport, ShedState
from placement.workload_hints import WorkloadHints
from plant.errors import ConfigError, RefusedError
from plant.intents import Answer
from plant.records import Headroom
from plant.sheds import ShedKept
from store.codec import from_plain

T = TypeVar("T")
LEARNS_WITHIN_S = 330.0
"""The server gives learning up after 300 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The list of all nodes, and the site's clock when the server gave it [s since 1970]."""

    hints: NodeHints
    site_time_s: float

    @property
    def valid(self) -> bool:
        """Whether it was still good when it was given; an older one says nothing."""
        return self.site_time_s < self.hints.valid_until


class Client:
    """url: of `coldplate serve`; token: for what changes something (file `token` of the state directory)."""

    def __init__(self, url: str = "http://127.0.0.1:8080", token: str = "", *, timeout_s: float = 5.0) -> None:
        """Nothing is sent yet.

        Raises:
            ConfigError: not an http or https address.
        """
        self._connection = Connection(url, token, timeout_s)
        self._patient = Connection(url, token, LEARNS_WITHIN_S)
        self._etag = ""
        self._hints: NodeHints | None = None

    def hints(self) -> Heard:
        """Scores of all nodes.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        headers = {"If-None-Match": self._etag} if self._etag else {}
        status, body, found = self._connection.send("GET", "/v1/hints/nodes", None, headers)
        if status != NOT_MODIFIED or self._hints is None:
            self._hints, self._etag = decoded(body, NodeHints), found.get("etag", "")
        return Heard(hints=self._hints, site_time_s=float(found.get("x-site-time", "nan")))

    def workload(self, work: Mapping[str, object]) -> WorkloadHints:
        """Nodes for a workload; the form is that of `POST /v1/hints` (docs/api.md), e.g. {"gpus": 8}.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no, naming the field.
        """
        made = self._ask("POST", "/v1/hints", dict[str, Any], work)
        return from_plain(WorkloadHints, made)  # null is a cost that is not known

    def outcome(self, hint_id: str, told: Mapping[str, object]) -> Answer:
        """Tell what became of a hint, once; the form is that of `POST /v1/hints/{hint_id}/outcome`.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no, e.g. as the hint had expired when it was used.
        """
        return self._ask("POST", f"/v1/hints/{quote(hint_id, safe='')}/outcome", Answer, told)

    def packing(self, asked: Mapping[str, object]) -> PackingAdvice:
        """Places for pods on shared GPUs; the form is that of `POST /v1/advise/packing` (docs/api.md).

        The first answer for a mix of pods is waited for while the server learns it (half a minute for 1,200 nodes),
        unless `learn` is false.

        Raises:
            SilentError: no answer, or learning took too long.
            RefusedError: the server said no, naming the field.
        """
        return decoded(self._patient.send("POST", "/v1/advise/packing", asked)[1], PackingAdvice)

    def budgets(self) -> list[BudgetShown]:
        """Power budgets in force.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("GET", "/v1/budget", Budgets).budgets

    def put_budget(
        self, kw: float, reason: str, until: float, *, scope: str = "site", source: str = "operator", actor: str
    ) -> Answer:
        """Set a power budget of kw [kW] until a moment [s since 1970, site clock].

        Raises:
            SilentError: no answer.
            RefusedError: the server said no, e.g. to the token or the scope.
        """
        body = {"scope": scope, "kw": kw, "reason": reason, "until": until, "source": source, "actor": actor}
        return self._ask("PUT", "/v1/budget", Answer, body)

    def end_budget(self, reason: str, *, scope: str = "site", source: str = "operator", actor: str) -> Answer:
        """End a budget before its time.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no, e.g. as there is none.
        """
        query = urlencode({"scope": scope, "source": source, "reason": reason, "actor": actor})
        return self._ask("DELETE", f"/v1/budget?{query}", Answer)

    def report(self, name: str, report: Report) -> SchedulerState:
        """Tell how the last cycle went; how the server sees it now.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("PUT", f"/v1/schedulers/{quote(name, safe='')}", SchedulerState, report)

    def schedulers(self) -> list[SchedulerState]:
        """All that have reported.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("GET", "/v1/schedulers", Schedulers).schedulers

    def put_loans(self, name: str, report: LoanReport) -> Answer:
        """Tell which nodes are lent.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("PUT", f"/v1/loans/{quote(name, safe='')}", Answer, report)

    def loans(self) -> tuple[Lender, ...]:
        """Loans by the process that told them.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("GET", "/v1/loans", Lenders).lenders

    def shed(self) -> ShedState:
        """Load that has to come off, and how.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("GET", "/v1/shed", ShedState)

    def put_shed(self, name: str, report: ShedReport) -> Answer:
        """Tell what was done of it.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("PUT", f"/v1/shed/{quote(name, safe='')}", Answer, report)

    def put_shed_book(self, name: str, kept: ShedKept) -> Answer:
        """Tell all that is held, so that it can be given back from another host.

        Raises:
            SilentError: no answer.
            ConflictError: another process has gone on from it.
            RefusedError: the server said no.
        """
        return self._ask("PUT", f"/v1/shed/{quote(name, safe='')}/book", Answer, kept)

    def shed_book(self, name: str) -> ShedKept:
        """What was told last under that name; of no owner where nothing was.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        told = self._ask("GET", f"/v1/shed/{quote(name, safe='')}/book", dict[str, Any])
        return from_plain(ShedKept, told)  # null is a time that is not known

    def powers(self) -> dict[str, float]:
        """What each piece of equipment draws now [W], where its meter is good.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        points = self._ask("GET", "/v1/points?name=power", Points).points
        good = ((p.id.partition("/")[0], p.value) for p in points if p.quality == "good" and p.value is not None)
        return dict(good)

    def site_powers(self) -> tuple[float | None, float | None]:
        """What IT and the whole site draw now [W]; None where that is not metered.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        status = self._ask("GET", "/v1/status", Status)
        return status.it_w, status.site_w

    def site_time_s(self) -> float:
        """The site's clock [s since 1970].

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        return self._ask("GET", "/v1/status", Status).now_s

    def headroom(self) -> list[Headroom]:
        """What each rack can still take.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        rows = self._ask("GET", "/v1/headroom", Headrooms).headroom
        try:
            return [from_plain(Headroom, row) for row in rows]  # null is a power that is not known
        except ConfigError as error:
            raise RefusedError(f"not an answer of coldplate: {error}") from error

    def put_jobs(self, jobs: Mapping[str, object], *, actor: str) -> Answer:
        """Tell all running and queued jobs; the form is that of `PUT /v1/jobs` (docs/api.md).

        Raises:
            SilentError: no answer.
            RefusedError: the server said no, naming job and field.
        """
        return self._ask("PUT", f"/v1/jobs?{urlencode({'actor': actor})}", Answer, jobs)

    def close(self) -> None:
        """End the connections; the next question opens another."""
        self._connection.close()
        self._patient.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        return decoded(self._connection.send(method, path, body)[1], kind)
