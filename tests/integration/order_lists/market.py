"""A platform in one process on a market that a test moves: every function, the venue, account data, triggers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

from feeds.venue.orders import NewOrder, OrderType, Side
from patriot.protocols.market import Quote, Trade
from patriot.runtime.clock import SystemClock
from patriot.runtime.embedded import Host
from patriot.store.memory import MemoryStore
from tests.support.host import PERPETUAL, SPOT, Client, define, running_host, set_price, until_idle

FEEDS = ("relay", "venue", "account-data", "triggers")


class Market:
    """One user with one funded account. `price` is where both instruments trade."""

    def __init__(self, host: Host, user: Client, account_id: str) -> None:
        self.host, self.user, self.account_id = host, user, account_id
        self._trades = 0

    async def move(self, price: str, instrument: Any = PERPETUAL) -> None:
        """Quotes a little around the price, then a trade at it; returns when everything that follows has happened."""
        ticks, units = self.host.runtime.ticks, instrument.price_units(Decimal(price))
        time_ms = int(self.host.runtime.clock.now().timestamp() * 1000)
        plenty = instrument.quantity_units(Decimal(100))
        step = instrument.price_units(instrument.tick_size)
        self._trades += 1
        ticks.publish(Quote(instrument.id, units - step, plenty, units + step, plenty, self._trades, time_ms))
        await set_price(self.host, instrument.id, *(str(instrument.price_of(units + add)) for add in (-step, step)))
        ticks.publish(
            Trade(instrument.id, units, instrument.quantity_units(Decimal(1)), True, str(self._trades), time_ms)
        )
        await self.settle()

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0.01)
            await self.until(lambda: not any(task.get_name() == "trigger" for task in self.host.runtime.tasks))
            await until_idle(self.host)

    async def order(self, side: str, quantity: str, status: int = 201, **more: Any) -> Any:
        answer = await self.user.json("POST", "/orders", self.body(side, quantity, **more), status)
        await self.settle()
        return answer

    def body(self, side: str, quantity: str, **more: Any) -> dict[str, Any]:
        order = {"order_type": "limit" if "price" in more else "market", "instrument": PERPETUAL.id, **more}
        return {"account_id": self.account_id, "side": side, "quantity": quantity, **order}

    async def create_list(self, kind: str, *orders: dict[str, Any], status: int = 201) -> Any:
        answer = await self.user.json("POST", "/order-lists", {"kind": kind, "orders": orders}, status)
        await self.settle()
        return answer

    async def show(self, order: Any) -> Any:
        return await self.user.json("GET", f"/orders/{order['order_id']}")

    async def types(self, order: Any) -> list[str]:
        events = await self.user.json("GET", f"/events/{order['order_id']}")
        return [event["type"].removeprefix("order.") for event in events["events"]]

    async def position(self, instrument: str = PERPETUAL.id) -> str:
        portfolio = await self.user.json("GET", "/portfolio")
        found = [one["quantity"] for one in portfolio["positions"] if one["instrument"] == instrument]
        return found[0] if found else "0"

    async def balance(self, asset: str = "USDT") -> dict[str, Decimal]:
        portfolio = await self.user.json("GET", "/portfolio")
        (row,) = [row for row in portfolio["balances"] if row["asset"] == asset]
        return {name: Decimal(row[name]) for name in ("total", "reserved", "margin", "available")}

    async def until(self, condition: Callable[[], bool], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def sell_to_the_best_bid(self, quantity: str, instrument: Any = PERPETUAL) -> None:
        exchange = self.hall()
        self._trades += 1
        maker = exchange.open_account(f"maker {self._trades}", unlimited=True)
        request = NewOrder(
            instrument_id=instrument.id, side=Side.SELL, type=OrderType.MARKET, quantity=Decimal(quantity)
        )
        exchange.create(maker, request)
        await self.settle()

    def hall(self) -> Any:
        return self.host.runtime.local["venue"]["BINANCE"]

    def venue_orders(self) -> list[Any]:
        exchange = self.hall()
        return list(exchange.open_orders(exchange.account(self.account_id)))


@asynccontextmanager
async def market(price: str = "60000", feeds: tuple[str, ...] = FEEDS) -> AsyncIterator[Market]:
    store = MemoryStore(SystemClock().now)
    await define(store, PERPETUAL, SPOT)
    async with running_host(store, feeds, execution="in_process", market="replay") as host:
        made = Market(host, Client(host), "")
        await made.until(lambda: "venue" in host.runtime.local and "triggers" in host.runtime.local)
        made.user = await Client(host).register("ada")
        made.account_id = await made.user.paper_account(USDT="1000000", BTC="10")
        await until_idle(host)
        await made.until(lambda: host.runtime.local["venue"].venue_of(UUID(made.account_id)) is not None)
        for instrument in (PERPETUAL, SPOT):
            await made.move(price, instrument)
        yield made
