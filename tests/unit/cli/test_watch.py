"""`patriot portfolio`, `prices`, `trades`, `events`: what a trader reads, what a script parses."""

import itertools
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson
import pytest

from patriot.cli import output
from patriot.cli.output import NOT_FOUND, REFUSED, USAGE
from patriot.domain.position import position_id
from tests.unit.cli.world import (
    ACCOUNT,
    ORDER,
    OTHER_ORDER,
    PERPETUAL,
    FakeApi,
    Terminal,
    account,
    event,
    order,
    portfolio,
    price,
    problem,
    trade,
)

FUNDED = event(2, "account.funded", asset="USDT", amount="1000", source="paper")


def then_interrupt(*answers: Any) -> Any:
    """Each answer once; then the reader presses Ctrl-C."""
    left: Iterable[Any] = iter(answers)

    def answer(_: object) -> Any:
        for one in left:
            return one
        raise KeyboardInterrupt

    return answer


def test_portfolio_fits_80_columns(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /portfolio"] = portfolio()
    shown = terminal.run("portfolio").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "equity 159,834.78 USDT" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["USDT", "99,995.43", "0.00", "959.07", "99,036.35"] in rows
    assert [PERPETUAL, "-0.016", "59,942.1235", "59,838.9", "+1.65", "-1.57"] in rows
    assert terminal.json("portfolio") == portfolio()


def test_portfolio_of_several_accounts_names_them(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /portfolio"] = portfolio(accounts=[account(), account(account_id=ORDER)])
    assert ACCOUNT[:8] in terminal.run("portfolio").stdout


def test_portfolio_without_prices_or_money_says_so(terminal: Terminal, api: FakeApi) -> None:
    flat = [{**portfolio()["positions"][0], "quantity": "0"}]
    api.routes["GET /portfolio"] = portfolio(equity=None, balances=[], positions=flat)
    shown = terminal.run("portfolio").stdout
    assert "equity unknown: a price is missing" in shown
    assert "patriot account fund" in shown
    assert PERPETUAL not in shown


def test_prices_of_all_and_of_one(terminal: Terminal, api: FakeApi) -> None:
    page = {"prices": [price(), price("BYBIT:BTC/USDT", stale=True)]}
    api.routes["GET /prices"] = page
    lines = terminal.run("prices").stdout.splitlines()
    assert lines[1].split()[:4] == [PERPETUAL, "60,012.4", "60,016.8", "60,013"]
    assert "stale" in lines[2]
    assert terminal.json("prices") == page
    terminal.run("prices", PERPETUAL.lower())
    assert api.requests[-1].url.params["instrument"] == PERPETUAL


def test_prices_of_what_is_not_there(terminal: Terminal, api: FakeApi) -> None:
    everything = {"prices": [price()]}
    api.routes["GET /prices"] = lambda request: {"prices": []} if request.url.params else everything
    assert f"did you mean {PERPETUAL}?" in terminal.run("prices", "BTC/USDT", code=NOT_FOUND).stderr
    api.routes["GET /prices"] = lambda request: (
        (422, problem(422, "invalid_request", "no", "instrument")) if request.url.params else everything
    )
    assert f"did you mean {PERPETUAL}?" in terminal.run("prices", "BTC/USDT", code=REFUSED).stderr
    api.routes["GET /prices"] = {"prices": []}
    assert "no price yet" in terminal.run("prices").stdout


def test_prices_followed_in_json_are_a_line_for_each_change(terminal: Terminal, api: FakeApi) -> None:
    pages = [{"prices": [price()]}, {"prices": [price()]}, {"prices": [price(as_of="later")]}]
    api.routes["GET /prices"] = then_interrupt(*pages, {"prices": [price(bid="1")]})
    lines = terminal.run("prices", "--follow", "--json").stdout.splitlines()
    assert [orjson.loads(line)["bid"] for line in lines] == ["60012.4", "1"]


def test_prices_followed_in_a_pipe_are_plain_lines(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /prices"] = then_interrupt({"prices": [price()]}, {"prices": [price()]})
    assert terminal.run("prices", "-f").stdout.split()[-4:] == [PERPETUAL, "60,012.4", "60,016.8", "60,013"]


def test_prices_followed_on_a_terminal_stay_in_place(
    terminal: Terminal, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True)
    api.routes["GET /prices"] = then_interrupt({"prices": [price()]}, {"prices": [price(bid="7777")]})
    assert "7,777" in terminal.run("prices", "-f").stdout


def test_trades_fit_80_columns(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /trades"] = {"trades": [trade(), trade(fee="0.00001", fee_asset="BTC")]}
    lines = terminal.run("trades", "--account", ACCOUNT).stdout.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[-4:] == ["0.01", "60,012.4", "0.30", "USDT"]
    assert api.requests[-1].url.params["account_id"] == ACCOUNT
    assert terminal.json("trades")["trades"][0] == trade()


def test_events_of_an_order_are_sentences(terminal: Terminal, api: FakeApi) -> None:
    cancelled = event(5, "order.cancelled", reason="user")
    api.routes |= {"GET /orders": {"orders": [order()]}, f"GET /events/{ORDER}": {"events": [cancelled]}}
    assert "5 05:40:55.362 cancelled: user" in terminal.run("events", "last").stdout
    assert terminal.json("events", ORDER[:6]) == [cancelled]
    assert api.requests[-1].url.params["kind"] == "order"


@pytest.mark.parametrize(
    ("words", "kind", "identifier"),
    [
        ((), "account", ACCOUNT),
        (("account",), "account", ACCOUNT),
        ((ACCOUNT, "--kind", "account"), "account", ACCOUNT),
        ((PERPETUAL.lower(),), "position", str(position_id(UUID(ACCOUNT), PERPETUAL))),
        ((ORDER, "--kind", "user"), "user", ORDER),
        ((ORDER, "--kind", "strategy"), "strategy", ORDER),
        (("account", "--kind", "risk"), "risk", ACCOUNT),
        (("user",), "user", OTHER_ORDER),
        (("user", "--kind", "risk"), "risk", OTHER_ORDER),
    ],
)
def test_events_of_account_position_and_user(
    terminal: Terminal, api: FakeApi, words: tuple[str, ...], kind: str, identifier: str
) -> None:
    api.routes["GET /events/.*"] = {"events": [FUNDED]}
    api.routes["GET /users/me"] = {"user_id": OTHER_ORDER}
    assert "+1,000.00 USDT from paper" in terminal.run("events", *words).stdout
    assert api.requests[-1].url.path.endswith(identifier)
    assert api.requests[-1].url.params["kind"] == kind


def test_events_of_nothing(terminal: Terminal, api: FakeApi) -> None:
    assert "strategy, transfer, risk" in terminal.run("events", "--kind", "fill", code=USAGE).stderr
    assert "is no order id" in terminal.run("events", "nonsense", code=USAGE).stderr
    api.routes["GET /events/.*"] = (404, problem(404, "not_found", "there is no order"))
    terminal.run("events", ORDER, code=NOT_FOUND)
    api.routes["GET /events/.*"] = {"events": []}
    assert "no events" in terminal.run("events", ORDER).stdout


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_events_followed_come_once_each(terminal: Terminal, api: FakeApi, form: tuple[str, ...]) -> None:
    stream = [event(version, "order.routed", route=f"route {version}") for version in (1, 2, 3)]
    calls = itertools.count(1)

    def page(request: Any) -> Any:
        if next(calls) > 4:
            raise KeyboardInterrupt
        after = int(request.url.params["after"])
        return {"events": stream[after : after + 1]}

    api.routes["GET /events/.*"] = page
    lines = terminal.run("events", ORDER, "--follow", *form).stdout.splitlines()
    assert len(lines) == 3
    if form:
        assert [orjson.loads(line)["version"] for line in lines] == [1, 2, 3]
    else:
        assert lines[0] == "05:40:55.362 routed to route 1"
