"""One platform that can die at a chosen point and start again, on a virtual clock. Rule: store and exchange survive.

Store and exchange stand for the database and the real venue; the host is thrown away at a crash. Nothing that the dead
host still does reaches them: each of its ports raises `Crash` from then on.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import UUID

import orjson
import structlog
from argon2 import PasswordHasher

from feeds.venue.accounts import Account
from feeds.venue.adapter import InProcessVenue
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.orders import NewOrder, OrderType, Side
from patriot.domain.order import Order
from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.aggregates import ORDER
from patriot.runtime.clock import SeededIds, VirtualClock
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.ports import Response
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.security.passwords import Passwords
from patriot.store.memory import MemoryStore
from tests.support.host import PERPETUAL, TENANT, Client, define, set_price

START = datetime(2026, 1, 1, tzinfo=UTC)
FUNDS = Decimal(1_000_000)
RING = KeyRing.generate()
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # hashing as in production takes most of the time


class Crash(BaseException):
    """The process dies here. No handler may catch it: it is no Exception."""


class Fuse:
    """Burns at the `occurrence`-th passing of the point `name`; from then on every port is dead."""

    def __init__(self, name: str = "", occurrence: int = 0) -> None:
        self._name, self._left = name, occurrence
        self.burnt = False

    def passes(self, name: str = "") -> None:
        if self.burnt:
            raise Crash
        if name and name == self._name:
            self._left -= 1
            if not self._left:
                self.burnt = True
                raise Crash


class CrashingStore:
    def __init__(self, store: MemoryStore, fuse: Fuse) -> None:
        self._store, self._fuse = store, fuse

    async def commit(self, commit: Any) -> Any:
        self._fuse.passes("before commit")
        recorded = await self._store.commit(commit)
        self._fuse.passes("after commit")
        return recorded

    async def published(self, events: Sequence[Any]) -> None:
        """The last step of an acknowledgement: the outbox forgets."""
        self._fuse.passes()
        await self._store.published(events)
        self._fuse.passes("after acknowledge")

    def __getattr__(self, name: str) -> Any:
        self._fuse.passes()
        return getattr(self._store, name)


class CrashingPublisher:
    def __init__(self, broker: Any, fuse: Fuse) -> None:
        self._broker, self._fuse = broker, fuse

    async def publish(self, topic: str, *messages: Any) -> None:
        self._fuse.passes("before publish")
        await self._broker.publish(topic, *messages)
        self._fuse.passes("after publish")

    def is_heard(self, topic: str) -> bool:
        return bool(self._broker.is_heard(topic))

    def publish_recorded(self, events: Sequence[Any]) -> None:
        self._fuse.passes("before publish")
        self._broker.publish_recorded(events)
        self._fuse.passes("after publish")


class CrashingVenue:
    """The way to the venue. What `received` names has reached it; a query is told as "query"."""

    def __init__(self, venue: InProcessVenue, fuse: Fuse, received: list[tuple[str, str]]) -> None:
        self._venue, self._fuse, self._received = venue, fuse, received

    async def create(self, order: Any) -> Any:
        return await self._send("create", order.client_order_id, lambda: self._venue.create(order))

    async def modify(self, ref: Any, *change: Any) -> Any:
        return await self._send("modify", ref.client_order_id, lambda: self._venue.modify(ref, *change))

    async def cancel(self, ref: Any) -> Any:
        return await self._send("cancel", ref.client_order_id, lambda: self._venue.cancel(ref))

    async def query(self, ref: Any) -> Any:
        self._fuse.passes()
        self._received.append(("query", ref.client_order_id))
        return await self._venue.query(ref)

    async def close(self) -> None:
        """Nothing is held."""

    async def _send(self, command: str, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self._fuse.passes("before send")
        self._received.append((command, name))
        answer = await call()
        self._fuse.passes("after send")
        return answer


class World:
    """What survives crashes: clock, store, exchange, keys. `host` is the living incarnation."""

    def __init__(self, seed: int) -> None:
        self.clock = VirtualClock(START)
        self.store = MemoryStore(self.clock.now)
        self.ids = SeededIds(seed)
        self.seed = seed
        self.exchange = Exchange("BINANCE", [PERPETUAL], self._now_ms, unified=True)
        self.maker = self.exchange.open_account("maker", unlimited=True)
        self.faults = FaultPlan()
        self.venue: Any = InProcessVenue(self.exchange, self.trader, self.faults)
        self.received: list[tuple[str, str]] = []
        self.incarnations = 0
        self.account_id = ""
        self.token = ""

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def trader(self, account_id: UUID) -> Account:
        return self.exchange.account(str(account_id))

    @property
    def client(self) -> Client:
        return Client(self.host, self.token)

    def quote(self, *, buy: bool, price: str, quantity: str) -> None:
        """An order of the market's other side."""
        side = Side.BUY if buy else Side.SELL
        self.exchange.create(
            self.maker,
            NewOrder(
                instrument_id=PERPETUAL.id,
                side=side,
                type=OrderType.LIMIT,
                quantity=Decimal(quantity),
                price=Decimal(price),
            ),
        )

    async def begin(self) -> None:
        """The first incarnation, with one user and one funded account, on a market of some depth."""
        await define(self.store, PERPETUAL)
        for level in range(1, 6):
            for quantity in ("0.005", "0.006", "40"):
                self.quote(buy=False, price=f"{60000 + level / 10:.1f}", quantity=quantity)
                self.quote(buy=True, price=f"{60000 - level / 10:.1f}", quantity=quantity)
        self.host = self._made(Fuse())
        user = await Client(self.host).register("ada")
        self.token = user._token
        await self._come_alive()
        self.account_id = await self.client.paper_account(USDT=str(FUNDS))
        account = self.exchange.open_account(self.account_id)
        self.exchange.deposit(account, "spot", "USDT", FUNDS)
        await self.settle()

    async def restart(self, fuse: Fuse | None = None) -> None:
        """Throw the host away, crashed or not, and start a new one on what survives."""
        self.fuse.burnt = True
        await asyncio.gather(self.host.stop(), return_exceptions=True)
        self.host = self._made(fuse or Fuse())
        await self._come_alive()

    def light(self, fuse: Fuse) -> None:
        """Let the living host die where `fuse` says."""
        self.fuse._name, self.fuse._left = fuse._name, fuse._left

    async def end(self) -> None:
        self.fuse.burnt = True
        await asyncio.gather(self.host.stop(), return_exceptions=True)

    def _made(self, fuse: Fuse) -> Host:
        self.fuse = fuse
        self.incarnations += 1
        parts = Parts(discovery.functions(), [feed for feed in discovery.feeds() if feed.name == "relay"])
        names = [part.name for part in parts.all]
        host = Host(
            parts,
            settings=Settings(),
            store=CrashingStore(self.store, fuse),  # type: ignore[arg-type]
            access=Access(RING, self.clock, issuer="patriot", audience="patriot-api", app_ids=names),
            clock=self.clock,
            ids=self.ids,
            random=random.Random(self.seed),
            secrets={},
        )
        host.runtime.publisher = CrashingPublisher(host.broker, fuse)
        host.runtime.venues["paper"] = CrashingVenue(self.venue, fuse, self.received)  # type: ignore[assignment]
        deliver = host.broker._deliver

        async def delivered(*message: Any) -> Any:
            fuse.passes()
            answer = await deliver(*message)
            fuse.passes("before acknowledge")
            return answer

        host.broker._deliver = delivered
        return host

    async def _come_alive(self) -> None:
        # what the venue quotes is a little better than what the platform has heard last
        await set_price(self.host, PERPETUAL.id, "60020", "60021")
        await self.host.start()

    # --- time ---
    async def until(self, condition: Callable[[], bool], seconds: float = 120) -> bool:
        """Let everything run, and time pass whenever nothing else can; False when the condition never holds."""
        return await until(self.clock, condition, seconds)

    async def step(self) -> bool:
        """Let everything run, then let time pass to the next thing that is due. False when nothing ever will be."""
        return await step(self.clock)

    async def settle(self, seconds: float = 120) -> bool:
        """Until everything that is committed has been handled. False when it is not, or when the host died."""
        await self.until(lambda: self.fuse.burnt or self._quiet(), seconds)
        return not self.fuse.burnt and self._quiet()

    def _quiet(self) -> bool:
        return self.host.broker.idle and not self.store._outbox

    # --- asking and looking ---
    async def ask(self, method: str, path: str, body: Any, key: str) -> Response | None:
        """A request of the user; None when the platform died before it answered."""
        call = asyncio.create_task(self.client.call(method, path, body, idempotency_key=key))
        await self.until(lambda: call.done() or self.fuse.burnt)
        if not call.done():
            call.cancel()
        (answer,) = await asyncio.gather(call, return_exceptions=True)
        return answer if isinstance(answer, Response) else None

    async def insist(self, method: str, path: str, body: Any, key: str) -> Response:
        """As a careful client: the same key again, at the next incarnation, until there is an answer."""
        while (answer := await self.ask(method, path, body, key)) is None:
            await self.restart()
        return answer

    async def order(self, order_id: str) -> Order:
        context = system_context(self.host.runtime, "test", TENANT)
        self.host.runtime.states.drop((await context.load(ORDER, UUID(order_id))).stream)
        state = (await context.load(ORDER, UUID(order_id))).state
        assert state is not None
        return state

    def sent(self, command: str) -> int:
        return sum(one == command for one, _ in self.received)


async def until(clock: VirtualClock, condition: Callable[[], bool], seconds: float) -> bool:
    """Let everything run, and time pass whenever nothing else can; False when the condition never holds."""
    deadline = clock.monotonic() + seconds
    while not condition():
        await asyncio.sleep(0)
        if not _is_busy() and (clock.monotonic() > deadline or not _advance(clock)):
            return condition()
    return True


async def step(clock: VirtualClock) -> bool:
    await asyncio.sleep(0)
    while _is_busy():
        await asyncio.sleep(0)
    return _advance(clock)


def _is_busy() -> bool:
    loop: Any = asyncio.get_running_loop()
    return bool(loop._ready)


def _advance(clock: VirtualClock) -> bool:
    following = clock.next_wake
    if following is not None:
        clock.advance_to(following)
    return following is not None


@asynccontextmanager
async def world(seed: int) -> AsyncIterator[World]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # the crashes would fill the screen
    made = World(seed)
    with patch("patriot.runtime.access.Passwords", partial(Passwords, CHEAP)):
        await made.begin()
        try:
            yield made
        finally:
            await made.end()
            structlog.reset_defaults()


def limit_order(account_id: str, price: str = "60000.1", quantity: str = "0.020", **more: Any) -> dict[str, Any]:
    order = {"side": "buy", "order_type": "limit", "quantity": quantity, "price": price}
    return {"account_id": account_id, "instrument": PERPETUAL.id, **order, **more}


def receipt(answer: Response) -> dict[str, Any]:
    assert answer.status in {200, 201}, answer.body
    found: dict[str, Any] = orjson.loads(answer.body)
    return found
