"""Loans on disk: what stays of them, and what not."""

from __future__ import annotations

import pytest

from cli.main import main
from placement.loan_book import LoanBook
from plant.errors import RefusedError
from plant.loans import Loan, LoanState


def loan(loan_id: str, state: LoanState) -> Loan:
    """One of a node of its own."""
    given = {"lender": "hpc", "borrower": "ai", "owner": "ops", "due_s": 9e9, "since_s": 1.0}
    return Loan(id=loan_id, node=f"n{loan_id}", state=state, **given)


async def test_what_is_forgotten_leaves_nothing(tmp_path, monkeypatch):
    """Neither its file nor its lock: a folder of loans does not grow for years."""
    monkeypatch.setattr("placement.loan_book.KEPT_OVER", 2)
    book = LoanBook(tmp_path / "book")
    for _ in range(6):
        made = await book.add(lambda loan_id: loan(loan_id, LoanState.RETURNED))
        with book.held(made.id):
            pass
    assert [one.id for one in book.all()[0]] == ["4", "5", "6"]
    assert {p.name for p in book.folder.glob("*.lock")} == {"book.lock", "4.lock", "5.lock", "6.lock"}


@pytest.mark.parametrize("name", ["7", "../elsewhere", "²"])
def test_a_loan_that_is_none_is_not_locked(tmp_path, name):
    """Nothing is made for it, least of all outside the folder."""
    book = LoanBook(tmp_path / "book")
    with pytest.raises(RefusedError, match="coldplate pools status"), book.held(name):
        pass
    assert [p.name for p in tmp_path.rglob("*")] == ["book"]


@pytest.mark.parametrize("hours", ["1e8", "nan"])
def test_a_loan_without_a_sensible_end_is_refused(tmp_path, monkeypatch, capsys, hours):
    """Its end could be shown by no calendar: `pools status` failed ever after."""
    (tmp_path / "pools.yaml").write_text(
        "schema: 1\npools:\n- {name: hpc, kind: slurm, nodes: [n1]}\n- {name: ai, kind: kubernetes, nodes: [k1]}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["coldplate", "pools", "lend", "n1", "--to", "ai", "--hours", hours])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "pools.yaml" not in capsys.readouterr().err
    assert not list(tmp_path.glob("pools/*.json"))
