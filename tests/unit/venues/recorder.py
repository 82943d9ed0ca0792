"""The adapter with an exchange that sends nothing: what it would have sent is kept."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import ccxt

from patriot.domain.venue import VenueOrder
from patriot.runtime.clock import SystemClock
from patriot.runtime.embedded import MemoryState
from patriot.security.secret import Secret
from patriot.venues.ccxt_adapter import DIALECTS, CcxtAdapter
from patriot.venues.connections import Login
from patriot.venues.endpoints import VenueEndpoints

ACCOUNT = UUID(int=1)
UNSENT = {"timestamp", "recvWindow", "signature"}
SPOT, LINEAR = "BTC/USDT", "BTC/USDT:USDT"
TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
TYPES += ["STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]


@dataclass
class Recorder:
    """Answers every request with a refusal."""

    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def fetch(self, url: str, method: str = "GET", headers: object = None, body: str | None = None) -> None:
        given = body or urlsplit(url).query
        parameters = json.loads(given) if given.startswith("{") else dict(parse_qsl(given))
        kept = {name: value for name, value in parameters.items() if name not in UNSENT}
        self.requests.append((f"{method} {urlsplit(url).path}", kept))
        raise ccxt.InsufficientFunds("nobody is there")


def market(kind: str, amount: str = "0.00000001", price: str = "0.00000001") -> dict[str, Any]:
    """BTC/USDT with steps so fine that every figure fits."""
    linear = kind == "linear"
    return {
        "id": "BTCUSDT",
        "symbol": LINEAR if linear else SPOT,
        "base": "BTC",
        "quote": "USDT",
        "baseId": "BTC",
        "quoteId": "USDT",
        "settle": "USDT" if linear else None,
        "settleId": "USDT" if linear else None,
        "type": "swap" if linear else "spot",
        "spot": not linear,
        "swap": linear,
        "future": False,
        "option": False,
        "margin": False,
        "contract": linear,
        "linear": linear or None,
        "inverse": False if linear else None,
        "contractSize": "1" if linear else None,
        "active": True,
        "precision": {"amount": amount, "price": price},
        "limits": {"amount": {"min": None, "max": None}, "price": {"min": None, "max": None}, "cost": {"min": None}},
        "info": {"orderTypes": TYPES},
    }


async def login(_: UUID) -> Login:
    raise AssertionError("the exchange is open already")


def connected(venue: str, kind: str, **steps: str) -> tuple[CcxtAdapter, Recorder]:
    """An adapter whose one exchange object has the market of `market` and sends nothing. Close it."""
    adapter, recorder = CcxtAdapter(login, VenueEndpoints(1), SystemClock(), MemoryState(SystemClock())), Recorder()
    secrets = {"apiKey": Secret("key").reveal(), "secret": Secret("secret").reveal()}
    exchange = adapter.connections._make(DIALECTS[venue], kind, secrets)
    exchange.set_markets([market(kind, **steps)])
    exchange.options |= {"enableUnifiedMargin": False, "enableUnifiedAccount": True, "unifiedMarginStatus": 6}
    exchange.fetch = recorder.fetch
    exchange.timeout_on_exit = 0  # it waits for sockets that it does not have
    adapter.connections._exchanges[ACCOUNT, kind] = exchange
    return adapter, recorder


async def sent(venue: str, kind: str, made: VenueOrder, **steps: str) -> list[tuple[str, dict[str, Any]]]:
    """What goes out for an order."""
    adapter, recorder = connected(venue, kind, **steps)
    try:
        await adapter.create(made)
    finally:
        await adapter.close()
    return recorder.requests
