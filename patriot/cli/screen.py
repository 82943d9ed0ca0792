"""What `patriot up` shows while it runs: prices, portfolio and orders on a live screen, or a line per order event."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from patriot.cli.output import console, rows
from patriot.domain.money import plain
from patriot.runtime.context import price_key
from patriot.runtime.platform import Platform
from patriot.store.api import Query
from schemas.reports import PriceReport

REFRESH_SECONDS = 0.25
ORDERS_SHOWN = 12

ORDERS = ("time", "instrument", "side", "type", "quantity", "price", "filled_quantity", "average_price", "status")
PRICES = ("instrument", "bid", "ask", "last", "age")
POSITIONS = ("instrument", "quantity", "average_price", "realised_pnl", "fees")
BALANCES = ("asset", "total", "reserved", "margin", "available")


async def watch(running: Platform, account_id: str, stop: asyncio.Event, *, on_screen: bool) -> None:
    """Show what happens until `stop` is set."""
    view = View(running, account_id)
    if on_screen:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                live.update(await view.screen(), refresh=True)
                await _pause(stop)
        return
    while not stop.is_set():
        for line in await view.news():
            console.print(line, soft_wrap=True)
        await _pause(stop)


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(REFRESH_SECONDS):
            await stop.wait()
    except TimeoutError:
        return


class View:
    """Reads the read models of the demo account."""

    def __init__(self, running: Platform, account_id: str) -> None:
        self._running = running
        self._runtime = running.host.runtime
        self._where: dict[str, Any] = {"account_id": account_id} if account_id else {}
        self._seen: dict[Any, int] = {}
        self._started = self._runtime.clock.now()

    async def screen(self) -> RenderableType:
        up = int((self._runtime.clock.now() - self._started).total_seconds())
        head = Text.assemble(
            ("patriot ", "bold"), f"{self._running.url}  ", ("API ", "dim"), f"{self._running.url}/docs  ",
            ("up ", "dim"), f"{up // 60}:{up % 60:02}  ", ("Ctrl-C stops everything", "dim"),
        )  # fmt: skip
        return Group(
            Panel(head),
            rows("prices", PRICES, await self._prices()),
            rows("balances", BALANCES, await self._balances()),
            rows("positions", POSITIONS, await self._find("positions", ["instrument"])),
            rows("orders", ORDERS, await self._orders(ORDERS_SHOWN)),
        )

    async def news(self) -> Sequence[str]:
        """One line per order that has changed since the last call."""
        lines = []
        for order in reversed(await self._orders(50)):
            if self._seen.get(order["id"]) != order["stream_version"]:
                self._seen[order["id"]] = order["stream_version"]
                lines.append(_line(order))
        return lines

    async def _find(self, table: str, order_by: Sequence[str], limit: int = 100) -> Sequence[Mapping[str, Any]]:
        return await self._runtime.store.find(Query(table, None, self._where, order_by, limit))

    async def _orders(self, limit: int) -> Sequence[Mapping[str, Any]]:
        found = await self._find("orders", ["-created_at"], limit)
        return [{**row, "time": row["created_at"].strftime("%H:%M:%S")} for row in found]

    async def _balances(self) -> Sequence[Mapping[str, Any]]:
        found = await self._find("buying_power", ["asset"])
        return [{**row, "available": row["total"] - row["reserved"] - row["margin"]} for row in found]

    async def _prices(self) -> Sequence[Mapping[str, Any]]:
        found = []
        for row in await self._runtime.store.find(Query("instruments", None, {}, ["id"])):
            entry = await self._runtime.state.get(price_key(row["id"]))
            if entry is not None:
                price = PriceReport.model_validate_json(entry.value)
                found.append({**price.model_dump(), "age": _age(price.as_of, self._runtime.clock.now())})
        return found


def _age(then: datetime, now: datetime) -> str:
    return f"{max(0.0, (now - then).total_seconds()):.1f} s"


def _line(order: Mapping[str, Any]) -> str:
    price = order["average_price"] or order["price"] or "market"
    colour = "green" if order["side"] == "buy" else "red"
    shown = plain(price) if isinstance(price, Decimal) else price
    return (
        f"[dim]{order['time']}[/] [{colour}]{order['side']:4}[/] {plain(order['quantity'])} {order['instrument']} "
        f"at {shown} [bold]{order['status']}[/] [dim]{order['id']} {order['reason']}[/]"
    )
