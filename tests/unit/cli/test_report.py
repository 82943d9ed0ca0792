"""`patriot report` and `patriot backtest`: a page on disk, the main figures on the screen, everything as JSON."""

from pathlib import Path

import pytest

from patriot import backtest as tested
from patriot.backtest import Backtest
from patriot.cli.output import REFUSED, UNSOUND, USAGE
from patriot.replay import ReplayPlan
from tests.unit.cli.test_recordings import RESULT
from tests.unit.cli.world import ACCOUNT, FakeApi, Terminal
from tests.unit.report.test_page import full


def test_report_writes_a_page_and_shows_the_main_figures(terminal: Terminal, api: FakeApi, tmp_path: Path) -> None:
    terminal.log_in()
    api.routes["GET /analytics/performance"] = full()
    page = tmp_path / "page.html"
    shown = terminal.run("report", "-o", str(page), "--strategy", "grid", "--account", ACCOUNT).stdout
    assert "Net profit" in shown
    assert "−0.40" in shown
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    query = dict(api.sent("GET")[-1].url.params)
    assert query == {"account_id": ACCOUNT, "strategy": "grid"}


def test_report_as_json_is_the_whole_view(terminal: Terminal, api: FakeApi, tmp_path: Path) -> None:
    terminal.log_in()
    api.routes["GET /analytics/performance"] = full()
    page = tmp_path / "page.html"
    assert terminal.json("report", "--output", str(page), "--since", "2026-01-01") == full()
    assert not page.exists()
    assert api.sent("GET")[-1].url.params["since"] == "2026-01-01T00:00:00Z"


def test_report_that_cannot_be_written_says_so(terminal: Terminal, api: FakeApi, tmp_path: Path) -> None:
    terminal.log_in()
    api.routes["GET /analytics/performance"] = full()
    assert "cannot write" in terminal.run("report", "-o", str(tmp_path / "no" / "x.html"), code=REFUSED).stderr


@pytest.mark.parametrize("unbalanced", [False, True])
def test_backtest_writes_a_page(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, unbalanced: bool
) -> None:
    plans = []

    async def backtest(plan: ReplayPlan, _: tested.Progress) -> Backtest:
        plans.append(plan)
        off = {"unbalanced": {"USDT": 1}} if unbalanced else {}
        return Backtest(type(RESULT)(**{name: getattr(RESULT, name) for name in RESULT.__slots__} | off), full())

    monkeypatch.setattr(tested, "backtest", backtest)
    data, page = tmp_path / "data.gz", tmp_path / "page.html"
    data.write_bytes(b"-")
    words = ("backtest", "ema_cross", "--data", str(data), "--data", str(data), "-o", str(page), "--seed", "3")
    shown = terminal.run(*words, code=UNSOUND if unbalanced else 0).stdout
    assert "Sharpe ratio" in shown
    assert "ema_cross on data.gz, data.gz" in page.read_text(encoding="utf-8")
    assert (plans[0].files, plans[0].seed) == ([data, data], 3)


def test_backtest_of_an_unknown_strategy_names_those_there_are(terminal: Terminal, tmp_path: Path) -> None:
    data = tmp_path / "data.gz"
    data.write_bytes(b"-")
    assert "ema_cross" in terminal.run("backtest", "magic", "--data", str(data), code=USAGE).stderr
