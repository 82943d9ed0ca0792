"""Case 12: every message is delivered one to five times, late, in any order and at once with others.

The broker is replaced by one that keeps no promise but "at least once"; the store gives way at every call, so that
handlers meet each other in their middle. Each effect happens exactly once all the same.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import structlog

from feeds.venue.orders import NewOrder, OrderType, Side
from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.aggregates import ORDER
from patriot.runtime.clock import SeededIds, VirtualClock
from patriot.runtime.cloudevent import CloudEvent, decode, encode, from_recorded
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.settings import Settings
from patriot.security.passwords import Passwords
from patriot.store.api import RecordedEvent
from patriot.store.memory import MemoryStore
from schemas.topics import TOPIC_OF, TOPICS
from tests.chaos.books import check_against_venue, check_books, check_once, check_order, rows
from tests.chaos.world import CHEAP, RING, START, limit_order, receipt, until
from tests.support.host import PERPETUAL, TENANT, Client, define, set_price

SEED = int(os.environ.get("PATRIOT_SEED", "20260112"))
MESSAGES_MIN = 10_000
ACCOUNTS = 8
ORDERS = 540  # about twenty deliveries each
COPIES_MAX = 5
LATE_SECONDS_MAX = 3.0


class ChaoticBroker:
    """Implements the Publisher port: each message 1 to 5 times to each subscriber, each copy at its own time."""

    def __init__(self, host: Host, dice: random.Random) -> None:
        self._host, self._dice = host, dice
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages = 0
        self.deliveries = 0
        self.dropped: list[str] = []

    @property
    def idle(self) -> bool:
        return not self._tasks

    async def publish(self, topic: str, *messages: CloudEvent) -> None:
        """Returns after one copy has been handled by each subscriber; the others come when they come."""
        if TOPICS[topic].durable:
            await asyncio.gather(*(done for message in messages for done in self._send(topic, message)))

    def publish_recorded(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            self._send(TOPIC_OF[event.type].name, from_recorded(event, ""))

    def _send(self, topic: str, message: CloudEvent) -> list[asyncio.Future[None]]:
        self.messages += 1
        handled = []
        for route in self._host.broker._routes.get((topic, message.type), ()):
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            handled.append(done)
            for _ in range(self._dice.randint(1, COPIES_MAX)):
                task = asyncio.create_task(self._copy(route, message, done))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return handled

    async def _copy(self, route: Any, message: CloudEvent, done: asyncio.Future[None]) -> None:
        status = ""
        while status != "SUCCESS":
            await self._host.runtime.clock.sleep(self._dice.uniform(0, LATE_SECONDS_MAX))
            self.deliveries += 1
            status = await self._host._deliver(route.consumer, route.path, decode(encode(message)))
            if status == "DROP":
                self.dropped.append(route.path)
                break
        if not done.done():
            done.set_result(None)


class YieldingStore:
    """Gives way to others before and after each call, some turns of the loop."""

    def __init__(self, store: MemoryStore, dice: random.Random) -> None:
        self._store, self._dice = store, dice

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def slow(*arguments: Any, **named: Any) -> Any:
            for _ in range(self._dice.randint(0, 4)):
                await asyncio.sleep(0)
            result = await method(*arguments, **named)
            for _ in range(self._dice.randint(0, 4)):
                await asyncio.sleep(0)
            return result

        return slow


class Venue:
    """The other side of the market, on the built-in venue's own exchange."""

    def __init__(self, host: Host, dice: random.Random) -> None:
        self.exchange = host.runtime.local["venue"]["BINANCE"]  # type: ignore[index]
        self._maker = self.exchange.open_account("maker", unlimited=True)
        self._dice = dice

    def quote(self) -> None:
        """Some small orders near the price, so that a trader's order meets several."""
        for side, sign in ((Side.SELL, 1), (Side.BUY, -1)):
            for _ in range(8):
                price = Decimal(60000) + sign * Decimal(self._dice.randint(1, 20)) / 10
                quantity = Decimal(self._dice.randint(1, 9)) / 1000
                terms = {"side": side, "type": OrderType.LIMIT, "quantity": quantity, "price": price}
                self.exchange.create(self._maker, NewOrder(instrument_id=PERPETUAL.id, **terms))


def made(clock: VirtualClock, store: MemoryStore) -> Host:
    feeds = [feed for feed in discovery.feeds() if feed.name in {"venue", "account-data"}]
    parts = Parts(discovery.functions(), feeds)
    names = [part.name for part in parts.all]
    with patch("patriot.runtime.access.Passwords", partial(Passwords, CHEAP)):
        access = Access(RING, clock, issuer="patriot", audience="patriot-api", app_ids=names)
    return Host(
        parts,
        settings=Settings(market="replay", execution="in_process"),  # a venue without a market of its own
        store=YieldingStore(store, random.Random(SEED)),  # type: ignore[arg-type]
        access=access,
        clock=clock,
        ids=SeededIds(SEED),
        random=random.Random(SEED),
        secrets={},
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.requirement("P8")
async def test_every_effect_happens_once_however_often_its_message_comes(capsys):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    clock, dice = VirtualClock(START), random.Random(SEED)
    store = MemoryStore(clock.now)
    await define(store, PERPETUAL)
    host = made(clock, store)
    broker = ChaoticBroker(host, dice)
    host.runtime.publisher = broker
    user = await Client(host).register("ada")
    await host.start()
    accounts = [await funded(user, clock) for _ in range(ACCOUNTS)]
    assert await until(clock, lambda: broker.idle and "paper" in host.runtime.venues, 60)
    venue = Venue(host, dice)
    orders = await trade(user, host, venue, accounts, dice)
    compared = clock.monotonic() + 90
    assert await until(clock, lambda: clock.monotonic() > compared and broker.idle, 900)
    await check(host, store, venue, accounts, orders)
    fills = len(await rows(store, "trades"))
    with capsys.disabled():
        print(
            f"\ninbox: seed {SEED}, {broker.messages} messages in {broker.deliveries} deliveries, {len(orders)} orders,"
            f" {fills} fills: 0 effects missing, 0 twice"
        )
    assert broker.messages >= MESSAGES_MIN
    assert broker.dropped == []
    await host.stop()
    structlog.reset_defaults()


async def funded(user: Client, clock: VirtualClock) -> str:
    call = asyncio.create_task(user.paper_account(USDT="100000", BTC="1", ETH="2"))
    assert await until(clock, call.done, 60)
    return call.result()


async def trade(user: Client, host: Host, venue: Venue, accounts: list[str], dice: random.Random) -> list[str]:
    """Orders of all kinds, some modified and some cancelled, while everything else is on its way."""
    clock, orders = host.runtime.clock, []
    assert isinstance(clock, VirtualClock)
    for number in range(ORDERS):
        if number % 10 == 0:
            await set_price(host, PERPETUAL.id, "59999", "60001")
            venue.quote()
        call = asyncio.create_task(user.call("POST", "/orders", an_order(dice, accounts), idempotency_key=str(number)))
        assert await until(clock, call.done, 60)
        orders.append(receipt(call.result())["order_id"])
        follow = asyncio.create_task(change(user, dice, dice.choice(orders)))
        assert await until(clock, follow.done, 60)
        now = clock.monotonic()
        await until(clock, lambda then=now: clock.monotonic() > then + 0.1, 1)
    return orders


def an_order(dice: random.Random, accounts: list[str]) -> dict[str, Any]:
    kind = dice.choice(("market", "crossing", "resting"))
    side = dice.choice(("buy", "sell"))
    worse = 1 if side == "buy" else -1
    price = {"crossing": 60000 + worse * 2, "resting": 60000 - worse * dice.randint(5, 900)}.get(kind)
    order = {"side": side, "quantity": f"0.0{dice.randint(10, 40)}"}
    terms = {"order_type": "limit", "price": str(price)} if price else {"order_type": "market", "price": None}
    return {**limit_order(dice.choice(accounts)), **order, **terms}


async def change(user: Client, dice: random.Random, order_id: str) -> None:
    """A cancel or a modification, refused or not."""
    lot = dice.random()
    if lot < 0.15:
        await user.call("DELETE", f"/orders/{order_id}")
    elif lot < 0.3:
        await user.call("PATCH", f"/orders/{order_id}", {"price": str(60000 + dice.randint(-300, 300))})


async def check(host: Host, store: MemoryStore, venue: Venue, accounts: list[str], orders: list[str]) -> None:
    context = system_context(host.runtime, "test", TENANT)
    for order_id in orders:
        state = (await context.load(ORDER, UUID(order_id))).state
        assert state is not None
        check_order(state, venue.exchange)
    await check_once(store, len(orders))
    await check_books(store)
    for account_id in accounts:
        await check_against_venue(store, venue.exchange, account_id)
    shown = {str(row["id"]): row["status"] for row in await rows(store, "orders")}
    assert set(shown) == set(orders)
