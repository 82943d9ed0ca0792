"""What `patriot up` shows while it runs: the live screen on a terminal, else a line for each change of an order."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.live import Live
from rich.text import Text

from patriot.cli.figures import average, moment, number
from patriot.cli.layout import lines
from patriot.cli.lookup import short
from patriot.cli.output import console, show_line
from patriot.cli.story import terms
from patriot.cli.tables import STYLES
from patriot.cli.view import View

REFRESH_SECONDS = 0.25
ENDED = frozenset({"filled", "cancelled", "rejected", "expired"})


async def watch(view: View, stop: asyncio.Event) -> None:
    """The live screen, until `stop` is set."""
    view.listen()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                made = lines(await view.look(), console.width, console.height)
                live.update(Text("\n", end="", no_wrap=True).join(made), refresh=True)
                await _pause(stop)
    finally:
        view.close()


async def follow(view: View, stop: asyncio.Event, *, as_json: bool) -> None:
    """A line for each order that has changed, until `stop` is set."""
    news = News(view.started_at)
    while not stop.is_set():
        for order in news.of(await view.orders(news.open)):
            if as_json:
                show_line({"event": "order", **order})
            else:
                console.print(order_line(order), soft_wrap=True)
        await _pause(stop)


class News:
    """Which orders have changed since they were last seen. What ended before the start is no news."""

    def __init__(self, started_at: datetime) -> None:
        self._started_at = started_at
        self._seen: dict[str, int] = {}
        self.open: set[str] = set()

    def of(self, orders: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        found = [order for order in orders if self._is_news(order)]
        self._seen = {order["order_id"]: order["version"] for order in orders}  # what is not read again is forgotten
        self.open = {order["order_id"] for order in orders if order["status"] not in ENDED}
        return found

    def _is_news(self, order: Mapping[str, Any]) -> bool:
        if datetime.fromisoformat(order["updated_at"]) < self._started_at:
            return False
        return bool(self._seen.get(order["order_id"]) != order["version"])


def order_line(order: Mapping[str, Any]) -> Text:
    """05:17:52 filled  buy 0.01 BINANCE:BTC/USDT:USDT market, 0.01 at 60,001.2  1174eea7."""
    status = order["status"]
    line = Text.assemble((f"{moment(order['updated_at'])} ", "dim"), (f"{status:<9} ", STYLES.get(status, "")))
    line.append(terms(order), STYLES[order["side"]] if status == "filled" else "")
    if order["average_price"]:
        line.append(f", {number(order['filled_quantity'])} at {average(order['average_price'])}")
    if order["reason"]:
        line.append(f", {order['reason']}")
    return line.append(f"  {short(order['order_id'])}", "dim")


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(REFRESH_SECONDS):
            await stop.wait()
    except TimeoutError:
        return
