"""The exchange objects: one per (account, market type). Rule: opened when first needed, closed by `close`.

The markets of an exchange are loaded once and shared: they are tens of megabytes, an account's object is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import ccxt.pro

from patriot.security.secret import Secret
from patriot.telemetry.correlation import correlation_headers
from patriot.telemetry.tracing import trace_headers
from patriot.venues.dialect import Dialect
from patriot.venues.endpoints import Mode, VenueEndpoints

TIMEOUT_SECONDS = 5.0
RELOAD_SECONDS: Mapping[Mode, float] = {"live": 60.0, "paper": 0.0}
"""How soon a missing market may be looked for again. Asking the built-in venue costs nothing."""


@dataclass(frozen=True, slots=True)
class Login:
    """What it takes to act for an account: which exchange, and its credentials there."""

    venue: str
    api_key: Secret
    api_secret: Secret


Logins = Callable[[UUID], Awaitable[Login]]
"""Raises KeyError for an account that is not known or not active."""

Key = tuple[UUID, str]


class Connections:
    """All exchange objects of one adapter."""

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        logins: Logins,
        endpoints: VenueEndpoints,
        monotonic: Callable[[], float],
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._dialects, self._logins, self._endpoints, self._monotonic = dialects, logins, endpoints, monotonic
        self.timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        self._catalogues: dict[tuple[str, str], Any] = {}
        self._loaded_at: dict[tuple[str, str], float] = {}
        self._exchanges: dict[Key, Any] = {}
        self._locks: dict[object, asyncio.Lock] = {}

    async def dialect(self, account_id: UUID) -> Dialect:
        """Raises KeyError for an account that is not known."""
        return self._dialects[(await self._logins(account_id)).venue]

    def dialect_of(self, venue: str) -> Dialect:
        return self._dialects[venue]

    async def exchange(self, account_id: UUID, kind: str) -> Any:
        """The ccxt object of an account. Raises KeyError, and what ccxt raises where the venue does not answer."""
        found = self._exchanges.get((account_id, kind))
        if found is None:
            async with self._lock((account_id, kind)):
                found = self._exchanges.get((account_id, kind))
                if found is None:
                    found = self._exchanges[account_id, kind] = await self.open(account_id, kind)
        return found

    async def open(self, account_id: UUID, kind: str) -> Any:
        """A new ccxt object that the caller closes (a private stream has its own)."""
        login = await self._logins(account_id)
        dialect = self._dialects[login.venue]
        catalogue = await self._catalogue(dialect, kind)
        exchange = self._make(dialect, kind, {"apiKey": login.api_key.reveal(), "secret": login.api_secret.reveal()})
        exchange.set_markets_from_exchange(catalogue)
        exchange.options["timeDifference"] = catalogue.options["timeDifference"]
        try:
            await dialect.prepare(exchange)
        except BaseException:
            await exchange.close()
            raise
        return exchange

    async def markets_with(self, dialect: Dialect, kind: str, symbol: str) -> None:
        """Load the markets again where a symbol is missing, but not all the time."""
        key, pause = (dialect.venue, kind), RELOAD_SECONDS[self._endpoints.mode]
        catalogue = await self._catalogue(dialect, kind)
        if symbol in catalogue.markets or self._monotonic() - self._loaded_at[key] < pause:
            return
        self._loaded_at[key] = self._monotonic()
        await catalogue.load_markets(reload=True)
        for exchange in self._of(dialect, kind):
            exchange.set_markets_from_exchange(catalogue)

    async def synchronise(self, dialect: Dialect, kind: str) -> None:
        """Measure the difference of the clocks anew, for all accounts."""
        catalogue = await self._catalogue(dialect, kind)
        await catalogue.load_time_difference()
        for exchange in self._of(dialect, kind):
            exchange.options["timeDifference"] = catalogue.options["timeDifference"]

    async def forget(self, account_id: UUID) -> None:
        """Close what an account has open: it was deactivated, or its credentials changed."""
        for key in [key for key in self._exchanges if key[0] == account_id]:
            await self._exchanges.pop(key).close()

    async def close(self) -> None:
        exchanges = [*self._exchanges.values(), *self._catalogues.values()]
        self._exchanges.clear()
        self._catalogues.clear()
        await asyncio.gather(*(exchange.close() for exchange in exchanges))  # each takes a quarter of a second
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _catalogue(self, dialect: Dialect, kind: str) -> Any:
        key = (dialect.venue, kind)
        async with self._lock(key):
            if key not in self._catalogues:
                catalogue = self._make(dialect, kind, {})
                try:
                    await catalogue.load_markets()
                    if "timeDifference" not in catalogue.options or not catalogue.options["timeDifference"]:
                        catalogue.options["timeDifference"] = 0
                except BaseException:
                    await catalogue.close()
                    raise
                self._catalogues[key] = catalogue
                self._loaded_at[key] = self._monotonic()
        return self._catalogues[key]

    def _make(self, dialect: Dialect, kind: str, credentials: Mapping[str, str]) -> Any:
        if self._session is None:
            self._session = self._endpoints.session()
        exchange = getattr(ccxt.pro, dialect.exchange_id)(
            {
                **credentials,
                **dialect.configuration(),
                "options": dialect.options(kind),
                "session": self._session,
                "timeout": int(self.timeout_seconds * 1000),
                "enableRateLimit": False,  # the gate counts, before the order is recorded as sent
                "number": str,  # no figure through a float
            }
        )
        exchange.number = str
        exchange.headers = _CorrelationHeaders()
        self._endpoints.apply(exchange, dialect.addresses(self._endpoints))
        return exchange

    def _of(self, dialect: Dialect, kind: str) -> list[Any]:
        return [
            exchange
            for (_, its_kind), exchange in self._exchanges.items()
            if its_kind == kind and exchange.id == dialect.exchange_id
        ]

    def _lock(self, key: object) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())


class _CorrelationHeaders(Mapping[str, str]):
    """The headers of the operation that makes the call, looked up at each call."""

    def __getitem__(self, name: str) -> str:
        return _operation()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_operation())

    def __len__(self) -> int:
        return len(_operation())


def _operation() -> dict[str, str]:
    return correlation_headers() | trace_headers()
