"""Works off parent orders by execution algorithms. Rule: one leader; everything that it knows is in events.

TWAP, VWAP, POV, iceberg, implementation shortfall: one file each in `algorithms`. Children are ordinary orders that
pass the same risk rules as any other.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError

from feeds.trading_engine import algorithms, desk
from feeds.trading_engine.algorithm import Algorithm
from feeds.trading_engine.analysis.desk import analyse
from feeds.trading_engine.desk import Desk
from feeds.trading_engine.meter import Meter
from patriot.domain.algorithm import Algorithm as Parent
from patriot.domain.algorithm import pause, request_cancel, resume
from patriot.runtime.aggregates import ALGORITHM
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.edge import user_context
from patriot.runtime.function import Context, Feed
from patriot.runtime.problem import ProblemError
from patriot.runtime.projections import algorithm_row
from patriot.store.api import Lease, LeaseCheck, LeaseLost, Query, StoreError
from schemas.algorithm_events import (
    AlgorithmCancelled,
    AlgorithmCancelRequested,
    AlgorithmChildPlaced,
    AlgorithmCompleted,
    AlgorithmPaused,
    AlgorithmProgressed,
    AlgorithmResumed,
    AlgorithmStarted,
)
from schemas.commands import StartAlgorithm
from schemas.queries import AlgorithmKindPage, AlgorithmKindView, AlgorithmPage, AlgorithmView

LEASE, LEASE_SECONDS = "trading-engine", 5.0
STEP_SECONDS, LOOK_STEPS = 0.25, 4
ANALYSIS_SECONDS = 30.0
RUNNING = ["running", "paused"]
DAY_MINUTES = 1440
PROFILE_ROWS = 7 * DAY_MINUTES

log = structlog.get_logger()

feed = Feed(
    "trading-engine",
    publishes=(
        AlgorithmStarted,
        AlgorithmChildPlaced,
        AlgorithmProgressed,
        AlgorithmPaused,
        AlgorithmResumed,
        AlgorithmCancelRequested,
        AlgorithmCompleted,
        AlgorithmCancelled,
    ),
    on_ticks=True,
)


@cache
def kinds() -> Mapping[str, type[Algorithm]]:
    """Every algorithm of the folder, by name."""
    modules = [
        importlib.import_module(f"{algorithms.__name__}.{one.name}")
        for one in pkgutil.iter_modules(algorithms.__path__)
    ]
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Algorithm) and value.__module__ == module.__name__
    ]
    return {kind.NAME: kind for kind in found}


# --- commands ---
@feed.post("/algorithms", status_code=201, needs="orders:create", idempotent=True)
async def start(command: StartAlgorithm, context: Context) -> AlgorithmView:
    """Start an algorithm. Its children pass the risk rules one by one, as they come."""
    await context.own_account(command.account_id)
    instrument = await context.instrument(command.instrument)
    _parameters(command.algorithm, command.parameters)
    price = await context.price(instrument.id)
    if price is None or price.stale:
        rule = "has no fresh price to start from"
        raise ProblemError(503, "stale_price", f"{instrument.id} {rule}", [("instrument", rule)])
    event = AlgorithmStarted(
        algorithm_id=context.uuid(),
        user_id=context.user.user_id,
        arrival_price=(price.bid + price.ask) / 2,
        **dict(command),
    )
    loaded = context.new(ALGORITHM, event.algorithm_id)
    state = ALGORITHM.fold(None, event, 1, context.now())

    async def propose() -> Proposal[AlgorithmView]:
        return Proposal([Change(loaded, [event])], _view(state), rows=[algorithm_row(state)])

    return await context.decide(propose)


@feed.post("/algorithms/{algorithm_id}/pause", needs="orders:modify", idempotent=True)
async def pause_algorithm(algorithm_id: UUID, context: Context) -> AlgorithmView:
    """Place nothing more, cancel what rests, until it is resumed. Its time stands still."""
    return await _asked(algorithm_id, context, pause)


@feed.post("/algorithms/{algorithm_id}/resume", needs="orders:modify", idempotent=True)
async def resume_algorithm(algorithm_id: UUID, context: Context) -> AlgorithmView:
    """Go on."""
    return await _asked(algorithm_id, context, resume)


@feed.delete("/algorithms/{algorithm_id}", needs="orders:cancel", idempotent=True)
async def cancel_algorithm(algorithm_id: UUID, context: Context) -> AlgorithmView:
    """End it; its open child is cancelled first."""
    return await _asked(algorithm_id, context, request_cancel)


@feed.get("/algorithms", needs="orders:read")
async def list_algorithms(context: Context) -> AlgorithmPage:
    """The caller's parent orders, newest first."""
    rows = await context.find("algorithms", {"user_id": context.user.user_id}, ["-created_at"], 100)
    return AlgorithmPage(algorithms=tuple(_view_of_row(row) for row in rows))


@feed.get("/algorithms/kinds", needs="orders:read")
async def list_kinds(context: Context) -> AlgorithmKindPage:
    """What algorithms there are, with their parameters."""
    del context
    views = [
        AlgorithmKindView(name=name, text=(kind.__doc__ or "").strip(), parameters=kind.Parameters.model_json_schema())
        for name, kind in sorted(kinds().items())
    ]
    return AlgorithmKindPage(algorithms=tuple(views))


@feed.get("/algorithms/{algorithm_id}", needs="orders:read")
async def show_algorithm(algorithm_id: UUID, context: Context) -> AlgorithmView:
    """One parent order as of its newest event."""
    return _view((await context.own(ALGORITHM, algorithm_id)).found)


async def _asked(algorithm_id: UUID, context: RequestContext, proposed: desk.Proposed) -> AlgorithmView:
    async def propose() -> Proposal[AlgorithmView]:
        loaded = await context.own(ALGORITHM, algorithm_id)
        return desk.proposal(loaded, proposed(loaded.found), context.now(), _view)

    return await context.decide(propose)


def _parameters(name: str, given: Mapping[str, Any]) -> Algorithm.Parameters:
    """Raises the 422 problem for an algorithm or parameters that there are not."""
    kind = kinds().get(name)
    if kind is None:
        rule = f"must be one of {', '.join(sorted(kinds()))}"
        raise ProblemError(422, "unknown_algorithm", f"algorithm {rule}", [("algorithm", rule)])
    try:
        return kind.Parameters.model_validate(given)
    except ValidationError as error:
        fields = [(f"parameters.{'.'.join(map(str, one['loc']))}", one["msg"]) for one in error.errors()]
        raise ProblemError(422, "invalid_request", "; ".join(": ".join(one) for one in fields), fields) from None


def _view(state: Parent) -> AlgorithmView:
    names = AlgorithmView.model_fields.keys() - {"children", "parameters"}
    told = {name: getattr(state, name) for name in names}
    return AlgorithmView(**told, children=state.placed, parameters=dict(state.parameters))


def _view_of_row(row: Mapping[str, Any]) -> AlgorithmView:
    names = AlgorithmView.model_fields.keys() - {"algorithm_id", "children", "version"}
    told = {name: row[name] for name in names}
    return AlgorithmView(**told, algorithm_id=row["id"], children=row["placed"], version=row["stream_version"])


# --- working ---
class Engine:
    """The desks of the leader, and the meters of their instruments."""

    def __init__(self, context: RequestContext) -> None:
        self._context, self._runtime = context, context.runtime
        self._desks: dict[UUID, Desk] = {}
        self._meters: dict[str, Meter] = {}
        self._unsubscribe: list[Callable[[], None]] = []

    async def look(self) -> None:
        """Take up what runs and is not in hand."""
        for row in await self._runtime.store.find(Query("algorithms", None, {"status": RUNNING}, limit=10_000)):
            if row["id"] not in self._desks and self._runtime.shard.has(row["instrument"]):
                await self._take(row)

    async def _take(self, row: Mapping[str, Any]) -> None:
        context = user_context(self._runtime, feed.name, row["tenant_id"], row["user_id"])
        parent = (await context.load(ALGORITHM, row["id"])).found
        algorithm = kinds()[parent.algorithm](parent, _parameters(parent.algorithm, parent.parameters))
        meter = await self._meter(parent.instrument)
        profile = await volume_profile(self._context, parent.instrument)
        self._desks[row["id"]] = Desk(row["id"], algorithm, meter, context, profile)

    async def _meter(self, instrument_id: str) -> Meter:
        if instrument_id not in self._meters:
            meter = self._meters[instrument_id] = Meter(await self._context.instrument(instrument_id))
            self._unsubscribe.append(self._runtime.ticks.subscribe(meter.on_market, [instrument_id]))
        return self._meters[instrument_id]

    async def step(self, lease: LeaseCheck) -> None:
        """One step of every desk; one that fails is tried again, and stops no other."""
        for algorithm_id, one in list(self._desks.items()):
            try:
                if not await one.step(lease):
                    del self._desks[algorithm_id]
            except LeaseLost:
                raise
            except (StoreError, TimeoutError) as error:
                log.warning("algorithm waits", algorithm_id=str(algorithm_id), reason=repr(error))

    def close(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()


async def volume_profile(context: RequestContext, instrument: str) -> list[float]:
    """The share of a day's volume by minute of the day, from the recorded minute bars; empty without any."""
    where = {"instrument": instrument, "interval": "1m"}
    rows = await context.runtime.store.find(Query("ohlc", None, where, ["-time"], PROFILE_ROWS))
    sums = [0.0] * DAY_MINUTES
    for row in rows:
        sums[row["time"].hour * 60 + row["time"].minute] += float(row["volume"])
    total = sum(sums)
    return [one / total for one in sums] if total else []


@feed.task
async def tell_analysis(context: RequestContext) -> None:
    """What the markets are like, each half minute, by who leads."""
    clock, leases = context.runtime.clock, context.runtime.leases
    while True:
        await clock.sleep(ANALYSIS_SECONDS)
        if await leases.acquire(f"market-analysis:{context.runtime.shard}", 2 * ANALYSIS_SECONDS):
            await analyse(context)


@feed.task
async def run(context: RequestContext) -> None:
    """Lead where nobody else does."""
    runtime = context.runtime
    engine: Engine | None = None
    lease: Lease | None = None
    step = 0
    try:
        while True:
            if step % LOOK_STEPS == 0:
                lease = await runtime.leases.acquire(f"{LEASE}:{runtime.shard}", LEASE_SECONDS)
                if lease is None and engine is not None:
                    engine.close()
                    engine = None
                elif lease is not None:
                    engine = engine or Engine(context)
                    await engine.look()
            if engine is not None and lease is not None:
                await engine.step(LeaseCheck(lease.name, lease.epoch))
            step += 1
            await runtime.clock.sleep(STEP_SECONDS)
    finally:
        if engine is not None:
            engine.close()
        if lease is not None:
            await runtime.leases.release(lease)


app = feed.app
