"""The built-in venue on a loopback port with a maker on both sides of 60,000, and the adapter before it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
from feeds.venue.wire.server import serving
from patriot.domain.listing import instruments
from patriot.domain.venue import VenueOrder
from patriot.runtime.clock import SystemClock
from patriot.security.secret import Secret
from patriot.venues.ccxt_adapter import CcxtAdapter
from patriot.venues.connections import Login
from patriot.venues.endpoints import VenueEndpoints

ACCOUNTS = {"BINANCE": UUID(int=0xB1), "BYBIT": UUID(int=0xB2)}
SPOT, LINEAR = "BTC/USDT", "BTC/USDT:USDT"
MARKETS = [(venue, symbol) for venue in ACCOUNTS for symbol in (SPOT, LINEAR)]
GENEROUS = RateLimits(commands_per_second=1000, queries_per_second=1000, requests_per_address=10_000)
SECRET = "S" * 64


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class World:
    halls: Halls
    plan: FaultPlan
    port: int
    adapter: CcxtAdapter

    def exchange(self, venue: str) -> Exchange:
        return self.halls[venue]

    def sent(self, venue: str) -> int:
        """How many orders the venue has taken from the trader."""
        exchange = self.halls[venue]
        return len(exchange.orders(exchange.account(str(ACCOUNTS[venue]))))

    def take(self, instrument: str, side: str, quantity: str) -> None:
        """Somebody trades against the book."""
        exchange = self.halls[instrument.partition(":")[0]]
        exchange.create(
            exchange.account("maker"),
            NewOrder(
                instrument_id=instrument, side=VenueSide(side), type=OrderType.MARKET, quantity=Decimal(quantity)
            ),
        )


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    plan = FaultPlan()
    halls = Halls({venue: instruments(venue) for venue in ACCOUNTS}, now_ms, faults=plan)
    for venue, account_id in ACCOUNTS.items():
        halls.open(venue, account_id, f"key-{venue}", SECRET)
        halls.deposit(account_id, "USDT", Decimal(100_000), f"{venue} money")
        halls.deposit(account_id, "BTC", Decimal(1), f"{venue} coins")
        _quote(halls[venue])
    async with serving(mounts(halls, plan)) as port:
        adapter = CcxtAdapter(login, VenueEndpoints(port), SystemClock())
        try:
            yield World(halls, plan, port, adapter)
        finally:
            await adapter.close()


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
