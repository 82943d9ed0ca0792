"""`patriot account …`: paper accounts in a line; keys of real ones never on the command line."""

import pytest

from patriot.cli.output import REFUSED, USAGE
from tests.unit.cli.world import ACCOUNT, FakeApi, Terminal, account, problem

PERPETUAL = "BINANCE:BTC/USDT:USDT"


def test_list_shows_whole_ids(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /accounts"] = {"accounts": [account(), account(active=False)]}
    shown = terminal.run("account", "list").stdout
    assert ACCOUNT in shown
    assert "deactivated" in shown
    assert terminal.json("account", "list")["accounts"][0] == account()
    api.routes["GET /accounts"] = {"accounts": []}
    assert "patriot account link" in terminal.run("account", "list").stdout


def test_link_opens_a_paper_account(terminal: Terminal, api: FakeApi) -> None:
    api.routes["POST /accounts"] = (201, account(label="second"))
    assert ACCOUNT in terminal.run("account", "link", "binance", "--label", "second").stdout
    assert api.body("POST") == {"exchange": "BINANCE", "label": "second", "mode": "paper"}
    assert terminal.json("account", "link", "BYBIT")["label"] == "second"


def test_link_of_a_live_account_asks_for_the_key_and_hides_the_secret(terminal: Terminal, api: FakeApi) -> None:
    api.routes["POST /accounts"] = (201, account(mode="live"))
    result = terminal.run("account", "link", "BINANCE", "--live", answers="the-key-1\nthe-secret-1\n")
    assert api.body("POST")["api_secret"] == "the-secret-1"
    assert "the-secret-1" not in result.output
    assert "API" not in result.stdout


def test_link_of_a_live_account_takes_the_key_from_the_environment(
    terminal: Terminal, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATRIOT_API_KEY", "key-of-env")
    monkeypatch.setenv("PATRIOT_API_SECRET", "secret-of-env")
    api.routes["POST /accounts"] = (201, account(mode="live"))
    terminal.run("account", "link", "BINANCE", "--live")
    assert (api.body("POST")["api_key"], api.body("POST")["api_secret"]) == ("key-of-env", "secret-of-env")


def test_fund_tells_what_was_put_where(terminal: Terminal, api: FakeApi) -> None:
    api.routes[f"POST /accounts/{ACCOUNT}/funds"] = (201, account())
    shown = terminal.run("account", "fund", "usdt", "1000.5", "--key", "k-1").stdout
    assert "1,000.50 USDT put into 'demo'" in shown
    assert api.body("POST") == {"asset": "USDT", "amount": "1000.5"}
    assert api.sent("POST")[-1].headers["idempotency-key"] == "k-1"
    assert terminal.json("account", "fund", "USDT", "5")["amount"] == "5"


@pytest.mark.parametrize("amount", ["abc", "-1", "1e400", "NaN"])
def test_fund_with_a_bad_amount_is_refused_by_the_platform(terminal: Terminal, api: FakeApi, amount: str) -> None:
    api.routes[f"POST /accounts/{ACCOUNT}/funds"] = (422, problem(422, "invalid_request", "amount", "amount"))
    terminal.run("account", "fund", "USDT", "--", amount, code=REFUSED)


def test_leverage_is_chosen_and_shown(terminal: Terminal, api: FakeApi) -> None:
    chosen = account(leverages={PERPETUAL: 5})
    api.routes[f"POST /accounts/{ACCOUNT}/leverage"] = chosen
    shown = terminal.run("account", "leverage", PERPETUAL.lower(), "5", "--key", "k-1").stdout
    assert f"{PERPETUAL} is traded at 5x" in shown
    assert api.body("POST") == {"instrument": PERPETUAL, "leverage": 5}
    assert api.sent("POST")[-1].headers["idempotency-key"] == "k-1"
    assert terminal.json("account", "leverage", PERPETUAL, "5")["leverages"] == {PERPETUAL: 5}
    api.routes["GET /accounts"] = {"accounts": [chosen]}
    assert "5x" in terminal.run("account", "leverage").stdout
    assert terminal.json("account", "leverage", PERPETUAL)["leverages"] == [{"instrument": PERPETUAL, "leverage": 5}]
    assert "none chosen" in terminal.run("account", "leverage", "BINANCE:ETH/USDT:USDT").stdout


def test_refused_leverage_names_what_was_meant_or_what_to_do(terminal: Terminal, api: FakeApi) -> None:
    path = f"POST /accounts/{ACCOUNT}/leverage"
    api.routes[path] = (422, problem(422, "unknown_instrument", "BTC is not known", "instrument"))
    api.routes["GET /prices"] = {"prices": [{"instrument": PERPETUAL}]}
    assert PERPETUAL in terminal.run("account", "leverage", "BTC/USDT:USDT", "5", code=REFUSED).stderr
    api.routes[path] = (409, problem(409, "leverage_in_use", "cancel its orders and close its position", "leverage"))
    assert "close its position" in terminal.run("account", "leverage", PERPETUAL, "5", code=REFUSED).stderr
    terminal.run("account", "leverage", PERPETUAL, "five", code=USAGE)


def test_deactivate_asks_first(terminal: Terminal, api: FakeApi) -> None:
    api.routes[f"DELETE /accounts/{ACCOUNT}"] = account(active=False)
    terminal.run("account", "deactivate", ACCOUNT, code=REFUSED, answers="n\n")
    assert not api.sent("DELETE")
    assert "trades no more" in terminal.run("account", "deactivate", ACCOUNT, answers="y\n").stdout
    assert "trades no more" in terminal.run("account", "deactivate", ACCOUNT, "--yes").stdout
    assert len(api.sent("DELETE")) == 2


def test_rotate_asks_for_the_new_key_and_hides_the_secret(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /accounts"] = {"accounts": [account(mode="live")]}
    api.routes[f"POST /accounts/{ACCOUNT}/credentials"] = account(mode="live")
    result = terminal.run("account", "rotate", ACCOUNT[:8], answers="the-key-2\nthe-secret-2\n")
    assert api.body("POST") == {"api_key": "the-key-2", "api_secret": "the-secret-2"}
    assert "the-secret-2" not in result.output
