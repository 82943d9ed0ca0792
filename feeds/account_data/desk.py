"""Everything of one account: its private streams, its comparisons. Rule: what is told becomes reports, no more."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog

from feeds.account_data.breaker import Breaker
from feeds.account_data.divergence import Divergence
from feeds.account_data.reconcile import Reconciliation
from feeds.account_data.streams import FEED, Line, Stream, Structure, silence_seconds
from patriot.domain import reporting
from patriot.domain.external import order_id_at_venue
from patriot.domain.order import Order
from patriot.domain.venue import OrderRef, OrderState, VenueAdapter
from patriot.runtime.aggregates import ORDER
from patriot.runtime.edge import user_context
from patriot.runtime.operation import publish_told
from patriot.runtime.ports import Runtime
from patriot.venues.reading import Unreadable, balances, execution, order_state
from schemas.reports import BalanceReport, VenueBalance, VenueReport

COMPARE_SECONDS = 30.0
UNPROVED_SECONDS = 2.0
ENDS = frozenset({"cancelled", "expired"})

log = structlog.get_logger()


class Desk:
    """Everything of one account: its streams, its comparisons."""

    def __init__(self, account: Mapping[str, Any], adapter: VenueAdapter, runtime: Runtime, breaker: Breaker) -> None:
        self.account = account
        self._breaker = breaker
        self._adapter = adapter
        self._runtime = runtime
        self._context = user_context(runtime, FEED, account["tenant_id"], account["user_id"])
        self._reconciliation = Reconciliation(account, adapter, self._context)
        self._comparing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        connections = getattr(self._adapter, "connections", None)
        jobs = [self._compare()]
        if connections is not None:
            streams = connections.dialect_of(self.account["exchange"]).streams
            jobs += [self._stream(connections, kinds).run() for kinds in streams]
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        forget = getattr(self._adapter, "forget", None)
        if forget is not None:
            await forget(self.account["id"])

    # --- comparing ---
    async def _compare(self) -> None:
        """Orders without proof every two seconds, everything every half minute."""
        clock, next_whole = self._runtime.clock, 0.0
        while True:
            if clock.monotonic() >= next_whole:
                await self.opened()
                next_whole = clock.monotonic() + COMPARE_SECONDS
            else:
                await self._attempt(self._reconciliation.unproved)
            await clock.sleep(UNPROVED_SECONDS)

    async def opened(self) -> None:
        """A stream has (re)connected, or it is time: compare everything."""
        await self._attempt(self._reconciliation.everything)

    async def reconcile(self) -> list[Divergence]:
        """As `opened`, for somebody who waits for the result. Raises what stands in the way."""
        async with self._comparing:
            return await self._reconciliation.everything()

    async def _attempt(self, compare: Callable[[], Awaitable[object]]) -> None:
        """One comparison at a time. One that fails is made again soon, and ends no stream."""
        async with self._comparing:
            try:
                await compare()
            except Exception:
                log.exception("comparison failed", account_id=str(self.account["id"]))

    # --- hearing ---
    def _stream(self, connections: Any, kinds: str) -> Stream:
        dialect = connections.dialect_of(self.account["exchange"])
        line = Line(
            venue=self.account["exchange"],
            open=partial(connections.open, self.account["id"], kinds),
            told_order=dialect.told_order,
            told_trade=dialect.told_trade,
            silence_seconds=silence_seconds,
            breaker=self._breaker,
            stale_seconds=self._runtime.settings.staleness_seconds,
        )
        return Stream(line, self, self._runtime.clock, self._runtime.random)

    async def state(self, state: OrderState) -> None:
        """What an order's state proves."""
        ref = state.ref
        order_id = order_id_at_venue(ref.account_id, ref.instrument, ref.client_order_id, ref.venue_order_id)
        if order_id is None:
            log.warning("order without a name", client_order_id=ref.client_order_id)
            return
        context = self._context.fresh()
        loaded = await context.load(ORDER, order_id)
        if loaded.state is None:
            await self._reconciliation.adopt(state)  # what has been filled of it, the next comparison asks about
            return
        if state.status in ENDS and not _tells_fills(state, loaded.state):
            await self._reconciliation.resolve(order_id)  # an end is told after the fills before it, not without them
            return
        await publish_told(context, self.account["user_id"], reporting.of_state(loaded.state, state, "stream"))

    async def order(self, order: Structure) -> None:
        """An order as ccxt tells it. What cannot be read is asked for at the next comparison."""
        name, symbol = str(order.get("clientOrderId") or ""), order.get("symbol")
        ref = OrderRef(self.account["id"], f"{self.account['exchange']}:{symbol}", name, str(order.get("id") or ""))
        try:
            await self.state(order_state(ref, order))
        except Unreadable as error:
            log.warning("order update not read", reason=str(error))

    async def trade(self, trade: Structure) -> None:
        """An execution as ccxt tells it; the order's name stands in the venue's own message."""
        name = _client_order_id(trade)
        instrument = f"{self.account['exchange']}:{trade['symbol']}"
        order_id = order_id_at_venue(self.account["id"], instrument, name, str(trade.get("order") or ""))
        if order_id is None or (await self._context.load(ORDER, order_id)).state is None:
            log.warning("trade of an order that is not known", client_order_id=name)
            return
        try:
            fill = execution(trade)
        except Unreadable as error:
            log.warning("trade not read", reason=str(error))
            return
        report = VenueReport(
            account_id=self.account["id"],
            outcome="fill",
            source="stream",
            order_id=order_id,
            client_order_id=name,
            venue_order_id=str(trade.get("order") or ""),
            instrument=instrument,
            execution=fill,
            venue_time=fill.time,
        )
        await publish_told(self._context.fresh(), self.account["user_id"], [report])

    async def balance(self, balance: Structure) -> None:
        """Balances as ccxt tells them; what comes without the free part waits for the next comparison."""
        free = {asset: amount for asset, amount in (balance.get("free") or {}).items() if amount is not None}
        totals = {asset: amount for asset, amount in (balance.get("total") or {}).items() if asset in free}
        if not totals:
            return
        try:
            told = balances({"total": totals, "free": free})
        except Unreadable as error:
            log.warning("balance update not read", reason=str(error))
            return
        report = BalanceReport(
            account_id=self.account["id"],
            user_id=self.account["user_id"],
            exchange=self.account["exchange"],
            balances=tuple(
                VenueBalance(asset=one.asset, total=one.total, available=one.available) for one in told.values()
            ),
            complete=False,
            source="stream",
            as_of=self._context.now(),
        )
        await publish_told(self._context.fresh(), self.account["user_id"], [report])


def _tells_fills(state: OrderState, order: Order) -> bool:
    """Whether everything that is filled is known, or told along."""
    new = sum(one.quantity for one in state.executions if one.trade_id not in order.trade_ids)
    return order.filled_quantity + new >= state.filled_quantity


def _client_order_id(trade: Structure) -> str:
    info = trade.get("info")
    told = info if isinstance(info, Mapping) else {}
    return str(trade.get("clientOrderId") or told.get("c") or told.get("orderLinkId") or "")
