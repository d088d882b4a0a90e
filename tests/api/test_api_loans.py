"""Loans in the API: kept as told, with ages; what is no loan is refused."""

from __future__ import annotations

import time

from placement.loan_reports import OVER_TOLD, told
from plant.loans import Loan, LoanState

LOAN = {"id": "7", "node": "n1", "lender": "a", "borrower": "b", "owner": "ops", "due_s": 9e9, "since_s": 1.0}


async def test_loans_are_shown_with_their_age(client, bearer, app):
    """The newest list in the place of the one before; a process that falls silent is shown so."""
    for state in ("draining", "lent"):
        put = {"moves": True, "period_s": 10, "loans": [LOAN | {"state": state, "problem": "why"}]}
        assert (await client.put("/v1/loans/pools", json=put, headers=bearer)).json()["text"] == "1 loans kept"
    (row,) = (await client.get("/v1/loans")).json()["lenders"]
    assert (row["name"], row["state"]) == ("pools", "ok")
    (loan,) = row["loans"]
    assert (loan["id"], loan["node"], loan["state"], loan["problem"]) == ("7", "n1", "lent", "why")
    app.state.service.loans.real_s = lambda: time.monotonic() + 31.0
    (row,) = (await client.get("/v1/loans")).json()["lenders"]
    assert row["state"] == "silent"
    assert row["age_s"] >= 31.0
    found = {c["code"]: c for c in (await client.get("/v1/conditions")).json()["conditions"]}
    assert found["lender_silent"]["cause"]["text"].endswith("1 loans are under way")
    assert "coldplate pools run" in found["lender_silent"]["remedy"]["text"]


async def test_what_is_refused(client, bearer):
    """No token, a state that there is not, a time that is none, and the 21st name."""
    put = {"moves": False, "loans": [LOAN | {"state": "lent"}]}
    assert (await client.put("/v1/loans/a", json=put)).status_code == 401
    for wrong in ({"state": "gone"}, {"state": "lent", "due_s": -1}, {"state": "lent", "took_s": {"draining": -1}}):
        got = await client.put("/v1/loans/a", json={"moves": False, "loans": [LOAN | wrong]}, headers=bearer)
        assert got.status_code == 422, wrong
    for i in range(20):
        assert (await client.put(f"/v1/loans/p{i}", json=put, headers=bearer)).status_code == 200
    got = await client.put("/v1/loans/more", json=put, headers=bearer)
    assert (got.status_code, "GET /v1/loans" in got.json()["remedy"]) == (409, True)


def test_of_those_that_are_over_the_newest_are_told():
    """And all that are under way, however old."""
    states = [LoanState.LENT] + [LoanState.RETURNED] * (OVER_TOLD + 5)
    loans = [Loan(**LOAN | {"id": str(n), "state": state}) for n, state in enumerate(states)]
    assert [loan.id for loan in told(loans)] == ["0", *(str(n) for n in range(6, OVER_TOLD + 6))]
