"""Runs strategy instances. Rule: a strategy trades through order_commands like everybody else, under the same rules.

Instances are rows of the table `strategies` (kind, instrument and parameters, account, status). Their order's position
comes back as `position.updated`. Trades arrive through the in-process `ticks` port.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache, partial
from typing import Any
from uuid import UUID

import orjson
import structlog

from feeds.strategies import catalog
from feeds.strategies.runner import Runner
from patriot.domain.position import position_id
from patriot.protocols.market import Market
from patriot.runtime.aggregates import POSITION
from patriot.runtime.context import RequestContext
from patriot.runtime.edge import user_context
from patriot.runtime.function import Context, Feed
from patriot.store.api import Query
from patriot.strategy import Intent, Strategy
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

log = structlog.get_logger()

feed = Feed("strategies", on_ticks=True)


@cache
def strategies() -> Mapping[str, type[Strategy]]:
    """Every strategy of the catalogue, by name."""
    modules = [
        importlib.import_module(f"{catalog.__name__}.{info.name}") for info in pkgutil.iter_modules(catalog.__path__)
    ]
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]
    return {strategy.NAME: strategy for strategy in found}


class Instances:
    """The running strategies of this process, by (account, instrument)."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._running: dict[UUID, Runner] = {}
        self._stops: dict[UUID, Any] = {}
        self._by_position: dict[tuple[UUID, str], UUID] = {}

    async def look(self) -> None:
        """Start what has become active, stop what has not."""
        rows = await self._context.runtime.store.find(Query("strategies", None, {"status": "running"}))
        active = {row["id"]: row for row in rows}
        for identifier in self._running.keys() - active.keys():
            self._stop(identifier)
        for identifier in active.keys() - self._running.keys():
            await self._start(active[identifier])

    async def _start(self, row: Mapping[str, Any]) -> None:
        context = user_context(self._context.runtime, feed.name, row["tenant_id"], row["user_id"])
        settings = orjson.loads(row["parameters"]) if isinstance(row["parameters"], bytes) else dict(row["parameters"])
        instrument = await context.instrument(settings.pop("instrument"))
        kind = strategies()[row["kind"]]
        strategy = kind(instrument, kind.Parameters.model_validate(settings))
        loaded = await context.load(POSITION, position_id(row["account_id"], instrument.id))
        strategy.on_position(loaded.state.quantity if loaded.state else strategy.position)
        runner = Runner(strategy, partial(place_order, context, row["account_id"], row["name"]))
        self._running[row["id"]] = runner
        self._by_position[row["account_id"], instrument.id] = row["id"]
        listen = partial(self._on_market, runner)
        self._stops[row["id"]] = context.runtime.ticks.subscribe(listen, [instrument.id])
        log.info("strategy started", strategy=row["name"], instrument=instrument.id)

    def _stop(self, identifier: UUID) -> None:
        self._stops.pop(identifier)()
        del self._running[identifier]
        self._by_position = {key: one for key, one in self._by_position.items() if one != identifier}

    def _on_market(self, runner: Runner, message: Market) -> None:
        if runner.on_market(message) and not runner.busy:
            self._context.runtime.spawn(runner.work(), f"strategy {runner.strategy.NAME}")

    def on_position(self, event: PositionUpdated) -> None:
        identifier = self._by_position.get((event.account_id, event.instrument))
        if identifier is not None:
            self._running[identifier].on_position(event.quantity)

    def on_order_end(self, event: OrderEvent) -> None:
        for runner in self._running.values():
            runner.on_order_end(event.order_id)


async def place_order(context: RequestContext, account_id: UUID, name: str, intent: Intent) -> UUID | None:
    """Send one intent to order_commands; a refusal is logged, and the strategy goes on."""
    body = {
        "account_id": str(account_id),
        "instrument": intent.instrument,
        "side": intent.side,
        "order_type": intent.order_type,
        "quantity": format(intent.quantity, "f"),
        "price": None if intent.price is None else format(intent.price, "f"),
        "time_in_force": intent.time_in_force,
        "reduce_only": intent.reduce_only,
        "strategy_id": name,
    }
    answer = await context.fresh().invoke("order-commands", "POST", "/api/v1/orders", orjson.dumps(body))
    told = orjson.loads(answer.body)
    if answer.status == 201:
        return UUID(told["order_id"])
    log.warning("order refused", strategy=name, code=told.get("code"), detail=told.get("detail"))
    return None


@feed.task
async def run(context: RequestContext) -> None:
    """Follow the table of instances for as long as the host lives."""
    instances = Instances(context)
    context.runtime.local[feed.name] = instances
    while True:
        await instances.look()
        await context.runtime.clock.sleep(LOOK_SECONDS)


@feed.on(ACCOUNT_EVENTS, PositionUpdated)
async def follow_position(event: PositionUpdated, context: Context) -> None:
    instances = context.runtime.local.get(feed.name)
    if isinstance(instances, Instances):
        instances.on_position(event)


@feed.on(ORDER_EVENTS, OrderFilled, OrderCancelled, OrderRejected, OrderExpired)
async def follow_order(event: OrderEvent, context: Context) -> None:
    instances = context.runtime.local.get(feed.name)
    if isinstance(instances, Instances):
        instances.on_order_end(event)


app = feed.app
