"""What the live screen looks at, on a platform in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from patriot.cli import screen, view
from patriot.cli.view import View
from patriot.runtime.demo import INSTRUMENT, Demo
from patriot.runtime.embedded import Host
from patriot.runtime.platform import Platform
from tests.support.host import PERPETUAL, SPOT, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[Host, Demo, View]]:
    async with running_host() as host:
        host.runtime.venues["paper"] = FillingVenue()
        await define(host.runtime.store, PERPETUAL, SPOT)
        await set_price(host, SPOT.id, "60000", "60000.1")
        await set_price(host, INSTRUMENT, "60000", "60000.1")
        demo = Demo(host)
        await demo.prepare()
        await demo.first_order()
        await until_idle(host)
        yield host, demo, View(Platform(host, "http://127.0.0.1:1"), demo.get)


async def test_look_sees_markets_portfolio_and_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched() as (host, _, seen):
        first = await seen.look()
        assert [line.instrument for line in first.markets] == [INSTRUMENT, SPOT.id]  # what is held comes first
        assert first.portfolio is not None
        assert first.equity_start == Decimal(first.portfolio["equity"])
        assert len(first.trades) == 1
        assert not first.open_orders
        assert first.markets[0].direction == 0
        await set_price(host, INSTRUMENT, "60001", "60001.1")
        assert (await seen.look()).markets[0].direction == 1
        await set_price(host, INSTRUMENT, "59999", "59999.1")
        assert (await seen.look()).markets[0].direction == -1
        monkeypatch.setattr(view, "MOVED_SECONDS", -1.0)
        assert (await seen.look()).markets[0].direction == 0


async def test_small_charts_grow_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched() as (host, _, seen):
        seen.listen()
        await seen.look()
        await seen.look()
        assert [len(line.history) for line in (await seen.look()).markets] == [1, 1]
        monkeypatch.setattr(view, "READ_SECONDS", 0.0)
        for _ in range(5):
            host.runtime.ticks.publish(_tick())
        again = await seen.look()
        assert [len(line.history) for line in again.markets] == [2, 2]
        assert len(again.equities) == 2
        assert again.ticks_per_second > 0
        seen.close()


async def test_what_is_paid_in_is_no_profit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "READ_SECONDS", 0.0)
    async with watched() as (host, demo, seen):
        before = await seen.look()
        for asset, amount in (("USDT", "5000"), ("BTC", "0.5")):
            await demo._call("POST", f"/accounts/{demo.account_id}/funds", {"asset": asset, "amount": amount})
        await until_idle(host)
        after = [await seen.look(), await seen.look()][-1]
        assert before.portfolio is not None
        assert before.equity_start is not None
        assert after.portfolio is not None
        assert after.equity_start == before.equity_start + 35_000
        assert Decimal(after.portfolio["equity"]) - after.equity_start == before.equities[-1] - before.equity_start


async def test_view_of_nobody_is_the_market_alone() -> None:
    async with running_host() as host:
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, INSTRUMENT, "60000", "60000.1")
        seen = View(Platform(host, "http://127.0.0.1:1"), Demo(host).get)
        shown = await seen.look()
        assert shown.portfolio is None
        assert len(shown.markets) == 1
        assert await seen.orders(()) == ()


async def test_orders_that_were_open_are_read_beyond_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched() as (host, demo, seen):
        (first,) = await seen.orders(())
        monkeypatch.setattr(view, "ROWS", 1)
        demo._is_new = True
        await demo.first_order()
        await until_idle(host)
        assert len(await seen.orders(())) == 1
        assert [row["order_id"] for row in await seen.orders({first["order_id"]})][0] == first["order_id"]


async def test_watch_draws_the_screen_and_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, width=80, height=24, file=_Sink(), legacy_windows=False)
    monkeypatch.setattr(screen, "console", terminal)
    async with watched() as (_, _, seen):
        stop = _StopAfter(2)
        monkeypatch.setattr(screen, "_pause", stop.pause)
        await screen.watch(seen, stop)  # type: ignore[arg-type]
        drawn = "".join(terminal.file.written)  # type: ignore[attr-defined]
        assert drawn.count("equity") == 2
        assert "\x1b[?1049h" in drawn
        assert drawn.index("\x1b[?1049l") > drawn.rindex("equity")


class _Sink:
    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


class _StopAfter:
    def __init__(self, looks: int) -> None:
        self._left = looks

    async def pause(self, _: object) -> None:
        self._left -= 1

    def is_set(self) -> bool:
        return self._left <= 0


def _tick() -> Any:
    from patriot.protocols.market import Trade

    at = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    fields: dict[str, Any] = {"instrument": "BYBIT:XRP/USDT", "time_ms": at}
    return Trade(**{name: fields.get(name, 1) for name in Trade.__struct_fields__})
