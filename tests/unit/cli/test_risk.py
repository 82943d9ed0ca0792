"""`patriot risk …`, `kill`, `resume`: the level named, the right route taken, nothing asked."""

import pytest

from patriot.cli.output import REFUSED, USAGE
from tests.unit.cli.world import ACCOUNT, FakeApi, Terminal, problem

LEVEL = {"scope": f"account:{ACCOUNT}", "halted": False, "halts": {}, "limits": {"owner": {"maximum_open_orders": 3}}}
HALTED = LEVEL | {"halted": True, "halts": {"manager": "odd orders"}}


def test_rules_are_listed_with_what_they_demand(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /risk/rules"] = {"rules": [{"code": "margin", "text": "Enough of it."}]}
    assert "Enough of it." in terminal.run("risk", "rules").stdout


def test_limits_are_set_as_numbers_words_and_lists(terminal: Terminal, api: FakeApi) -> None:
    api.routes[f"POST /risk/limits/account.*{ACCOUNT}"] = LEVEL
    words = ("maximum_open_orders=3", "maximum_order_notional=5000.5", "reduce_only=true", "sessions=mon 08:00-09:00")
    assert "maximum_open_orders" in terminal.run("risk", "limits", "account", *words).stdout
    assert api.body("POST") == {
        "maximum_open_orders": 3,
        "maximum_order_notional": "5000.5",
        "reduce_only": True,
        "sessions": ["mon 08:00-09:00"],
    }


def test_limits_are_shown_with_who_set_them_and_who_halted(terminal: Terminal, api: FakeApi) -> None:
    api.routes[f"GET /risk/levels/account.*{ACCOUNT}"] = HALTED
    shown = terminal.run("risk", "limits").stdout
    assert "owner" in shown
    assert "halted by the manager: odd orders" in shown
    assert terminal.json("risk", "limits")["limits"] == LEVEL["limits"]


def test_setting_without_a_value_is_a_wrong_usage(terminal: Terminal, api: FakeApi) -> None:
    terminal.run("risk", "limits", "account", "reduce_only", code=USAGE)


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(
    ("words", "path"),
    [
        ((), f"/risk/halts/account%3A{ACCOUNT}"),
        (("user",), "/risk/halts/user"),
        (("strategy:ema",), "/risk/halts/strategy%3Aema"),
        (("tenant",), "/risk/tenant-halts/tenant"),
        (("strategy:ema", "--manager"), "/risk/tenant-halts/strategy%3Aema"),
        (("platform",), "/risk/platform-halt"),
    ],
)
def test_kill_and_resume_take_the_route_of_the_level(
    terminal: Terminal, api: FakeApi, words: tuple[str, ...], path: str
) -> None:
    api.routes["POST /risk/.*"], api.routes["DELETE /risk/.*"] = HALTED, LEVEL
    assert "is halted by the manager: odd orders" in terminal.run("kill", *words, "--reason", "odd").stdout
    assert api.body("POST") == {"reason": "odd"}
    assert "trading goes on" in terminal.run("resume", *words).stdout
    for method in ("POST", "DELETE"):
        assert api.sent(method)[-1].url.raw_path.decode().partition("?")[0] == "/api/v1" + path


def test_resume_says_who_still_halts(terminal: Terminal, api: FakeApi) -> None:
    api.routes["DELETE /risk/.*"] = HALTED
    assert "still halted by the manager: odd orders" in terminal.run("resume", "user").stdout
    api.routes["DELETE /risk/.*"] = (409, problem(409, "invalid_transition", "a manager has halted it"))
    terminal.run("resume", "user", code=REFUSED)


def test_standing_is_shown_with_what_is_known(terminal: Terminal, api: FakeApi) -> None:
    standing = {
        "currency": "USDT",
        "equity": "1234.5",
        "figures": {"leverage": "1.4999999999", "drawdown": "0.0312", "daily_loss": "38.504"},
        "exposure_by_asset": {"BTC": "1851.75"},
        "value_at_risk": [
            {
                "method": "historical",
                "confidence": "0.95",
                "days": 1,
                "value_at_risk": "55.5",
                "expected_shortfall": "80",
            }
        ],
        "history_days": {"BTC": 365},
        "history_days_needed": 31,
        "stress": [{"scenario": "hash war", "since": "2018-11-19", "fall": "0.1871", "loss": "346.46"}],
        "alerts": [{"account_id": ACCOUNT, "metric": "leverage", "limit": "1"}],
    }
    api.routes[f"GET /risk/accounts/{ACCOUNT}"] = standing
    shown = terminal.run("risk", "show").stdout
    wanted = ("1,234.50", "1.5×", "3.12%", "38.50", "1,851.75", "historical", "hash war", "leverage is beyond 1×")
    for words in wanted:
        assert words in shown
    nothing = standing | {"equity": None, "figures": {}, "exposure_by_asset": {}, "value_at_risk": []}
    api.routes[f"GET /risk/accounts/{ACCOUNT}"] = nothing
    shown = terminal.run("risk", "show").stdout
    assert "equity not known" in shown
    assert "nothing is held" in shown
    api.routes[f"GET /risk/accounts/{ACCOUNT}"] = standing | {"value_at_risk": [], "history_days": {"BTC": 3}}
    assert "it takes 31 daily closes, BTC has 3" in terminal.run("risk", "show").stdout


def test_alerts_are_listed(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /risk/alerts"] = {"alerts": [{"account_id": ACCOUNT, "metric": "drawdown", "limit": "0.1"}]}
    assert "drawdown" in terminal.run("risk", "alerts").stdout
    api.routes["GET /risk/alerts"] = {"alerts": []}
    assert "no alerts" in terminal.run("risk", "alerts").stdout
