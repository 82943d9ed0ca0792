"""Deploy strategies and tell them what to do. Rule: parameters pass the schema of their kind before anything is kept.

Users deploy on their own accounts; who manages strategies (strategies:manage) assigns them to any account of the
tenant. The feed `strategies` runs what the read model says, a moment later; so what is paused, stopped or taken off an
account holds a kill switch above its orders there, in the same commit: nothing is placed after the answer.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID, uuid5

import orjson
from pydantic import ValidationError

from patriot.domain import deployment as rules
from patriot.domain.deployment import Deployment
from patriot.runtime import discovery
from patriot.runtime.aggregates import STRATEGY
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Loaded, Proposal, after
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError, not_found
from patriot.runtime.projections import strategy_rows
from patriot.runtime.risk import hold_of
from patriot.store.api import GuardChange
from patriot.strategy import Strategy
from schemas.events import Event
from schemas.strategy_contracts import (
    AssignStrategy,
    ChangeParameters,
    DeployStrategy,
    StrategyKindPage,
    StrategyKindView,
    StrategyPage,
    StrategyView,
)
from schemas.strategy_events import (
    StrategyAssigned,
    StrategyDeployed,
    StrategyEvent,
    StrategyParametersChanged,
    StrategyPaused,
    StrategyStarted,
    StrategyStopped,
    StrategyUnassigned,
)
from schemas.topics import STRATEGY_EVENTS

EVENTS = (
    StrategyDeployed,
    StrategyAssigned,
    StrategyUnassigned,
    StrategyParametersChanged,
    StrategyStarted,
    StrategyPaused,
    StrategyStopped,
)

function = Function("strategy-commands", publishes=EVENTS)


@cache
def catalogue() -> Mapping[str, type[Strategy]]:
    return discovery.strategies()


@function.get("/strategies/kinds", needs="portfolio:read")
async def kinds() -> StrategyKindPage:
    """Every strategy of the catalogue, with the schema of its parameters."""
    return StrategyKindPage(kinds=tuple(_kind_view(name) for name in sorted(catalogue())))


@function.get("/strategies", needs="portfolio:read")
async def own_strategies(context: Context) -> StrategyPage:
    """The strategies that the caller deployed, and those that trade on the caller's accounts."""
    rows = await context.find("strategies", {"user_id": context.user.user_id}, ["created_at"])
    ids = dict.fromkeys(row["strategy_id"] for row in rows if row["strategy_id"])
    loaded = [await context.load(STRATEGY, strategy_id) for strategy_id in ids]
    return StrategyPage(strategies=tuple(_view(one.state) for one in loaded if one.state))


@function.post("/strategies", status_code=201, needs="orders:create", idempotent=True)
async def deploy(command: DeployStrategy, context: Context) -> StrategyView:
    """Deploy a strategy for one of the caller's accounts; it trades once it is started."""
    user_id = context.user.user_id
    account = await context.own_account(command.account_id)
    for name in command.instruments:
        if name.partition(":")[0] != account["exchange"]:
            rule = f"{name} is not traded on this account: it is one of {account['exchange']}"
            raise ProblemError(422, "invalid_value", rule, [("instruments", rule)])
    parameters = checked(command.kind, command.parameters)
    strategy_id = uuid5(user_id, f"strategy:{command.name}")
    await _require_free(command.name, command.account_id, strategy_id, context)

    async def propose() -> Proposal[StrategyView]:
        loaded = await context.load(STRATEGY, strategy_id)
        if loaded.version:
            raise _taken(command.name)
        names = {"strategy_id": strategy_id, "user_id": user_id}
        events: list[Event] = [
            StrategyDeployed(
                **names,
                kind=command.kind,
                name=command.name,
                instruments=command.instruments,
                parameters=parameters,
            ),
            StrategyAssigned(**names, account_id=command.account_id, owner_id=user_id),
        ]
        events += [StrategyStarted(**names)] if command.start else []
        return _proposal(loaded, events, context)

    return await context.decide(propose)


@function.get("/strategies/{strategy_id}", needs="portfolio:read")
async def show(strategy_id: UUID, context: Context) -> StrategyView:
    """One strategy of the caller."""
    return _view((await context.own(STRATEGY, strategy_id)).found)


@function.post("/strategies/{strategy_id}/start", needs="orders:create", idempotent=True)
async def start(strategy_id: UUID, context: Context) -> StrategyView:
    """Let it trade."""
    return await _own_step(strategy_id, rules.start, context)


@function.post("/strategies/{strategy_id}/pause", needs="orders:create", idempotent=True)
async def pause(strategy_id: UUID, context: Context) -> StrategyView:
    """It goes on following the market and places nothing; its positions stay."""
    return await _own_step(strategy_id, rules.pause, context)


@function.post("/strategies/{strategy_id}/stop", needs="orders:create", idempotent=True)
async def stop(strategy_id: UUID, context: Context) -> StrategyView:
    """End it; its positions stay, what it remembers is kept."""
    return await _own_step(strategy_id, rules.stop, context)


@function.patch("/strategies/{strategy_id}/parameters", needs="orders:create", idempotent=True)
async def change_parameters(strategy_id: UUID, command: ChangeParameters, context: Context) -> StrategyView:
    """New parameters for a strategy that does not run."""
    kind = (await context.own(STRATEGY, strategy_id)).found.kind
    parameters = checked(kind, command.parameters)
    return await _own_step(strategy_id, lambda one: rules.change_parameters(one, parameters), context)


@function.post("/strategies/{strategy_id}/assignments", status_code=201, needs="orders:create", idempotent=True)
async def assign(strategy_id: UUID, command: AssignStrategy, context: Context) -> StrategyView:
    """Let it trade on another of the caller's accounts too."""
    await context.own_account(command.account_id)
    await context.own(STRATEGY, strategy_id)
    return await _assign(strategy_id, command.account_id, context.user.user_id, context)


@function.delete("/strategies/{strategy_id}/assignments/{account_id}", needs="orders:create", idempotent=True)
async def unassign(strategy_id: UUID, account_id: UUID, context: Context) -> StrategyView:
    """Take it off one of the caller's accounts."""
    await context.own_account(account_id)
    return await _step(strategy_id, lambda one: rules.unassign(one, account_id), context)


@function.post(
    "/tenant-strategies/{strategy_id}/assignments", status_code=201, needs="strategies:manage", idempotent=True
)
async def assign_any(strategy_id: UUID, command: AssignStrategy, context: Context) -> StrategyView:
    """Let any strategy of the tenant trade on any of its accounts."""
    account = await context.account(command.account_id)
    return await _assign(strategy_id, command.account_id, account["user_id"], context)


@function.on(STRATEGY_EVENTS, *EVENTS)
async def project(event: StrategyEvent, context: Context) -> None:
    """A row per account that it is assigned to, as of the newest event."""
    loaded = await context.load(STRATEGY, event.strategy_id)
    assert loaded.state is not None
    assert context.event is not None
    if context.event.streamversion >= loaded.version:
        await context.write(strategy_rows(loaded.state))


def checked(kind: str, parameters: Mapping[str, Any]) -> str:
    """The parameters as JSON text, defaults filled in. Raises the 422 problem, which names what is wrong."""
    if kind not in catalogue():
        rule = f"is not one of {', '.join(sorted(catalogue()))}"
        raise ProblemError(422, "unknown_strategy", f"{kind!r} {rule}", [("kind", rule)])
    try:
        return catalogue()[kind].Parameters.model_validate(parameters).model_dump_json()
    except ValidationError as error:
        wrong = [(f"parameters.{'.'.join(map(str, one['loc']))}", str(one["msg"])) for one in error.errors()]
        detail = "; ".join(f"{field}: {rule}" for field, rule in wrong)
        raise ProblemError(422, "invalid_parameters", detail, wrong) from None


async def _assign(strategy_id: UUID, account_id: UUID, owner_id: UUID, context: RequestContext) -> StrategyView:
    found = (await context.load(STRATEGY, strategy_id)).state
    if found is None:
        raise not_found("strategy", strategy_id)
    await _require_free(found.name, account_id, strategy_id, context)
    return await _step(strategy_id, lambda one: rules.assign(one, account_id, owner_id), context)


async def _require_free(name: str, account_id: UUID, strategy_id: UUID, context: RequestContext) -> None:
    """Orders tell their strategy by its name: on one account it must be one strategy's."""
    rows = await context.find("strategies", {"account_id": account_id, "name": name})
    if any(row["strategy_id"] != strategy_id for row in rows):
        raise _taken(name)


def _taken(name: str) -> ProblemError:
    told = f"the name {name!r} is taken; strategies keep theirs for good"
    return ProblemError(409, "name_taken", told, [("name", "is taken")])


async def _own_step(
    strategy_id: UUID, step: Callable[[Deployment], list[Event]], context: RequestContext
) -> StrategyView:
    await context.own(STRATEGY, strategy_id)
    return await _step(strategy_id, step, context)


async def _step(strategy_id: UUID, step: Callable[[Deployment], list[Event]], context: RequestContext) -> StrategyView:
    async def propose() -> Proposal[StrategyView]:
        loaded = await context.load(STRATEGY, strategy_id)
        if loaded.state is None:
            raise not_found("strategy", strategy_id)
        return _proposal(loaded, step(loaded.state), context)

    return await context.decide(propose)


def _proposal(loaded: Loaded[Deployment], events: list[Event], context: RequestContext) -> Proposal[StrategyView]:
    change = Change(loaded, events)
    ((_, _, state),) = after([change], context.now())
    held = loaded.state.held if loaded.state else frozenset()
    raises = [
        GuardChange(hold_of(account_id, state.name), halted=account_id in state.held)
        for account_id in sorted(held ^ state.held)
    ]
    return Proposal([change], _view(state), raises=raises)


def _view(one: Deployment) -> StrategyView:
    names = StrategyView.model_fields.keys() - {"parameters"}
    return StrategyView(parameters=orjson.loads(one.parameters), **{name: getattr(one, name) for name in names})


def _kind_view(name: str) -> StrategyKindView:
    kind = catalogue()[name]
    text = " ".join((kind.__doc__ or "").split())
    return StrategyKindView(kind=name, text=text, parameters=kind.Parameters.model_json_schema())


app = function.app
