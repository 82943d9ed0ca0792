"""A hundred thousand events, folded twice. Rule: the read models of a rebuild are equal to the byte to those that were
written as the events happened, and to those of a second rebuild.

Orders, fills, positions, transfers and strategies, written as the platform writes them: each decision with its rows.
"""

import hashlib
import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from patriot.domain import transfer
from patriot.domain.account import Account, fund
from patriot.domain.money import plain
from patriot.domain.order_commands import create
from patriot.domain.position import apply_fill, position_id
from patriot.domain.risk.reservation import Reservation
from patriot.runtime.aggregates import ACCOUNT, ORDER, POSITION, STRATEGY, TRANSFER
from patriot.runtime.decision import Change, Loaded, after, writes_of
from patriot.runtime.projections import order_row, position_row, strategy_rows, trade_row, transfer_row
from patriot.runtime.rebuild import Rebuild
from patriot.store.api import Commit, Origin, Query, StreamId
from patriot.store.memory import MemoryStore
from patriot.store.tables import TABLES
from schemas.commands import CreateOrder
from schemas.events import AccountLinked, OrderAccepted, OrderFilled, OrderRouted, OrderSubmitStarted
from schemas.strategy_events import StrategyAssigned, StrategyDeployed, StrategyPaused, StrategyStarted
from tests.support.host import PERPETUAL, SPOT, TENANT

EVENTS = int(os.environ.get("PATRIOT_REPLAY_EVENTS", "100000"))
SEED = int(os.environ.get("PATRIOT_SEED", "18"))
START = datetime(2026, 1, 1, tzinfo=UTC)


class History:
    """Writes what happens and its rows, in commits of many streams."""

    def __init__(self):
        self.random = random.Random(SEED)
        self.store = MemoryStore(lambda: self.now)
        self.now = START
        self.accounts = [Account(self.uuid(), self.uuid(), "BINANCE", "paper", "main") for _ in range(20)]
        self.states = {}
        self.events = self.commits = 0

    def uuid(self):
        return UUID(int=self.random.getrandbits(128))

    def loaded(self, aggregate, identifier):
        stream = StreamId(TENANT, aggregate.kind, identifier)
        version, state = self.states.get(stream, (0, None))
        return Loaded(aggregate, stream, version, state)

    async def happen(self, changes, rows_of):
        """One commit, with the rows of the states after it."""
        self.now += timedelta(milliseconds=self.random.randrange(1, 900))
        self.commits += 1
        origin = Origin(TENANT, "service:test", f"req_{self.commits}_00000000")
        appends, balances, rows = writes_of(changes, self.now)
        states = after(changes, self.now)
        for loaded, version, state in states:
            self.states[loaded.stream] = (version, state)
        shown = [row for _, _, state in states for row in rows_of(state, self.now)]
        self.events += sum(len(change.events) for change in changes)
        await self.store.commit(Commit(origin, self.now, appends, balances, [*rows, *shown], publish=False))

    async def order(self):
        """An order from its creation to its fill: six events in five commits."""
        account, instrument = self.random.choice(self.accounts), self.random.choice((PERPETUAL, SPOT))
        order_id, side = self.uuid(), self.random.choice(("buy", "sell"))
        quantity = instrument.lot_size * self.random.randrange(1, 500)
        price = instrument.tick_size * self.random.randrange(100_000, 900_000)
        command = CreateOrder.model_construct(
            account_id=account.account_id, instrument=instrument.id, side=side, quantity=quantity, price=price
        )
        reservation = Reservation("USDT", Decimal(0))
        created = create(command, order_id=order_id, user_id=account.user_id, reservation=reservation, limits_version=0)
        names = {"account_id": account.account_id, "order_id": order_id, "user_id": account.user_id}
        client_id = created[0].client_order_id
        fill = OrderFilled(
            **names,
            trade_id=str(order_id)[:8],
            price=price,
            quantity=quantity,
            fee=Decimal("0.123"),
            fee_asset=self.random.choice(("USDT", "BNB")),
            liquidity="maker",
            filled_quantity=quantity,
        )
        steps = (
            created,
            [OrderRouted(**names, route="paper")],
            [OrderSubmitStarted(**names, attempt=1, client_order_id=client_id)],
            [OrderAccepted(**names, venue_order_id="v")],
        )
        for events in steps:
            await self.happen([Change(self.loaded(ORDER, order_id), events)], lambda state, _: [order_row(state)])
        held = self.loaded(POSITION, position_id(account.account_id, instrument.id))
        update = apply_fill(held.state, fill, side=side, instrument=instrument)
        changes = [Change(self.loaded(ORDER, order_id), [fill]), Change(held, [update])]
        await self.happen(changes, lambda state, when: self.filled(state, update, when))

    def filled(self, state, update, when):
        if hasattr(state, "order_id"):
            return [order_row(state)]
        return [position_row(state), trade_row(update, when)]

    async def transfer(self):
        account = self.random.choice(self.accounts)
        transfer_id = self.uuid()
        amount = Decimal(self.random.randrange(1, 10**6)) / 1000
        asked = transfer.request(transfer_id, account, "withdrawal", asset="USDT", amount=amount, approvals_needed=1)
        await self.happen([Change(self.loaded(TRANSFER, transfer_id), asked)], lambda state, _: [transfer_row(state)])
        steps = (
            lambda state: transfer.approve(state, UUID(int=5)),
            transfer.send,
            lambda state: transfer.arrive(state, None),
        )
        for step in steps:
            loaded = self.loaded(TRANSFER, transfer_id)
            await self.happen([Change(loaded, step(loaded.state))], lambda state, _: [transfer_row(state)])

    async def strategy(self):
        account = self.random.choice(self.accounts)
        strategy_id = self.uuid()
        names = {"strategy_id": strategy_id, "user_id": account.user_id}
        deployed = StrategyDeployed(
            **names, kind="grid", name="maker", instruments=(PERPETUAL.id,), parameters='{"levels":2}'
        )
        assigned = [
            StrategyAssigned(**names, account_id=one.account_id, owner_id=one.user_id)
            for one in self.random.sample(self.accounts, 2)
        ]
        for events in ([deployed, *assigned], [StrategyStarted(**names)], [StrategyPaused(**names)]):
            loaded = self.loaded(STRATEGY, strategy_id)
            await self.happen([Change(loaded, events)], lambda state, _: strategy_rows(state))

    async def open(self):
        """Rich accounts: no history ends for want of money."""
        for account in self.accounts:
            names = {"account_id": account.account_id, "user_id": account.user_id}
            linked = AccountLinked(**names, exchange=account.exchange, mode=account.mode, label=account.label)
            funded = fund(account, "USDT", Decimal(10) ** 12)
            change = Change(self.loaded(ACCOUNT, account.account_id), [linked, *funded])
            await self.happen([change], lambda *_: [])

    async def run(self, events):
        await self.open()
        while self.events < events:
            happening = self.random.choices((self.order, self.transfer, self.strategy), weights=(20, 2, 1))[0]
            await happening()


async def hashes(store):
    """Of every table that a rebuild empties."""
    found = {}
    for table in TABLES.values():
        if table.disposable:
            rows = await store.find(Query(table.name, None, limit=10**7))
            listed = sorted(repr(sorted((name, _text(value)) for name, value in row.items())) for row in rows)
            found[table.name] = (len(rows), hashlib.sha256("\n".join(listed).encode()).hexdigest())
    return found


def _text(value):
    """As the database would send it: a number has no trailing zeros."""
    return plain(value) if isinstance(value, Decimal) else str(value)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("P2", "A6")
async def test_rebuilt_rows_are_equal_to_the_byte():
    history = History()
    await history.run(EVENTS)
    before = await hashes(history.store)
    rebuilt = await Rebuild(history.store).run(START)
    once = await hashes(history.store)
    again = await Rebuild(history.store).run(START)
    print(
        f"seed {SEED}: {rebuilt} events, {history.commits} commits; rows", {name: one[0] for name, one in once.items()}
    )
    assert rebuilt == again == history.events >= EVENTS
    differing = [name for name in before if name != "quotas" and before[name] != once[name]]  # no limit was asked
    assert not differing
    assert once == await hashes(history.store)
    assert all(once[name][0] for name in ("orders", "positions", "trades", "ledger_entries", "transfers", "strategies"))
