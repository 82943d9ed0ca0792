"""Runs strategy instances. Rule: a strategy trades through order_commands like everybody else, under the same rules.

Instances are rows of the table `strategies` (kind, instruments and parameters, account, status). Their orders'
positions come back as `position.updated`. Trades arrive through the in-process `ticks` port. What a strategy remembers
is saved while it runs; a new process goes on from there.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any
from uuid import UUID

import orjson
import structlog
from pydantic import ValidationError

from feeds.strategies.instance import Instance, instruments_of, open_instance
from patriot.protocols.market import Market
from patriot.runtime import discovery
from patriot.runtime.context import RequestContext
from patriot.runtime.edge import user_context
from patriot.runtime.function import Context, Feed
from patriot.runtime.operation import operation
from patriot.runtime.problem import ProblemError
from patriot.store.api import Query
from patriot.strategy import Intent, Strategy
from patriot.telemetry.metrics import metrics
from schemas.events import (
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    PositionUpdated,
)
from schemas.topics import ACCOUNT_EVENTS, ORDER_EVENTS

LOOK_SECONDS = 1.0
SAVE_SECONDS = 10.0
AGREE_SECONDS = 5.0
ASK_AGAIN_SECONDS = (0.2, 0.5, 1.0)
BAD_REQUEST, SERVER_ERROR = 400, 500

log = structlog.get_logger()

feed = Feed("strategies", on_ticks=True)


@cache
def strategies() -> Mapping[str, type[Strategy]]:
    """Every strategy of the catalogue, by name."""
    return discovery.strategies()


class Instances:
    """The running strategies of this process, by id; several may trade one position."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._running: dict[UUID, Instance] = {}
        self._refused: set[UUID] = set()
        self._saved_at = self._agreed_at = context.runtime.clock.monotonic()

    @property
    def running(self) -> Collection[Instance]:
        return self._running.values()

    async def look(self) -> None:
        """Start what has become active, pause what is paused, stop what is not; save what they remember."""
        query = Query("strategies", None, {"status": ["running", "paused"]})
        rows = await self._context.runtime.store.find(query)
        active = {row["id"]: row for row in rows if self._context.runtime.shard.has(instruments_of(row)[0])}
        for identifier, instance in list(self._running.items()):
            if active.get(identifier, {}).get("parameters") != instance.row["parameters"]:
                await self._stop(identifier)
        for identifier in sorted(active.keys() - self._running.keys()):
            await self._try_to_start(active[identifier])
        for identifier, row in active.items():
            if identifier in self._running and row["status"] != self._running[identifier].row["status"]:
                await self._running[identifier].become(row)
        await self._agree()
        await self._save()

    async def _try_to_start(self, row: Mapping[str, Any]) -> None:
        """What cannot start yet (an instrument is not known, a file is gone) hinders no other, and is tried again."""
        try:
            await self._start(row)
        except (ProblemError, ValidationError, KeyError) as error:
            if row["id"] not in self._refused:
                log.warning("strategy cannot start", strategy=row["name"], reason=str(error))
            self._refused.add(row["id"])

    async def _start(self, row: Mapping[str, Any]) -> None:
        context = user_context(self._context.runtime, feed.name, row["tenant_id"], row["user_id"])
        place = partial(place_order, context, row["account_id"], row["name"])
        instance = await open_instance(context, row, strategies()[row["kind"]], place, partial(cancel_order, context))
        self._running[row["id"]] = instance
        await instance.take_over()
        await self._want(instance)
        listen = partial(self._on_market, instance)
        instance.unsubscribe = context.runtime.ticks.subscribe(listen, list(instance.strategy.instruments))
        log.info("strategy started", strategy=row["name"], instruments=list(instance.strategy.instruments))

    async def _want(self, instance: Instance) -> None:
        """Its other instruments may be another shard's, whose ticks do not come here by themselves."""
        if self._context.runtime.shard.shards > 1:
            told = {"subscriber": str(instance.row["id"]), "instruments": instance.strategy.instruments}
            await self._context.invoke("market-data", "POST", "/subscribe", orjson.dumps(told))

    async def _stop(self, identifier: UUID) -> None:
        await self._running.pop(identifier).close()

    def leave(self) -> None:
        """See nothing more: who goes on starts from what is saved, and from the orders that are open."""
        for instance in self._running.values():
            instance.unsubscribe()

    async def _agree(self) -> None:
        """Now and then: an order that got no answer may never have been made."""
        now = self._context.runtime.clock.monotonic()
        if now - self._agreed_at >= AGREE_SECONDS:
            self._agreed_at = now
            for instance in self._running.values():
                await instance.agree()

    async def _save(self) -> None:
        now = self._context.runtime.clock.monotonic()
        if now - self._saved_at >= SAVE_SECONDS and self._context.runtime.settings.market != "replay":
            self._saved_at = now
            for instance in self._running.values():
                await instance.save()

    def _on_market(self, instance: Instance, message: Market) -> None:
        runner = instance.runner
        if runner.on_market(message) and not runner.busy:
            self._context.runtime.spawn(runner.work(), f"strategy {runner.strategy.NAME}")

    def on_position(self, event: PositionUpdated, version: int) -> None:
        for instance in self._of(event.account_id):
            if event.instrument in instance.strategy.instruments:
                instance.runner.on_position(event.quantity, event.instrument, version)

    async def on_order_end(self, event: OrderEvent) -> None:
        for instance in self._of(event.account_id):
            await instance.on_order_end(event.order_id)

    def _of(self, account_id: UUID) -> Sequence[Instance]:
        return [one for one in self._running.values() if one.row["account_id"] == account_id]


async def place_order(context: RequestContext, account_id: UUID, name: str, intent: Intent) -> UUID | None:
    """Send one intent to order_commands, under one id however often it takes: its order is made once.

    A refusal is logged, and the strategy goes on. Without an answer the order may have been made: it is waited for.
    """
    order_id, signalled = context.uuid(), context.runtime.clock.monotonic()
    body = {
        "account_id": str(account_id),
        "instrument": intent.instrument,
        "side": intent.side,
        "order_type": intent.order_type,
        "quantity": format(intent.quantity, "f"),
        "price": None if intent.price is None else format(intent.price, "f"),
        "time_in_force": intent.time_in_force,
        "reduce_only": intent.reduce_only,
        "post_only": intent.post_only,
        "strategy_id": name,
    }
    asking = context.fresh()
    with operation(asking, "signal"):
        return await _asked_for(order_id, orjson.dumps(body), asking, name, signalled)


async def _asked_for(order_id: UUID, body: bytes, context: RequestContext, name: str, signalled: float) -> UUID | None:
    for pause_seconds in ASK_AGAIN_SECONDS:
        with suppress(TimeoutError):
            answer = await context.invoke("order-commands", "POST", f"/orders/{order_id}/place", body)
            if answer.status < BAD_REQUEST:
                metrics.order_processing(feed.name, "signal").observe(context.runtime.clock.monotonic() - signalled)
                return order_id
            told = orjson.loads(answer.body)
            log.warning("order refused", strategy=name, code=told.get("code"), detail=told.get("detail"))
            if answer.status < SERVER_ERROR:
                return None
        await context.runtime.clock.sleep(pause_seconds)
    return order_id


async def cancel_order(context: RequestContext, order_id: UUID) -> None:
    """Ask for the end of one order; that it has ended already is no harm."""
    asking = context.fresh()
    with operation(asking, "cancel"):
        answer = await asking.invoke("order-commands", "DELETE", f"/api/v1/orders/{order_id}")
        if answer.status >= 500:
            log.warning("order not cancelled", order_id=str(order_id), status=answer.status)


@feed.task
async def run(context: RequestContext) -> None:
    """Follow the table of instances for as long as the host lives."""
    instances = Instances(context)
    context.runtime.local[feed.name] = instances
    try:
        while True:
            await instances.look()
            await context.runtime.clock.sleep(LOOK_SECONDS)
    finally:
        instances.leave()
        context.runtime.local.pop(feed.name, None)


@feed.on(ACCOUNT_EVENTS, PositionUpdated)
async def follow_position(event: PositionUpdated, context: Context) -> None:
    instances = context.runtime.local.get(feed.name)
    if isinstance(instances, Instances) and context.event is not None:
        instances.on_position(event, context.event.streamversion)


@feed.on(ORDER_EVENTS, OrderFilled, OrderCancelled, OrderRejected, OrderExpired)
async def follow_order(event: OrderEvent, context: Context) -> None:
    instances = context.runtime.local.get(feed.name)
    if isinstance(instances, Instances):
        await instances.on_order_end(event)


app = feed.app
