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

EPSILON = Decimal("1e-12")  # an average price is rounded


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
    """Trades, positions and worth are the venue's."""
    account, mine = exchange.account(account_id), {"account_id": UUID(account_id)}
    fields = ("trade_id", "quantity", "price", "fee")
    trades = Counter(tuple(row[name] for name in fields) for row in await rows(store, "trades", mine))
    theirs = Counter((str(one.trade_id), one.quantity, one.price, one.fee) for one in exchange.trades(account))
    watch.require(trades == theirs, f"trades {trades - theirs} and {theirs - trades} differ")
    sizes = {one.instrument.id: (one.size, one.entry_price) for one in exchange.positions(account)}
    contracts = {one.id: one.settle for one in exchange.instruments if one.kind != "spot"}
    held = {
        row["instrument"]: (row["quantity"], row["average_price"])
        for row in await rows(store, "positions", mine)
        if row["quantity"] and row["instrument"] in contracts
    }
    ours, told = ({name: size for name, (size, _) in one.items()} for one in (held, sizes))
    watch.require(ours == told, f"positions {ours} are {told} at the venue")
    cash = {row["asset"]: row["total"] for row in await rows(store, "buying_power", mine)}
    for balance in exchange.balances(account, "spot"):
        # fills that arrive out of order book their profit at other moments: what all is worth is the same
        worth = cash[balance.asset] - _cost(held, contracts, balance.asset)
        theirs_worth = balance.total - _cost(sizes, contracts, balance.asset)
        same = abs(worth - theirs_worth) < EPSILON
        watch.require(same, f"{balance.asset}: {worth}, at the venue {theirs_worth}")


def _cost(held: dict[str, tuple[Decimal, Decimal]], contracts: dict[str, str], asset: str) -> Decimal:
    """What the open contracts that settle in `asset` have cost."""
    return sum((size * price for name, (size, price) in held.items() if contracts[name] == asset), Decimal(0))


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
    """A row whose equal numbers look equal."""
    return repr({name: value.normalize() if isinstance(value, Decimal) else value for name, value in row.items()})
