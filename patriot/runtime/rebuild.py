"""Empties the read models and folds every event again. Rule: the result equals what was there, or there was a bug.

Reads the event store once, in order of position, with every open aggregate in memory; writes in batches.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.balances import changes_of
from patriot.domain.leverage import in_use
from patriot.domain.money import EXACT, ZERO
from patriot.domain.quotas import difference
from patriot.runtime.aggregates import ALGORITHM, ORDER, POSITION, STRATEGY, TRANSFER
from patriot.runtime.decision import ledger_rows
from patriot.runtime.projections import (
    algorithm_row,
    order_row,
    position_row,
    strategy_rows,
    trade_row,
    transfer_row,
)
from patriot.store.api import BalanceChange, Commit, Origin, QuotaChange, RecordedEvent, Row, Store, StreamId
from schemas.algorithm_events import AlgorithmEvent
from schemas.events import AccountLeverageChanged, MoneyEvent, OrderEvent, PositionUpdated
from schemas.settlement_events import TransferEvent
from schemas.strategy_events import StrategyEvent
from schemas.upcasters import decode_event

BATCH_ROWS = 2000

Progress = Callable[[int], None]
"""Called with the number of events read so far."""

_Key = tuple[UUID, UUID, str]


@dataclass(slots=True)
class Rebuild:
    """One run. `balances` sums every change of (tenant, account, asset)."""

    store: Store
    states: dict[StreamId, tuple[int, Any]] = field(default_factory=dict)
    rows: dict[tuple[str, object], tuple[Origin, Row]] = field(default_factory=dict)
    balances: dict[_Key, list[Decimal]] = field(default_factory=dict)
    origins: dict[_Key, Origin] = field(default_factory=dict)  # who changed a balance last
    quotas: dict[_Key, Decimal] = field(default_factory=dict)
    quota_origins: dict[_Key, Origin] = field(default_factory=dict)
    events: int = 0

    async def run(self, now: datetime, progress: Progress = lambda _: None) -> int:
        """Rebuild everything; returns the number of events."""
        await self.store.clear_read_models()
        async for recorded in self.store.read():
            self._take(recorded)
            self.events += 1
            if len(self.rows) >= BATCH_ROWS:
                await self._write(now)
                progress(self.events)
        await self._write(now)
        await self._write_balances(now)
        progress(self.events)
        return self.events

    def _take(self, recorded: RecordedEvent) -> None:
        event = decode_event(recorded.type, recorded.schema_version, recorded.data)
        if isinstance(event, MoneyEvent):
            self._sum(recorded.origin, event)
            for row in ledger_rows(event, recorded.stream.id, recorded.version, recorded.occurred_at):
                self._put(recorded, (row.values["posting_id"], row.values["entry_no"]), row)
        if isinstance(event, OrderEvent):
            self._put(recorded, recorded.stream.id, order_row(self._fold(ORDER, recorded, event)))
        elif isinstance(event, AlgorithmEvent):
            self._put(recorded, recorded.stream.id, algorithm_row(self._fold(ALGORITHM, recorded, event)))
        elif isinstance(event, PositionUpdated):
            self._put(recorded, recorded.stream.id, position_row(self._fold(POSITION, recorded, event)))
            self._put(recorded, (recorded.stream.id, recorded.version), trade_row(event, recorded.occurred_at))
        elif isinstance(event, TransferEvent):
            self._put(recorded, recorded.stream.id, transfer_row(self._fold(TRANSFER, recorded, event)))
        elif isinstance(event, StrategyEvent):
            for row in strategy_rows(self._fold(STRATEGY, recorded, event)):
                self._put(recorded, row.values["id"], row)
        elif isinstance(event, AccountLeverageChanged):
            self._asked(recorded.origin, event)

    def _fold(self, aggregate: Any, recorded: RecordedEvent, event: object) -> Any:
        _, before = self.states.get(recorded.stream, (0, None))
        state = aggregate.fold(before, event, recorded.version, recorded.occurred_at)
        for name, change in difference(before, state).items():
            key = (recorded.origin.tenant_id, state.account_id, name)
            self.quotas[key] = EXACT.add(self.quotas.get(key, ZERO), change)
            self.quota_origins[key] = recorded.origin
        self.states[recorded.stream] = (recorded.version, state)
        return state

    def _asked(self, origin: Origin, event: AccountLeverageChanged) -> None:
        """The change has asked whether anything is open; a quota that is asked begins at zero."""
        for name in in_use(event.instrument):
            key = (origin.tenant_id, event.account_id, name)
            self.quotas.setdefault(key, ZERO)
            self.quota_origins[key] = origin

    def _put(self, recorded: RecordedEvent, key: object, row: Row) -> None:
        self.rows[row.table, key] = (recorded.origin, row)  # the newest of a batch is all that counts

    def _sum(self, origin: Origin, event: MoneyEvent) -> None:
        for delta in changes_of(event):
            key = (origin.tenant_id, delta.account_id, delta.asset)
            self.origins[key] = origin
            sums = self.balances.setdefault(key, [ZERO, ZERO, ZERO])
            for index, amount in enumerate((delta.total, delta.reserved, delta.margin)):
                sums[index] = EXACT.add(sums[index], amount)

    async def _write(self, now: datetime) -> None:
        by_origin: dict[Origin, list[Row]] = {}
        for origin, row in self.rows.values():
            by_origin.setdefault(origin, []).append(row)
        for origin, rows in by_origin.items():
            await self.store.commit(Commit(origin, now, rows=rows, publish=False))
        self.rows.clear()

    async def _write_balances(self, now: datetime) -> None:
        for key, (total, reserved, margin) in self.balances.items():
            _, account_id, asset = key
            change = BalanceChange(account_id, asset, total, reserved, margin)
            await self.store.commit(Commit(self.origins[key], now, balances=[change], publish=False))
        for key, used in self.quotas.items():
            quota = QuotaChange(key[1], key[2], used)
            await self.store.commit(Commit(self.quota_origins[key], now, quotas=[quota], publish=False))
