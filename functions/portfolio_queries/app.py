"""Read back what a user owns and did. Rule: only the user's own; what is another's is not told from what is missing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import orjson
from fastapi import Path
from fastapi import Query as Parameter

from functions.portfolio_queries.tax import flows_of, lots_of
from patriot.domain.account import account_view_of
from patriot.domain.money import ZERO
from patriot.domain.order import Order
from patriot.domain.risk.level import level_id
from patriot.domain.worth import TOTAL, Market, holdings
from patriot.runtime.aggregates import ORDER, USER
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Context, Function
from patriot.runtime.kept import PORTFOLIO_CLOSED_SECONDS, PORTFOLIO_SECONDS, kept
from patriot.runtime.problem import not_found
from patriot.runtime.valuation import CURRENCY, current_market
from patriot.store.api import Query, RecordedEvent, StreamId
from patriot.telemetry.correlation import CORRELATION_FORM
from schemas.portfolio_queries import FlowPage, HeldView, LotPage
from schemas.queries import (
    BalanceView,
    EventPage,
    EventView,
    OrderPage,
    OrderView,
    PortfolioView,
    PositionView,
    PricePage,
    PriceView,
    TradePage,
    TradeView,
)
from schemas.types import InstrumentId, OrderStatus

function = Function("portfolio-queries")

POSITION_ROW = ("account_id", "instrument", "quantity", "average_price", "realised_pnl", "fees", "leverage")

Currency = Annotated[str, Parameter(pattern=r"^[A-Z0-9]{2,20}$")]
Rows = Sequence[Mapping[str, Any]]
Limit = Annotated[int, Parameter(ge=1, le=1000)]
CorrelationId = Annotated[str, Path(pattern=f"^{CORRELATION_FORM}$")]
After = Annotated[int, Parameter(ge=0, le=2**63 - 1)]
VERSION_MAX = 2**31 - 1
Kind = Literal["order", "position", "account", "user", "algorithm", "strategy", "transfer", "risk"]
Statuses = Annotated[
    str,
    Parameter(pattern=f"^({'|'.join(get_args(OrderStatus))})(,({'|'.join(get_args(OrderStatus))}))*$"),
]
"""One status or several, separated by commas."""


@function.get("/orders", needs="orders:read")
async def list_orders(
    context: Context,
    account_id: UUID | None = None,
    list_id: UUID | None = None,
    status: Statuses | None = None,
    limit: Limit = 100,
) -> OrderPage:
    """The caller's orders, newest first."""
    where: dict[str, Any] = {"user_id": context.user.user_id}
    where |= {"list_id": list_id} if list_id else {}
    where |= {"account_id": account_id} if account_id else {}
    where |= {"status": status.split(",")} if status else {}
    rows = await context.find("orders", where, ["-created_at"], limit)
    return OrderPage(orders=tuple(_order_view(row) for row in rows))


@function.get("/orders/{order_id}", needs="orders:read")
async def show_order(order_id: UUID, context: Context) -> OrderView:
    """One order as of its newest event; the read model may be a moment behind this."""
    loaded = await context.load(ORDER, order_id)
    if loaded.state is None or loaded.state.user_id != context.user.user_id:
        raise not_found("order", order_id)
    return _view_of(loaded.state)


@function.get("/trades", needs="portfolio:read")
async def list_trades(context: Context, account_id: UUID | None = None, limit: Limit = 100) -> TradePage:
    """The caller's executions, newest first."""
    where = {"account_id": await _account_ids(context, account_id)}
    rows = await context.find("trades", where, ["-executed_at"], limit)
    return TradePage(trades=tuple(_trade_view(row) for row in rows))


@function.get("/portfolio", needs="portfolio:read")
async def portfolio(context: Context, currency: Currency | None = None) -> PortfolioView:
    """Accounts, balances, positions and what they are worth, in `currency` or that of the caller's profile."""
    accounts = await context.find("user_accounts", {"user_id": context.user.user_id}, ["created_at"])
    market = await current_market(context, await _currency(context, currency))
    held = await _held(context, [account["id"] for account in accounts], market)
    positions = [position.model_dump() for position in held.positions]
    return PortfolioView(
        accounts=tuple(account_view_of(account) for account in accounts),
        balances=held.balances,
        positions=tuple(_position_view(row, market) for row in positions),
        equity=_equity([balance.model_dump() for balance in held.balances], positions, market),
        currency=market.currency,
        as_of=context.now(),
    )


@function.get("/portfolio/lots", needs="portfolio:read", report=True)
async def lots(context: Context, account_id: UUID | None = None) -> LotPage:
    """The caller's lots for tax, first in first out, and every disposal."""
    return await lots_of(context, await _account_ids(context, account_id))


@function.get("/portfolio/flows", needs="portfolio:read", report=True)
async def flows(context: Context, account_id: UUID | None = None) -> FlowPage:
    """Where the caller's money came from and went: transfers, profits, fees, funding, and what is invested."""
    return await flows_of(context, await _account_ids(context, account_id))


@function.get("/prices", needs=None)
async def prices(context: Context, instrument: InstrumentId | None = None) -> PricePage:
    """The newest price of every instrument that a feed is following."""
    ids = [instrument] if instrument else sorted(await _instrument_ids(context))
    views = [await _price_view(identifier, context) for identifier in ids]
    return PricePage(prices=tuple(view for view in views if view))


@function.get("/events/{aggregate_id}", needs="orders:read")
async def events(aggregate_id: UUID, context: Context, kind: Kind = "order", after: After = 0) -> EventPage:
    """The stored events of one of the caller's aggregates. Of kind risk: limits, halts and alerts at the level of an
    account, or of the user, by its id, and the orders that were refused; `version` is then the place among all events.
    """
    if kind == "risk":
        recorded = await _risk_events(aggregate_id, after, context)
    else:
        stream = StreamId(context.tenant_id, kind, aggregate_id)
        recorded = await context.runtime.store.load(stream, min(after, VERSION_MAX))
    views = [
        _event_view(event, aggregate_id, event.position if kind == "risk" else event.version) for event in recorded
    ]
    if not all(_is_own(view, context) for view in views):
        raise not_found(kind, aggregate_id)
    return EventPage(events=tuple(views))


@function.get("/trace/{correlation_id}", needs="orders:read")
async def trace(correlation_id: CorrelationId, context: Context) -> EventPage:
    """What one request of the caller, or what a part did by itself for the caller, has made durable."""
    recorded = await context.runtime.store.caused_by(context.tenant_id, correlation_id)
    views = [_event_view(event, event.stream.id, event.version) for event in recorded]
    return EventPage(events=tuple(view for view in views if _is_own(view, context)))


def _event_view(event: RecordedEvent, aggregate_id: UUID, version: int) -> EventView:
    return EventView(
        aggregate_id=aggregate_id,
        version=version,
        type=event.type,
        occurred_at=event.occurred_at,
        correlation_id=event.origin.correlation_id,
        actor=event.origin.actor,
        data=orjson.loads(event.data),
    )


def _is_own(view: EventView, context: RequestContext) -> bool:
    return view.data.get("user_id") == str(context.user.user_id)


async def _risk_events(named: UUID, after: int, context: RequestContext) -> Sequence[RecordedEvent]:
    """What has changed at a level, and the newest refusals there, in order of position."""
    store, own = context.runtime.store, named == context.user.user_id
    scope = f"user:{named}" if own else f"account:{named}"
    level = await store.load(StreamId(context.tenant_id, "risk", level_id(scope)))
    refused = () if own else await store.refused_orders(context.tenant_id, named, after)
    found = [*(event for event in level if event.position > after), *refused]
    return sorted(found, key=lambda event: event.position)


async def _held(context: RequestContext, accounts: Sequence[UUID], market: Market) -> HeldView:
    """What the rows say, kept for 30 s, or for 300 s while none of the positions has a market that tells prices."""

    async def make(context: RequestContext) -> HeldView:
        where = {"account_id": list(accounts)}
        balances = await context.find("buying_power", where, ["account_id", "asset"])
        rows = await context.find("positions", where, ["account_id", "instrument"])
        unmarked = {"mark_price": None, "unrealised_pnl": None}
        positions = [PositionView(**unmarked, **{name: row[name] for name in POSITION_ROW}) for row in rows]
        return HeldView(balances=tuple(_balance_view(row) for row in balances), positions=tuple(positions))

    def seconds(held: HeldView) -> float:
        is_open = not held.positions or any(one.instrument in market.marks for one in held.positions)
        return PORTFOLIO_SECONDS if is_open else PORTFOLIO_CLOSED_SECONDS

    name = "portfolio:" + ",".join(map(str, accounts))
    return await kept(context, name, context.user.user_id, HeldView, make=make, seconds=seconds)


def _position_view(row: Mapping[str, Any], market: Market) -> PositionView:
    told = {"mark_price": market.marks.get(row["instrument"]), "unrealised_pnl": market.profit(row)}
    return PositionView(**(dict(row) | told))


def _equity(balances: Rows, positions: Rows, market: Market) -> Decimal | None:
    """Of all accounts; None where a price that it needs is unknown or stale."""
    totals = [one.value for one in holdings(balances, positions, market) if one.name == TOTAL]
    known = [value for value in totals if value is not None]
    return sum(known, ZERO) if len(known) == len(totals) else None


async def _currency(context: RequestContext, wanted: str | None) -> str:
    """The one that is asked for, else that of the caller's profile."""
    if wanted is not None:
        return wanted
    user = (await context.load(USER, context.user.user_id)).state
    return user.base_currency if user else CURRENCY


async def _account_ids(context: RequestContext, account_id: UUID | None) -> list[UUID]:
    if account_id is not None:
        await context.own_account(account_id)
        return [account_id]
    rows = await context.find("user_accounts", {"user_id": context.user.user_id})
    return [row["id"] for row in rows]


async def _instrument_ids(context: RequestContext) -> list[str]:
    rows = await context.runtime.store.find(Query("instruments", None, {}, ["id"]))
    return [row["id"] for row in rows]


async def _price_view(instrument: str, context: RequestContext) -> PriceView | None:
    price = await context.price(instrument)
    if price is None:
        return None
    return PriceView.model_validate(price.model_dump(exclude={"mark"}))


def _order_view(row: Mapping[str, Any]) -> OrderView:
    names = OrderView.model_fields.keys() - {"order_id", "order_type", "version", "emulated", "waits_for", "trailing"}
    values = {name: row[name] for name in names}
    values["emulated"] = tuple(filter(None, (row["emulated"] or "").split(",")))
    values |= {"waits_for": row["waits_for"] or "", "trailing": row["trail"]}
    return OrderView(order_id=row["id"], order_type=row["type"], version=row["stream_version"], **values)


def _view_of(order: Order) -> OrderView:
    names = OrderView.model_fields.keys() - {"fees"}
    return OrderView(fees=sum(order.fees.values(), ZERO), **{name: getattr(order, name) for name in names})


def _trade_view(row: Mapping[str, Any]) -> TradeView:
    names = TradeView.model_fields.keys() - {"time"}
    return TradeView(time=row["executed_at"], **{name: row[name] for name in names})


def _balance_view(row: Mapping[str, Any]) -> BalanceView:
    names = ("account_id", "asset", "total", "reserved", "margin")
    available = row["total"] - row["reserved"] - row["margin"]
    return BalanceView(available=available, **{name: row[name] for name in names})


app = function.app
