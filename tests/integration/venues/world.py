"""The built-in venue on a loopback port with a maker on both sides of 60,000, and the adapter before it."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.halls import Halls
from feeds.venue.orders import NewOrder, OrderType
from feeds.venue.orders import Side as VenueSide
from feeds.venue.wire.binance import Binance
from feeds.venue.wire.binance import Settings as BinanceSettings
from feeds.venue.wire.bybit import Bybit
from feeds.venue.wire.bybit_limits import RateLimits
from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.server import Mount, serving
from feeds.venue.wire.socket import Socket
from patriot.domain.listing import instruments
from patriot.domain.venue import VenueOrder
from patriot.runtime.clock import SystemClock
from patriot.runtime.embedded import MemoryState
from patriot.security.secret import Secret
from patriot.venues.ccxt_adapter import CcxtAdapter
from patriot.venues.connections import TIMEOUT_SECONDS, Login
from patriot.venues.endpoints import VenueEndpoints

ACCOUNTS = {"BINANCE": UUID(int=0xB1), "BYBIT": UUID(int=0xB2)}
SPOT, LINEAR = "BTC/USDT", "BTC/USDT:USDT"
MARKETS = [(venue, symbol) for venue in ACCOUNTS for symbol in (SPOT, LINEAR)]
GENEROUS = RateLimits(commands_per_second=1000, queries_per_second=1000, requests_per_address=10_000)
SECRET = "S" * 64
CREATIONS = {f"POST {path}" for path in ("/api/v3/order", "/fapi/v1/order", "/fapi/v1/algoOrder", "/v5/order/create")}
SHORT_SECONDS = 0.4
"""Nothing on loopback takes so long, unless it is never answered."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class HastyClock(SystemClock):
    """The system's, but it can be put forward: nobody waits for the end of a silence."""

    def __init__(self) -> None:
        self._skipped_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped_seconds

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._skipped_seconds)

    def skip(self, seconds: float) -> None:
        self._skipped_seconds += seconds


class Recorded:
    """A mount that notes every request, also those that a fault strikes."""

    def __init__(self, mount: Mount, requests: list[str]) -> None:
        self._mount, self._requests = mount, requests

    @property
    def hosts(self) -> Collection[str]:
        return self._mount.hosts

    @property
    def prefixes(self) -> Collection[str]:
        return self._mount.prefixes

    async def http(self, request: Request) -> Response:
        self._requests.append(f"{request.method} {request.path}")
        return await self._mount.http(request)

    async def websocket(self, socket: Socket) -> None:
        await self._mount.websocket(socket)


@dataclass
class World:
    """`requests` are all that came in over HTTP, oldest first."""

    halls: Halls
    plan: FaultPlan
    port: int
    adapter: CcxtAdapter
    clock: HastyClock
    requests: list[str]
    timeout_seconds: float
    adapters: list[CcxtAdapter] = field(default_factory=list)

    def exchange(self, venue: str) -> Exchange:
        return self.halls[venue]

    @property
    def creations(self) -> int:
        """How many times somebody asked for a new order, whatever became of it."""
        return sum(request in CREATIONS for request in self.requests)

    def named(self, instrument: str, name: str) -> int:
        """How many orders the venue has taken under this name."""
        exchange, account_id = self.halls[instrument.partition(":")[0]], ACCOUNTS[instrument.partition(":")[0]]
        return sum(
            one.client_order_id == name for one in exchange.orders(exchange.account(str(account_id)), instrument)
        )

    def restarted(self) -> CcxtAdapter:
        """An adapter that knows nothing of what was before. It has all the time it wants: nothing is lost any more."""
        self.adapters.append(_adapter(self.port, self.clock, TIMEOUT_SECONDS))
        return self.adapters[-1]

    def take(self, instrument: str, side: str, quantity: str) -> None:
        """Somebody trades against the book."""
        self._make(instrument, side, quantity, None)

    def fall(self, instrument: str, price: int) -> None:
        """Somebody sells through all bids down to a price, at which there is plenty."""
        self._make(instrument, "buy", "20", price)
        self._make(instrument, "sell", "6", None)

    def _make(self, instrument: str, side: str, quantity: str, price: int | None) -> None:
        exchange = self.halls[instrument.partition(":")[0]]
        exchange.create(
            exchange.account("maker"),
            NewOrder(
                instrument_id=instrument,
                side=VenueSide(side),
                type=OrderType.MARKET if price is None else OrderType.LIMIT,
                quantity=Decimal(quantity),
                price=None if price is None else Decimal(price),
            ),
        )


@asynccontextmanager
async def world(timeout_seconds: float = TIMEOUT_SECONDS) -> AsyncIterator[World]:
    plan = FaultPlan()
    halls = Halls({venue: instruments(venue) for venue in ACCOUNTS}, now_ms, faults=plan)
    for venue, account_id in ACCOUNTS.items():
        halls.open(venue, account_id, f"key-{venue}", SECRET)
        halls.deposit(account_id, "USDT", Decimal(100_000), f"{venue} money")
        halls.deposit(account_id, "BTC", Decimal(1), f"{venue} coins")
        _quote(halls[venue])
    clock = HastyClock()
    requests: list[str] = []
    async with serving([Recorded(mount, requests) for mount in mounts(halls, plan)]) as port:
        living = World(halls, plan, port, _adapter(port, clock, timeout_seconds), clock, requests, timeout_seconds)
        try:
            yield living
        finally:  # together: each takes a quarter of a second
            await asyncio.gather(*(adapter.close() for adapter in [living.adapter, *living.adapters]))


def _adapter(port: int, clock: HastyClock, timeout_seconds: float) -> CcxtAdapter:
    return CcxtAdapter(login, VenueEndpoints(port), clock, MemoryState(clock), timeout_seconds=timeout_seconds)


def mounts(halls: Halls, plan: FaultPlan) -> list[Binance | Bybit]:
    return [
        Binance(halls["BINANCE"], BinanceSettings(is_limited=False), plan),
        Bybit(halls["BYBIT"], GENEROUS, plan=plan),
    ]


async def login(account_id: UUID) -> Login:
    venue = next(name for name, one in ACCOUNTS.items() if one == account_id)
    return Login(venue, Secret(f"key-{venue}"), Secret(SECRET))


def _quote(exchange: Exchange) -> None:
    maker = exchange.open_account("maker", unlimited=True)
    for symbol in (SPOT, LINEAR):
        for step in range(1, 6):
            for side, price in ((VenueSide.BUY, 60_000 - step), (VenueSide.SELL, 60_000 + step)):
                exchange.create(
                    maker,
                    NewOrder(
                        instrument_id=f"{exchange.venue}:{symbol}",
                        side=side,
                        type=OrderType.LIMIT,
                        quantity=Decimal(1),
                        price=Decimal(price),
                    ),
                )
        exchange.create(
            maker,
            NewOrder(
                instrument_id=f"{exchange.venue}:{symbol}",
                side=VenueSide.BUY,
                type=OrderType.MARKET,
                quantity=Decimal("0.001"),
            ),
        )


def order(venue: str, symbol: str, name: str, **changes: object) -> VenueOrder:
    """A buy of 0.002 that rests at 59,000."""
    given: dict[str, object] = {
        "account_id": ACCOUNTS[venue],
        "instrument": f"{venue}:{symbol}",
        "client_order_id": name,
        "side": "buy",
        "order_type": "limit",
        "quantity": Decimal("0.002"),
        "price": Decimal(59_000),
    }
    return VenueOrder(**(given | changes))  # type: ignore[arg-type]
