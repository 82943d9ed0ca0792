"""`patriot order …` as a trader and as a script use it."""

import itertools
from typing import Any

import pytest

from patriot.cli.output import NOT_FOUND, REFUSED, UNREACHABLE, USAGE
from tests.unit.cli.world import (
    ACCOUNT,
    FILLED,
    ORDER,
    OTHER_ORDER,
    PERPETUAL,
    FakeApi,
    Terminal,
    account,
    event,
    order,
    price,
    problem,
)

RECEIPT = {"order_id": ORDER, "client_order_id": "c-1", "status": "pending", "version": 1, "correlation_id": "req_1_a"}
FILL = event(
    5, "order.filled", quantity="0.01", price="60012.4", trade_id="t42", fee="0.3", fee_asset="USDT",
    filled_quantity="0.01",
)  # fmt: skip
ACCEPTED = event(4, "order.accepted", venue_order_id="42")


@pytest.fixture
def one_order(api: FakeApi) -> FakeApi:
    """A platform with one resting order."""
    api.routes |= {
        "POST /orders": (201, RECEIPT),
        "GET /orders": {"orders": [order()]},
        f"GET /orders/{ORDER}": order(),
        f"PATCH /orders/{ORDER}": {**RECEIPT, "status": "accepted"},
        f"DELETE /orders/{ORDER}": RECEIPT,
        f"GET /events/{ORDER}": {"events": [ACCEPTED]},
        "GET /prices": {"prices": [price(), price("BYBIT:BTC/USDT")]},
    }
    return api


def test_create_without_a_price_is_a_market_order_that_fills(terminal: Terminal, one_order: FakeApi) -> None:
    filled = order(order_type="market", price=None, **FILLED)
    states = itertools.chain([order(status="pending"), order(status="submitted")], itertools.repeat(filled))
    one_order.routes[f"GET /orders/{ORDER}"] = lambda _: next(states)
    one_order.routes[f"GET /events/{ORDER}"] = {"events": [FILL]}
    shown = terminal.run("order", "create", PERPETUAL.lower(), "BUY", "0.01").stdout
    sent = one_order.body("POST")
    assert (sent["order_type"], sent["price"], sent["account_id"]) == ("market", None, ACCOUNT)
    assert (sent["instrument"], sent["side"], sent["time_in_force"]) == (PERPETUAL, "buy", "GTC")
    assert one_order.sent("POST")[-1].headers["idempotency-key"]
    assert "filled  buy 0.01 BINANCE:BTC/USDT:USDT market" in shown
    assert "0.01 at 60,012.4, fees 0.30" in shown
    assert ORDER in shown


def test_create_with_a_price_is_a_limit_order_that_rests(terminal: Terminal, one_order: FakeApi) -> None:
    options = ("--post-only", "--reduce-only", "--key", "k-1", "--time-in-force", "gtc")
    shown = terminal.run("order", "place", PERPETUAL, "buy", "0.01", "59000", *options).stdout
    sent = one_order.body("POST")
    assert (sent["order_type"], sent["price"]) == ("limit", "59000")
    assert sent["post_only"] is sent["reduce_only"] is True
    assert one_order.sent("POST")[-1].headers["idempotency-key"] == "k-1"
    assert "accepted  buy 0.01 BINANCE:BTC/USDT:USDT limit 59,000 GTC" in shown
    assert "accepted by the venue as 42" in shown


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--stop-price", "58000"), "stop"), (("57000", "--stop-price", "58000"), "stop_limit"),
        (("--stop-price", "58000", "--type", "take_profit"), "take_profit"),
    ],
)  # fmt: skip
def test_create_takes_the_type_from_the_prices(
    terminal: Terminal, one_order: FakeApi, words: tuple[str, ...], kind: str
) -> None:
    terminal.run("order", "create", PERPETUAL, "sell", "1", *words)
    assert one_order.body("POST")["order_type"] == kind


def test_create_in_json_is_the_order_and_nothing_else(terminal: Terminal, one_order: FakeApi) -> None:
    assert terminal.json("order", "create", PERPETUAL, "buy", "0.01", "59000") == order()
    assert terminal.json("--json", "order", "create", PERPETUAL, "buy", "0.01", "59000") == order()


def test_create_that_the_venue_rejects_is_a_failed_command(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes[f"GET /orders/{ORDER}"] = order(status="rejected", reason="no margin")
    rejected = event(4, "order.rejected", code="-2019", reason="[red]no margin")
    one_order.routes[f"GET /events/{ORDER}"] = {"events": [rejected]}
    shown = terminal.run("order", "create", PERPETUAL, "buy", "0.01", "59000", code=REFUSED).stdout
    assert "rejected by the venue: -2019 [red]no margin" in shown
    assert terminal.json("order", "create", PERPETUAL, "buy", "0.01", "59000", code=REFUSED)["status"] == "rejected"


def test_create_gives_up_waiting_and_shows_what_is(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes[f"GET /orders/{ORDER}"] = order(status="unknown")
    assert "unknown" in terminal.run("order", "create", PERPETUAL, "buy", "1", "--wait", "0.01").stdout


@pytest.mark.parametrize(
    ("code", "field", "text", "hint"),
    [
        ("unknown_instrument", "instrument", "BINANCE:BTD/USDT:USDT", "did you mean BINANCE:BTC/USDT:USDT"),
        ("invalid_request", "instrument", "btc/usdt", "did you mean BINANCE:BTC/USDT:USDT or BYBIT:BTC/USDT"),
        ("unknown_instrument", "instrument", "DOGE", "see what there is: patriot prices"),
        ("price_collar", "price", PERPETUAL, ""),
    ],
)
def test_create_refused_says_why_and_what_was_meant(  # noqa: PLR0917
    terminal: Terminal, one_order: FakeApi, code: str, field: str, text: str, hint: str
) -> None:
    one_order.routes["POST /orders"] = (422, problem(422, code, "is wrong", field))
    shown = terminal.run("order", "create", text, "buy", "0.01", code=REFUSED)
    assert shown.stdout == ""
    assert f"{code}: is wrong" in shown.stderr
    assert "correlation id req_1_0000000a" in shown.stderr
    assert (hint in shown.stderr) if hint else ("did you mean" not in shown.stderr)
    told = terminal.json("order", "create", text, "buy", "0.01", code=REFUSED)
    assert told["detail"]["code"] == code


def test_create_chooses_the_only_account_or_asks(terminal: Terminal, one_order: FakeApi) -> None:
    terminal.log_in(account_id="")
    words = ("order", "create", PERPETUAL, "buy", "0.01", "59000")
    one_order.routes["GET /accounts"] = {"accounts": []}
    assert "patriot account link" in terminal.run(*words, code=NOT_FOUND).stderr
    other = account(account_id=OTHER_ORDER)
    one_order.routes["GET /accounts"] = {"accounts": [account(), other]}
    assert "choose one with --account" in terminal.run(*words, code=USAGE).stderr
    terminal.run(*words, "--account", OTHER_ORDER[:5])
    assert one_order.body("POST")["account_id"] == OTHER_ORDER
    one_order.routes["GET /accounts"] = {"accounts": [account(), account(account_id=OTHER_ORDER, active=False)]}
    terminal.run(*words)
    assert one_order.body("POST")["account_id"] == ACCOUNT


def test_modify_of_what_the_platform_holds_waits_for_nobody(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes[f"PATCH /orders/{ORDER}"] = RECEIPT
    one_order.routes[f"GET /events/{ORDER}"] = {"events": []}
    terminal.run("order", "modify", ORDER, "--stop-price", "59100", "--wait", "3600")
    assert one_order.body("PATCH") == {"quantity": None, "price": None, "stop_price": "59100"}


def test_bust_names_the_trade_and_the_reason(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes[f"POST /orders/{ORDER}/busts"] = (201, RECEIPT)
    shown = terminal.run("order", "bust", ORDER, "t42", "--reason", "notice 4711").stdout
    assert one_order.body("POST") == {"trade_id": "t42", "reason": "notice 4711"}
    assert f"trade t42 of order {ORDER}" in " ".join(shown.split())


def test_modify_waits_for_the_venues_answer(terminal: Terminal, one_order: FakeApi) -> None:
    changed = event(6, "order.modified", quantity="0.02", price="59100")
    asked = event(5, "order.modify_requested", quantity="0.02", price="59100")
    pages = itertools.chain([[asked]], itertools.repeat([asked, changed]))
    one_order.routes[f"GET /events/{ORDER}"] = lambda _: {"events": next(pages)}
    shown = terminal.run("order", "modify", ORDER, "--quantity", "0.02", "--price", "59100").stdout
    assert one_order.body("PATCH") == {"quantity": "0.02", "price": "59100", "stop_price": None}
    assert "changed to 0.02 at 59,100" in shown


def test_modify_refused_by_the_venue_is_a_failed_command(terminal: Terminal, one_order: FakeApi) -> None:
    refusal = event(6, "order.modify_rejected", code="-4028", reason="price too far")
    one_order.routes[f"GET /events/{ORDER}"] = {"events": [refusal]}
    shown = terminal.run("order", "amend", ORDER, "--price", "1", code=REFUSED).stdout
    assert "change refused: -4028 price too far" in shown


def test_cancel_shows_the_end(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes[f"GET /orders/{ORDER}"] = order(status="cancelled", reason="user")
    shown = terminal.run("order", "cancel", "last").stdout
    assert one_order.sent("DELETE")[0].url.path.endswith(ORDER)
    assert "cancelled  buy 0.01" in shown
    assert "reason    user" in shown


def test_list_fits_80_columns(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes["GET /orders"] = {
        "orders": [
            order(),
            order(order_type="market", price=None, **FILLED),
            order(status="partially_filled", quantity="0.032", filled_quantity="0.016"),
        ]
    }
    lines = terminal.run("order", "list").stdout.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["6c55564e", "11-21", "05:40", PERPETUAL, "buy", "0/0.01", "59,000", "accepted"]
    assert lines[2].split()[-3:] == ["0.01", "60,012.4", "filled"]
    assert lines[3].split()[-1] == "partial"


def test_list_on_a_wide_terminal_shows_whole_ids_and_reasons(
    terminal: Terminal, one_order: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patriot.cli.output.console._width", 200)
    one_order.routes["GET /orders"] = {"orders": [order(status="rejected", reason="no margin")]}
    shown = terminal.run("order", "list").stdout
    assert ORDER in shown
    assert "no margin" in shown


def test_list_asks_for_what_is_wanted(terminal: Terminal, one_order: FakeApi) -> None:
    terminal.run("order", "list", "--status", "open", "--limit", "5", "--account", ACCOUNT)
    query = dict(one_order.sent("GET")[-1].url.params)
    assert query["status"].startswith("pending,")
    assert (query["limit"], query["account_id"]) == ("5", ACCOUNT)
    one_order.routes["GET /orders"] = {"orders": []}
    assert "no orders" in terminal.run("order", "list", "--status", "filled").stdout
    assert terminal.json("order", "list") == {"orders": []}
    terminal.run("order", "list", "--limit", "0", code=USAGE)


def test_show_tells_the_orders_life(terminal: Terminal, one_order: FakeApi) -> None:
    shown = terminal.run("order", "show", ORDER).stdout
    assert "4 05:40:55.362 accepted by the venue as 42" in shown
    assert terminal.json("order", "show", ORDER) == {**order(), "events": [ACCEPTED]}


def test_an_order_is_named_by_the_beginning_of_its_id(terminal: Terminal, one_order: FakeApi) -> None:
    one_order.routes["GET /orders"] = {"orders": [order(), order(order_id=OTHER_ORDER)]}
    assert terminal.json("order", "show", ORDER[:8].upper())["order_id"] == ORDER
    assert "2 orders begin with 6c55" in terminal.run("order", "show", "6c55", code=REFUSED).stderr
    assert "no order abcd" in terminal.run("order", "show", "abcd", code=NOT_FOUND).stderr
    assert "is no order id" in terminal.run("order", "show", "6c5", code=USAGE).stderr
    assert "is no order id" in terminal.run("order", "show", "nonsense", code=USAGE).stderr


def test_last_names_the_newest_order(terminal: Terminal, one_order: FakeApi) -> None:
    assert terminal.json("order", "show", "last")["order_id"] == ORDER
    one_order.routes["GET /orders"] = {"orders": []}
    terminal.run("order", "show", "last", code=NOT_FOUND)


def test_an_order_that_is_not_there_is_not_found(terminal: Terminal, api: FakeApi) -> None:
    assert "not_found" in terminal.run("order", "show", ORDER, code=NOT_FOUND).stderr
    told: Any = terminal.json("order", "cancel", ORDER, code=NOT_FOUND)
    assert told["detail"]["status"] == 404


@pytest.mark.parametrize("words", [("create",), ("create", PERPETUAL, "buy"), ("show",), ("fly",), ("list", "--no")])
def test_wrong_usage_is_told_on_stderr(terminal: Terminal, api: FakeApi, words: tuple[str, ...]) -> None:
    result = terminal.run("order", *words, code=USAGE)
    assert result.stdout == ""
    assert "Usage:" in result.stderr
    assert not api.requests


def test_a_platform_that_does_not_run_is_unreachable(terminal: Terminal) -> None:
    terminal.log_in(url="http://127.0.0.1:9")
    words = ("order", "create", PERPETUAL, "buy", "1")
    assert "start the platform with `make up`" in terminal.run(*words, code=UNREACHABLE).stderr
    assert "nothing answers" in terminal.json(*words, code=UNREACHABLE)["error"]
