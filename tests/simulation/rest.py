"""What must hold when everything has come to rest: platform, venue and events tell the same."""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from feeds.venue.exchange import Exchange
from patriot.runtime.rebuild import Rebuild
from patriot.store.memory import MemoryStore
from patriot.store.tables import TABLES
from tests.chaos.books import check_books, rows
from tests.simulation.watch import Watch

EPSILON = Decimal("1e-12")  # a part of a cost is rounded


async def check_store(store: MemoryStore, watch: Watch) -> None:
    """Nothing open reserves nothing; nobody refused a good message; the books balance."""
    watch.problems += [f"dead letter: {row['id']}" for row in await rows(store, "dead_letters")]
    for row in await rows(store, "buying_power"):
        held = f"{row['reserved']} {row['asset']}"
        watch.require(not row["reserved"], f"{held} stay reserved although nothing is open")
    try:
        await check_books(store)
    except AssertionError as error:
        watch.problems.append(f"books: {error}")


async def check_account(store: MemoryStore, exchange: Exchange, account_id: str, watch: Watch) -> None:
    """Trades, positions and balances are the venue's, whatever way and order they were told in."""
    account, mine = exchange.account(account_id), {"account_id": UUID(account_id)}
    fields = ("trade_id", "quantity", "price", "fee")
    trades = Counter(tuple(row[name] for name in fields) for row in await rows(store, "trades", mine))
    theirs = Counter((str(one.trade_id), one.quantity, one.price, one.fee) for one in exchange.trades(account))
    watch.require(trades == theirs, f"trades {trades - theirs} and {theirs - trades} differ")
    contracts = {one.id for one in exchange.instruments if one.kind != "spot"}
    ours = {
        row["instrument"]: (row["quantity"], _shown(row["average_price"]))
        for row in await rows(store, "positions", mine)
        if row["quantity"] and row["instrument"] in contracts
    }
    told = {one.instrument.id: (one.size, _shown(one.entry_price)) for one in exchange.positions(account)}
    watch.require(ours == told, f"positions {ours} are {told} at the venue")
    cash = {row["asset"]: row["total"] for row in await rows(store, "buying_power", mine)}
    for balance in exchange.balances(account, "spot"):
        same = abs(cash[balance.asset] - balance.total) < EPSILON
        watch.require(same, f"{balance.asset}: {cash[balance.asset]}, at the venue {balance.total}")


def _shown(price: Decimal) -> Decimal:
    return round(price, 9)


async def check_rebuild(store: MemoryStore, now: datetime, watch: Watch) -> None:
    """Folding everything anew gives the same read models."""
    names = [table.name for table in TABLES.values() if table.disposable]
    before = {name: await rows(store, name) for name in names}
    await Rebuild(store).run(now)
    for name in names:
        after = await rows(store, name)
        same = sorted(map(_text, before[name])) == sorted(map(_text, after))
        watch.require(same, f"{name} is not what the events say")


def _text(row: dict[str, Any]) -> str:
    """A row whose equal values look equal: as an event was made, or as it was read again."""
    return repr({name: _same(value) for name, value in row.items()})


def _same(value: object) -> object:
    if isinstance(value, Decimal):
        return value.normalize()
    return value.isoformat() if isinstance(value, datetime) else value
