"""What must hold of every platform at rest, whatever happened to it. Each check returns what is wrong, or raises."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID

from feeds.venue.exchange import Exchange
from patriot.domain.balances import changes_of
from patriot.domain.money import ZERO
from patriot.domain.order import Order
from patriot.store.api import Query, Store
from schemas.events import MoneyEvent, OrderCreated
from schemas.upcasters import decode_event


async def check_books(store: Store) -> None:
    """The ledger sums to zero per asset, and buying power is the sum over the events."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in await rows(store, "ledger_entries"):
        sums[row["asset"]] += row["amount"]
    assert not any(sums.values()), f"the ledger is off: {dict(sums)}"
    told: dict[tuple[UUID, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO, ZERO])
    async for recorded in store.read():
        event = decode_event(recorded.type, recorded.schema_version, recorded.data)
        for delta in changes_of(event) if isinstance(event, MoneyEvent) else ():
            entry = told[delta.account_id, delta.asset]
            for index, amount in enumerate((delta.total, delta.reserved, delta.margin)):
                entry[index] += amount
    kept = {
        (row["account_id"], row["asset"]): [row["total"], row["reserved"], row["margin"]]
        for row in await rows(store, "buying_power")
    }
    assert kept == dict(told)


async def check_against_venue(store: Store, exchange: Exchange, account_id: str) -> None:
    """Trades, positions and cash are the venue's, each exactly once; every name is used once there."""
    account = exchange.account(account_id)
    names = Counter(order.client_order_id for order in exchange.orders(account))
    assert not [name for name, count in names.items() if count > 1]
    mine = {"account_id": UUID(account_id)}
    trades = [(row["trade_id"], row["quantity"], row["price"], row["fee"]) for row in await rows(store, "trades", mine)]
    theirs = [(str(fill.trade_id), fill.quantity, fill.price, fill.fee) for fill in exchange.trades(account)]
    assert sorted(trades) == sorted(theirs)
    positions = {row["instrument"]: row["quantity"] for row in await rows(store, "positions", mine) if row["quantity"]}
    assert positions == {one.instrument.id: one.size for one in exchange.positions(account)}
    cash = {row["asset"]: row["total"] for row in await rows(store, "buying_power", mine)}
    assert cash == {one.asset: one.total for one in exchange.balances(account, "spot")}


def check_order(order: Order, exchange: Exchange) -> None:
    """The order stands as the venue says; the venue never heard of a rejected one, or refused it."""
    account = exchange.account(str(order.account_id))
    found = account.by_client_id.get((order.instrument, order.client_order_id))
    assert order.status not in {"pending", "submitted", "unknown"}, order
    assert not order.pending_cancel, order
    assert order.pending_modify is None, order
    if found is None:
        assert order.status in {"rejected", "cancelled"}, order
        assert not order.filled_quantity
        return
    theirs = "accepted" if found.status.value == "new" else found.status.value
    assert (order.status, order.filled_quantity) == (theirs, found.filled)
    assert (order.quantity, order.price) == (found.quantity, found.price)


async def check_once(store: Store, expected_orders: int) -> None:
    """As many orders as were asked for."""
    created = 0
    async for recorded in store.read(kinds=("order",)):
        created += recorded.type == OrderCreated.TYPE
    assert created == expected_orders


async def rows(store: Store, table: str, where: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in await store.find(Query(table, None, where or {}, limit=10_000_000))]
