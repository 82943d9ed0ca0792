"""One row of `strategies`, brought to life. Rule: it goes on where it was; what it missed it sees, but does not trade.

Opening: the position from the platform, the strategy's memory from its snapshot, then the bars that the store has since
(or, without a snapshot, as many as the strategy wants for its warm-up); then the orders that are still under way.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import orjson
import structlog

from feeds.strategies.runner import CancelOrder, PlaceOrder, Runner
from patriot.domain.position import position_id
from patriot.runtime.aggregates import ORDER, POSITION
from patriot.runtime.context import RequestContext
from patriot.store.api import Between, Snapshot, StreamId
from patriot.strategy import Strategy, StrategyBar

STORED = {1: "1s", 60: "1m", 300: "5m", 900: "15m", 3600: "1h", 86_400: "1d"}  # lengths of the bars in the table `ohlc`
ROWS_MAX = 100_000
OPEN_STATUSES = ("pending", "submitted", "accepted", "partially_filled", "unknown")

log = structlog.get_logger()


class Memory(msgspec.Struct):
    """What is saved: the end of the newest bar that was seen, and the strategy's own state."""

    seen_ms: int
    state: msgspec.Raw


class Instance:
    """A runner and the row that it runs for."""

    def __init__(self, context: RequestContext, row: Mapping[str, Any], runner: Runner) -> None:
        self._context = context
        self.row = row
        self.runner = runner
        self.strategy = runner.strategy
        self.unsubscribe: Callable[[], None] = lambda: None
        self._saved_ms = runner.seen_ms

    @property
    def _stream(self) -> StreamId:
        return StreamId(self._context.tenant_id, "strategy-memory", self.row["id"])

    async def become(self, row: Mapping[str, Any]) -> None:
        """Paused, it follows the market and places nothing; what rests is taken back."""
        self.row = row
        self.runner.paused = row["status"] == "paused"
        if self.runner.paused and self.strategy.QUOTES:
            await self.runner.take_back()

    async def take_over(self) -> None:
        """Wait for what a process before this one has placed. Rows may lag behind, events tell how an order stands.

        To be called once news of orders and positions come here: then nothing falls between these looks and the news.
        """
        where = {"account_id": self.row["account_id"], "strategy_id": self.row["name"], "status": list(OPEN_STATUSES)}
        for row in await self._context.find("orders", where):
            if not await self._is_over(row["id"]):
                self.runner.adopt(row["id"])
        await self.look_at_positions()

    async def agree(self) -> None:
        """Wait no longer for orders that are over, or that never came to be."""
        for order_id in sorted(self.runner.waits_for):
            if await self._is_over(order_id):
                await self.on_order_end(order_id)

    async def _is_over(self, order_id: UUID) -> bool:
        order = (await self._context.load(ORDER, order_id)).state
        return order is None or order.ended

    async def on_order_end(self, order_id: UUID) -> None:
        """The position first: what is decided after an order is decided on what the order has done."""
        if self.runner.busy or order_id in self.runner.waits_for:
            await self.look_at_positions()
        self.runner.on_order_end(order_id)

    async def look_at_positions(self) -> None:
        for name in self.strategy.instruments:
            loaded = await self._context.load(POSITION, position_id(self.row["account_id"], name))
            if loaded.state is not None:
                self.runner.on_position(loaded.state.quantity, name, loaded.version)

    async def save(self) -> None:
        """Keep what the strategy remembers, if it has seen anything new."""
        seen_ms = self.runner.seen_ms
        if seen_ms > self._saved_ms:
            data = msgspec.json.encode(Memory(seen_ms, msgspec.Raw(self.strategy.snapshot())))
            await self._context.runtime.store.save_snapshot(Snapshot(self._stream, seen_ms // 1000, data))
            self._saved_ms = seen_ms

    async def remember(self) -> None:
        """Put back what was saved. The memory of another version of the strategy is left, and told."""
        saved = await self._context.runtime.store.load_snapshot(self._stream)
        if saved is None:
            return
        try:
            memory = msgspec.json.decode(saved.data, type=Memory)
            self.strategy.restore(bytes(memory.state))
        except msgspec.DecodeError as error:
            log.warning("memory of another version left", strategy=self.row["name"], reason=str(error))
            return
        self.runner.seen_ms = self._saved_ms = memory.seen_ms

    async def close(self) -> None:
        self.unsubscribe()
        await self.save()
        if self.strategy.QUOTES:
            await self.runner.take_back()


def instruments_of(row: Mapping[str, Any]) -> Sequence[str]:
    """The first one decides which shard runs the strategy."""
    settings = _parameters(row)
    names: Sequence[str] = settings.get("instruments") or [settings.get("instrument", "")]
    return names


def _parameters(row: Mapping[str, Any]) -> Mapping[str, Any]:
    told = row["parameters"]
    return dict(orjson.loads(told)) if isinstance(told, bytes) else dict(told)


async def open_instance(
    context: RequestContext, row: Mapping[str, Any], kind: type[Strategy], place: PlaceOrder, cancel: CancelOrder
) -> Instance:
    """Raises the 422 problem for an unknown instrument, ValidationError for parameters that the kind does not take."""
    first, *others = [await context.instrument(name) for name in instruments_of(row)]
    settings = {name: value for name, value in _parameters(row).items() if name not in ("instruments", "instrument")}
    strategy = kind(first, kind.Parameters.model_validate(settings), others)
    instance = Instance(context, row, Runner(strategy, place, cancel))
    instance.runner.paused = row["status"] == "paused"
    await instance.look_at_positions()
    await instance.remember()
    instance.runner.show_past(await _missed(context, instance))
    return instance


async def _missed(context: RequestContext, instance: Instance) -> list[StrategyBar]:
    """Bars that closed since the newest that was seen, of all timeframes and instruments, in order of their end."""
    strategy, seen_ms, found = instance.strategy, instance.runner.seen_ms, list[StrategyBar]()
    now_ms = int(context.now().timestamp() * 1000)
    for name in strategy.instruments:
        for seconds in strategy.timeframes:
            since_ms = seen_ms or now_ms - (strategy.warm_up + 1) * seconds * 1000
            if seen_ms or strategy.warm_up:
                found += await _stored_bars(context, name, seconds, since_ms, now_ms)
    return sorted(found, key=lambda bar: (bar.open_ms + bar.seconds * 1000, bar.seconds))


async def _stored_bars(
    context: RequestContext, instrument: str, seconds: int, since_ms: int, now_ms: int
) -> Sequence[StrategyBar]:
    """Whole bars of this length, made of the longest stored ones that fit into it."""
    part = max(length for length in STORED if seconds % length == 0)
    first = datetime.fromtimestamp(since_ms // (seconds * 1000) * seconds, UTC)
    time = Between(first, context.now() + timedelta(seconds=1))
    where = {"instrument": instrument, "interval": STORED[part], "time": time}
    rows = await context.find("ohlc", where, ["time"], ROWS_MAX)
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(int(row["time"].timestamp()) // seconds * seconds * 1000, []).append(row)
    ends = seconds * 1000
    return [_joined(instrument, seconds, at, groups[at]) for at in groups if since_ms < at + ends <= now_ms]


def _joined(instrument: str, seconds: int, open_ms: int, rows: Sequence[Mapping[str, Any]]) -> StrategyBar:
    return StrategyBar(
        instrument,
        seconds,
        open_ms,
        rows[0]["open"],
        max(row["high"] for row in rows),
        min(row["low"] for row in rows),
        rows[-1]["close"],
        sum((row["volume"] for row in rows[1:]), rows[0]["volume"]),
    )
