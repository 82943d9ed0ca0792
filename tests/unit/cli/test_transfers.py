"""`patriot account …`: what is asked of settlement, and how its answer reads."""

import pytest

from tests.unit.cli.world import ACCOUNT, FakeApi, Terminal

OTHER = "93e7837b-4430-4283-9d0c-45150e7beafe"
TRANSFER = {
    "transfer_id": "a3e7837b-4430-4283-9d0c-45150e7beafe", "kind": "withdrawal", "account_id": ACCOUNT,
    "to_account_id": None, "asset": "USDT", "amount": "100", "destination": "bc1q", "status": "requested",
    "reason": "", "approvals": 1, "approvals_needed": 2, "created_at": "2026-11-21T05:40:55.123456Z",
    "updated_at": "2026-11-21T05:40:55.123456Z",
}  # fmt: skip
ID = TRANSFER["transfer_id"]


@pytest.fixture
def ready(terminal: Terminal, api: FakeApi) -> tuple[Terminal, FakeApi]:
    terminal.log_in()
    return terminal, api


def test_withdrawal_is_asked_for_and_waits(ready: tuple[Terminal, FakeApi]) -> None:
    terminal, api = ready
    api.routes["POST /transfers"] = (201, TRANSFER)
    shown = terminal.run("account", "withdraw", "usdt", "100", "--to", "bc1q").stdout
    assert "withdrawal of 100.00 USDT: 1 of 2 approvals" in shown
    wanted = {"kind": "withdrawal", "asset": "USDT", "amount": "100", "destination": "bc1q", "account_id": ACCOUNT}
    assert api.body("POST") == wanted
    assert api.sent("POST")[-1].headers["idempotency-key"]


def test_transfer_names_the_other_account(ready: tuple[Terminal, FakeApi]) -> None:
    terminal, api = ready
    api.routes["POST /transfers"] = (201, TRANSFER | {"kind": "internal", "status": "arrived"})
    told = terminal.json("account", "transfer", "USDT", "5", "--to", OTHER)
    assert told["status"] == "arrived"
    assert api.body("POST")["to_account_id"] == OTHER


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (("approve", ID), "POST", f"/transfers/{ID}/approvals", None),
        (("reject", ID, "--reason", "no"), "POST", f"/transfers/{ID}/rejection", {"reason": "no"}),
        (("take-back", ID), "DELETE", f"/transfers/{ID}", None),
    ],
)
def test_decisions_name_the_transfer(ready, words, method, path, body) -> None:
    terminal, api = ready
    api.routes[f"{method} {path}"] = (201, TRANSFER | {"status": "rejected"})
    assert ": rejected" in terminal.run("account", *words).stdout
    if body:
        assert api.body(method) == body


@pytest.mark.parametrize(("word", "path"), [("transfers", "/transfers"), ("pending", "/transfers/pending")])
def test_lists_fit_the_terminal(ready, word: str, path: str) -> None:
    terminal, api = ready
    api.routes[f"GET {path}"] = {"transfers": [TRANSFER, TRANSFER | {"status": "returned"}]}
    shown = terminal.run("account", word).stdout
    assert "1 of 2 approvals" in shown
    assert "returned" in shown
