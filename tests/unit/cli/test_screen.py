"""Without a screen: one line for each change of an order, none for what was over before the start."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from patriot.cli import screen
from patriot.cli.screen import News, follow, order_line
from tests.unit.cli.world import FILLED, ORDER, OTHER_ORDER, order

STARTED = datetime(2020, 11, 21, 5, tzinfo=UTC)


class Orders:
    """Each page once, then the stop."""

    def __init__(self, *pages: Sequence[dict[str, Any]]) -> None:
        self.started_at = STARTED
        self.stop = asyncio.Event()
        self.asked: list[set[str]] = []
        self._pages = list(pages)

    async def orders(self, were_open: Iterable[str]) -> Sequence[dict[str, Any]]:
        self.asked.append(set(were_open))
        page = self._pages.pop(0)
        if not self._pages:
            self.stop.set()
        return page


def test_news_are_changes() -> None:
    news = News(STARTED)
    old = order(order_id=OTHER_ORDER, updated_at="2020-11-21T04:59:59Z")
    assert news.of([old, order()]) == [order()]
    assert news.of([old, order()]) == []
    assert news.of([order(**FILLED)]) == [order(**FILLED)]
    assert news.of([order(**FILLED)]) == []


def test_open_orders_are_asked_for_again() -> None:
    news = News(STARTED)
    news.of([order(), order(order_id=OTHER_ORDER, **FILLED)])
    assert news.open == {ORDER}
    news.of([order(**FILLED)])
    assert news.open == set()


def test_order_line_says_it_all() -> None:
    assert order_line(order(**FILLED)).plain == (
        "2020-11-21 05:40:55 filled    buy 0.01 BINANCE:BTC/USDT:USDT limit 59,000 GTC, 0.01 at 60,012.4  6c55564e"
    )
    assert order_line(order(status="rejected", reason="no [b]margin")).plain.endswith("GTC, no [b]margin  6c55564e")


@pytest.mark.parametrize("as_json", [True, False])
async def test_follow_prints_until_the_stop(
    *, as_json: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "REFRESH_SECONDS", 0.001)
    view = Orders([order()], [order()], [order(**FILLED)])
    await follow(view, view.stop, as_json=as_json)  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert view.asked == [set(), {ORDER}, {ORDER}]
    if as_json:
        assert [orjson.loads(line)["status"] for line in lines] == ["accepted", "filled"]
        assert orjson.loads(lines[0])["event"] == "order"
