"""A living Binance venue on a loopback port, and unmodified ccxt.pro clients for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ccxt.pro

from feeds.venue.accounts import Account
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.synthetic import SyntheticMarket
from feeds.venue.wire.binance import Binance, Settings, ccxt_urls
from feeds.venue.wire.server import serving
from patriot.domain.listing import instruments

SPOT, LINEAR = "BTC/USDT", "BTC/USDT:USDT"
KEY, SECRET = "K" * 64, "S" * 64
STEP_SECONDS = 0.02


@dataclass
class World:
    exchange: Exchange
    trader: Account
    port: int
    plan: FaultPlan


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def living_venue(
    settings: Settings | None = None,
    clock: Callable[[], int] = now_ms,
    step_seconds: float = STEP_SECONDS,
    port: int = 0,
) -> AsyncIterator[World]:
    exchange, plan = Exchange("BINANCE", instruments("BINANCE"), clock), FaultPlan()
    trader = exchange.open_account("trader", api_key=KEY, secret=SECRET)
    exchange.deposit(trader, "spot", "USDT", Decimal(100_000))
    exchange.deposit(trader, "spot", "BTC", Decimal(1))
    exchange.deposit(trader, "linear", "USDT", Decimal(100_000))
    market = SyntheticMarket(exchange, seed=7)
    for _ in range(20):
        market.step()
    mover = asyncio.create_task(_move(market, step_seconds))
    try:
        async with serving([Binance(exchange, settings or Settings(is_limited=False), plan)], port=port) as bound:
            yield World(exchange, trader, bound, plan)
    finally:
        mover.cancel()
        with suppress(asyncio.CancelledError):
            await mover


async def _move(market: SyntheticMarket, step_seconds: float) -> None:
    while True:
        await asyncio.sleep(step_seconds)
        market.step()


@asynccontextmanager
async def ccxt_client(port: int, kinds: tuple[str, ...], **changes: Any) -> AsyncIterator[Any]:
    """Only addresses and the list of markets differ from what anybody would write."""
    settings = {
        "apiKey": KEY,
        "secret": SECRET,
        "enableRateLimit": False,
        "urls": ccxt_urls(port),
        "options": {"defaultType": "spot" if kinds == ("spot",) else "swap", "fetchMarkets": {"types": list(kinds)}},
    }
    client = ccxt.pro.binance(settings | changes)
    try:
        yield client
    finally:
        await client.close()
        await asyncio.sleep(0)
