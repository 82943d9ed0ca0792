"""Keep the read models. Rule: a row is a fold of one stream and carries its version, so order and repetition of
deliveries do not matter: an older version never replaces a newer one. Each version is written by its own event.
"""

from collections.abc import Mapping
from typing import Any

from functions.portfolio_projection.metrics import measure_days
from functions.portfolio_projection.snapshots import take_snapshots
from patriot.domain.position import position_id
from patriot.runtime.aggregates import ORDER, POSITION, TRANSFER
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Context, Function
from patriot.runtime.kept import forget
from patriot.runtime.projections import order_row, position_row, trade_row, transfer_row
from patriot.store.api import Row
from patriot.telemetry.metrics import metrics as measured
from schemas.events import (
    EVENTS,
    AccountBalanceAdjusted,
    AccountEvent,
    AccountFunded,
    OrderEvent,
    PositionUpdated,
)
from schemas.reports import BalanceReport
from schemas.settlement_events import TransferEvent
from schemas.topics import ACCOUNT_EVENTS, ORDER_EVENTS

function = Function("portfolio-projection", shows=True)

TRANSFER_TYPES = tuple(kind for kind in EVENTS.values() if issubclass(kind, TransferEvent))
ORDER_TYPES = tuple(kind for kind in EVENTS.values() if issubclass(kind, OrderEvent))


@function.on(ORDER_EVENTS, *ORDER_TYPES, newest=True)
async def project_order(event: OrderEvent, context: Context) -> None:
    """The order's row as of its newest event; an older event has nothing to add."""
    loaded = await context.load(ORDER, event.order_id)
    assert loaded.state is not None
    if _newest(loaded.version, context):
        await context.write([order_row(loaded.state)])
    await forget(context, event.user_id)
    _shown("orders", context)


@function.on(ACCOUNT_EVENTS, PositionUpdated)
async def project_position(event: PositionUpdated, context: Context) -> None:
    """The position's row as of its newest event, and the trade that moved it."""
    loaded = await context.load(POSITION, position_id(event.account_id, event.instrument))
    assert loaded.state is not None
    assert context.event is not None
    rows = [trade_row(event, context.event.time)]
    rows += [position_row(loaded.state)] if _newest(loaded.version, context) else []
    await context.write(rows)
    await forget(context, event.user_id)
    _shown("positions", context)


@function.on(ACCOUNT_EVENTS, AccountFunded, AccountBalanceAdjusted)
async def forget_balances(event: AccountEvent, context: Context) -> None:
    """The balances lie in the commit of the event; what was kept of them is old."""
    await forget(context, event.user_id)


@function.on(ACCOUNT_EVENTS, *TRANSFER_TYPES)
async def project_transfer(event: TransferEvent, context: Context) -> None:
    """The transfer's row as of its newest event."""
    loaded = await context.load(TRANSFER, event.transfer_id)
    assert loaded.state is not None
    if _newest(loaded.version, context):
        await context.write([transfer_row(loaded.state)])
    await forget(context, event.user_id)


@function.on(ACCOUNT_EVENTS, BalanceReport)
async def project_balances(report: BalanceReport, context: Context) -> None:
    """What the venue says it holds; what the platform says lies in `buying_power`."""
    version = int(report.as_of.timestamp() * 1000)
    rows = [Row("account_balances", _balance(report, balance.model_dump(), version)) for balance in report.balances]
    await context.write(rows)


@function.every("snapshot_seconds")
async def snapshots(context: RequestContext) -> None:
    """Sample what every account is worth."""
    await take_snapshots(context)


@function.every("metrics_seconds")
async def metrics(context: RequestContext) -> None:
    """Renew every user's performance of the day."""
    await measure_days(context)


def _shown(projection: str, context: RequestContext) -> None:
    """How old an event was when its row could be read."""
    if context.event is not None:
        seconds = (context.now() - context.event.time).total_seconds()
        measured.read_model_lag_seconds(projection).set(seconds)


def _newest(version: int, context: RequestContext) -> bool:
    return context.event is not None and context.event.streamversion >= version


def _balance(report: BalanceReport, balance: Mapping[str, Any], version: int) -> dict[str, Any]:
    return {
        "account_id": report.account_id,
        "asset": balance["asset"],
        "total": balance["total"],
        "free": balance["available"],
        "used": balance["total"] - balance["available"],
        "updated_at": report.as_of,
        "stream_version": version,
    }


app = function.app
