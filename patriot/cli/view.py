"""What there is to see: markets, the demo account, how the platform is. Rule: looking costs next to nothing.

Prices are read from the state port at each look, everything else once a second.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.money import ZERO
from patriot.runtime.context import price_key
from patriot.runtime.edge import system_context
from patriot.runtime.platform import Platform
from patriot.runtime.valuation import current_market
from patriot.store.api import Between, Query
from patriot.telemetry.metrics import metrics
from schemas.reports import PriceReport

READ_SECONDS = 1.0
LISTED_SECONDS = 10.0  # new instruments come seldom
HISTORY = 240
MOVED_SECONDS = 3.0
ROWS = 50
OPEN = "pending,submitted,accepted,partially_filled,unknown"
GAUGES = ("outbox_depth", "feed_reconnects_total", "dead_letters_total")

Get = Callable[[str], Awaitable[Any]]
Row = Mapping[str, Any]


@dataclass(slots=True)
class MarketLine:
    """One instrument. `direction` is that of the last move, 0 when the price has not moved for a while."""

    instrument: str
    decimals: int
    price: PriceReport
    first: Decimal
    direction: int = 0
    moved_at: float = 0.0
    history: deque[Decimal] = field(default_factory=lambda: deque(maxlen=HISTORY))


@dataclass(frozen=True, slots=True)
class Picture:
    """One look. `portfolio` is None while nobody is logged in; `equity_start` is the equity of the first look
    and what was paid in since.
    """

    url: str
    source: str
    now: datetime
    up_seconds: float
    markets: Sequence[MarketLine]
    portfolio: Row | None
    equity_start: Decimal | None
    equities: Sequence[Decimal]
    open_orders: Sequence[Row]
    trades: Sequence[Row]
    outbox_depth: int
    reconnects: int
    dead_letters: int
    ticks_per_second: float
    staleness_seconds: float


class View:
    """Looks at a running platform. `get` reads the public API as the demo user."""

    def __init__(self, running: Platform, get: Get) -> None:
        self._url = running.url
        self._runtime = running.host.runtime
        self._get = get
        self._started = self._runtime.clock.monotonic()
        self.started_at = self._runtime.clock.now()
        self._read_at = self._listed_at = float("-inf")
        self._decimals: dict[str, int] = {}
        self._markets: dict[str, MarketLine] = {}
        self._portfolio: Row | None = None
        self._open: Sequence[Row] = ()
        self._trades: Sequence[Row] = ()
        self._equities: deque[Decimal] = deque(maxlen=HISTORY)
        self._equity_start: Decimal | None = None
        self._paid_in_until = self.started_at
        self._gauges: Mapping[str, int] = {}
        self._ticks = 0
        self._ticks_per_second = 0.0
        self._unsubscribe: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """Count the market's messages from now on."""
        self._unsubscribe = self._runtime.ticks.subscribe(self._count)

    def close(self) -> None:
        self._unsubscribe()

    async def look(self) -> Picture:
        now = self._runtime.clock.monotonic()
        await self._look_at_prices(now)
        if now - self._read_at >= READ_SECONDS:
            await self._read(now)
        return Picture(
            url=self._url,
            source=self._runtime.settings.market,
            now=self._runtime.clock.now(),
            up_seconds=now - self._started,
            markets=self._sorted(),
            portfolio=self._portfolio,
            equity_start=self._equity_start,
            equities=tuple(self._equities),
            open_orders=self._open,
            trades=self._trades,
            outbox_depth=self._gauges.get("outbox_depth", 0),
            reconnects=self._gauges.get("feed_reconnects", 0),
            dead_letters=self._gauges.get("dead_letters", 0),
            ticks_per_second=self._ticks_per_second,
            staleness_seconds=self._runtime.settings.staleness_seconds,
        )

    async def orders(self, were_open: Iterable[str]) -> Sequence[Row]:
        """The newest orders, oldest first, and those of `were_open` that are no longer among them."""
        page = await self._get(f"/orders?limit={ROWS}")
        if page is None:
            return ()
        newest = {order["order_id"]: order for order in reversed(page["orders"])}
        others = [await self._get(f"/orders/{identifier}") for identifier in set(were_open) - newest.keys()]
        return [*(order for order in others if order is not None), *newest.values()]

    def _count(self, _: object) -> None:
        self._ticks += 1

    async def _look_at_prices(self, now: float) -> None:
        if now - self._listed_at >= LISTED_SECONDS or not self._decimals:
            rows = await self._runtime.store.find(Query("instruments", None, {}, ["id"], 100_000))
            self._decimals = {row["id"]: row["price_decimals"] for row in rows}
            self._listed_at = now
        for instrument in self._decimals:
            entry = await self._runtime.state.get(price_key(instrument))
            if entry is not None:
                self._hear(PriceReport.model_validate_json(entry.value), now)

    def _hear(self, price: PriceReport, now: float) -> None:
        line = self._markets.get(price.instrument)
        if line is None:
            decimals = self._decimals[price.instrument]
            line = MarketLine(price.instrument, decimals, price, price.last)
            self._markets[price.instrument] = line
        before, after = line.price.bid + line.price.ask, price.bid + price.ask
        if after != before:
            line.direction, line.moved_at = (1 if after > before else -1), now
        elif now - line.moved_at > MOVED_SECONDS:
            line.direction = 0
        line.price = price

    async def _read(self, now: float) -> None:
        """What changes more slowly; also the moment at which the small charts grow."""
        looked_at = self._runtime.clock.now()
        self._portfolio = await self._get("/portfolio")
        self._open = ((await self._get(f"/orders?status={OPEN}&limit={ROWS}")) or {"orders": ()})["orders"]
        self._trades = ((await self._get(f"/trades?limit={ROWS}")) or {"trades": ()})["trades"]
        if self._portfolio is not None and self._portfolio["equity"] is not None:
            equity = Decimal(self._portfolio["equity"])
            self._equities.append(equity)
            if self._equity_start is None:
                self._equity_start = equity
            else:
                self._equity_start += await self._paid_in(self._portfolio, looked_at)
            self._paid_in_until = looked_at
        for line in self._markets.values():
            line.history.append((line.price.bid + line.price.ask) / 2)
        if self._read_at > 0:
            self._ticks_per_second = self._ticks / (now - self._read_at)
        self._ticks, self._read_at, self._gauges = 0, now, _gauges()

    async def _paid_in(self, portfolio: Row, until: datetime) -> Decimal:
        """What came into the accounts since the look before, less what left them, at the prices of now."""
        accounts = [UUID(one["account_id"]) for one in portfolio["accounts"]]
        span = Between(self._paid_in_until, until)
        where = {"account_id": accounts, "account_code": "external", "posted_at": span}
        entries = await self._runtime.store.find(Query("ledger_entries", None, where))
        if not entries:
            return ZERO
        market = await current_market(system_context(self._runtime, "cli"), portfolio["currency"])
        paid_in = ((entry["asset"], -entry["amount"]) for entry in entries)
        return market.valuation.total(paid_in, market.currency) or ZERO

    def _sorted(self) -> Sequence[MarketLine]:
        """What the account holds or trades comes first."""
        held = {row["instrument"] for row in (self._portfolio or {}).get("positions", ()) if row["quantity"] != "0"}
        held |= {order["instrument"] for order in self._open}
        return sorted(self._markets.values(), key=lambda line: (line.instrument not in held, line.instrument))


def _gauges() -> Mapping[str, int]:
    """Sums over all labels, by name."""
    families = metrics.registry.restricted_registry(GAUGES).collect()
    return {
        family.name: int(sum(one.value for one in family.samples if not one.name.endswith("_created")))
        for family in families
    }
