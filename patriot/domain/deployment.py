"""A deployed strategy: deployed → running ⇄ paused → stopped, and started again. Rule: what it trades on is what its
events assigned; a change that changes nothing makes no event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from patriot.domain.errors import InvalidTransition, InvalidValue
from schemas.events import Event
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

Status = Literal["deployed", "running", "paused", "stopped"]

_STATUS_AFTER: Mapping[type[StrategyEvent], Status] = {
    StrategyStarted: "running",
    StrategyPaused: "paused",
    StrategyStopped: "stopped",
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """An account that the strategy trades on, of this owner; `active` False: not any more."""

    account_id: UUID
    owner_id: UUID
    active: bool = True


@dataclass(frozen=True, slots=True)
class Deployment:
    """`user_id` deployed it; `parameters` are JSON text."""

    strategy_id: UUID
    user_id: UUID
    kind: str
    name: str
    instruments: tuple[str, ...]
    parameters: str
    created_at: datetime
    updated_at: datetime
    status: Status = "deployed"
    assignments: Mapping[UUID, Assignment] = field(default_factory=lambda: MappingProxyType({}))
    version: int = 1

    @property
    def held(self) -> frozenset[UUID]:
        """The accounts on which nothing more of it may be placed, not even what was on its way."""
        rests = self.status in {"paused", "stopped"}
        return frozenset(account_id for account_id, one in self.assignments.items() if rests or not one.active)

    @property
    def accounts(self) -> tuple[UUID, ...]:
        return tuple(account_id for account_id, one in self.assignments.items() if one.active)


def fold(deployment: Deployment | None, event: Event, version: int, when: datetime) -> Deployment:
    """Raises InvalidTransition for an event before it was deployed."""
    if isinstance(event, StrategyDeployed) and deployment is None:
        names = Deployment.__dataclass_fields__.keys() & StrategyDeployed.model_fields.keys()
        return Deployment(**{name: getattr(event, name) for name in names}, created_at=when, updated_at=when)
    if deployment is None:
        raise InvalidTransition(f"{event.TYPE} before strategy.deployed")
    return replace(_after(deployment, event), version=version, updated_at=when)


def _after(deployment: Deployment, event: Event) -> Deployment:
    match event:
        case StrategyAssigned():
            return _with(deployment, Assignment(event.account_id, event.owner_id))
        case StrategyUnassigned():
            known = deployment.assignments[event.account_id]
            return _with(deployment, replace(known, active=False))
        case StrategyParametersChanged():
            return replace(deployment, parameters=event.parameters)
        case StrategyStarted() | StrategyPaused() | StrategyStopped():
            return replace(deployment, status=_STATUS_AFTER[type(event)])
        case _:
            raise InvalidTransition(f"{event.TYPE} is no event of a strategy")


def _with(deployment: Deployment, one: Assignment) -> Deployment:
    return replace(deployment, assignments=MappingProxyType({**deployment.assignments, one.account_id: one}))


def assign(deployment: Deployment, account_id: UUID, owner_id: UUID) -> list[Event]:
    """Let it trade on an account; nothing where it does."""
    if account_id in deployment.accounts:
        return []
    return [StrategyAssigned(**_names(deployment), account_id=account_id, owner_id=owner_id)]


def unassign(deployment: Deployment, account_id: UUID) -> list[Event]:
    if account_id not in deployment.accounts:
        return []
    return [StrategyUnassigned(**_names(deployment), account_id=account_id)]


def change_parameters(deployment: Deployment, parameters: str) -> list[Event]:
    """Raises InvalidTransition while it runs: half a move under old parameters is nobody's plan."""
    if deployment.status == "running":
        raise InvalidTransition("pause or stop the strategy before its parameters are changed")
    if parameters == deployment.parameters:
        return []
    return [StrategyParametersChanged(**_names(deployment), parameters=parameters)]


def start(deployment: Deployment) -> list[Event]:
    if not deployment.accounts:
        raise InvalidValue("account_id", "assign the strategy to an account first")
    return [] if deployment.status == "running" else [StrategyStarted(**_names(deployment))]


def pause(deployment: Deployment) -> list[Event]:
    if deployment.status not in {"running", "paused"}:
        raise InvalidTransition(f"the strategy is {deployment.status}, it cannot be paused")
    return [] if deployment.status == "paused" else [StrategyPaused(**_names(deployment))]


def stop(deployment: Deployment) -> list[Event]:
    return [] if deployment.status == "stopped" else [StrategyStopped(**_names(deployment))]


def _names(deployment: Deployment) -> dict[str, UUID]:
    return {"strategy_id": deployment.strategy_id, "user_id": deployment.user_id}
