"""What happens to a strategy: deployed once, assigned to accounts, started, paused, stopped. One stream for each."""

from uuid import UUID

from schemas.events import Event
from schemas.types import InstrumentId


class StrategyEvent(Event):
    STREAM = "strategy"
    strategy_id: UUID
    user_id: UUID


class StrategyDeployed(StrategyEvent):
    """`parameters` are JSON, checked against the schema of the kind."""

    TYPE = "strategy.deployed"
    kind: str
    name: str
    instruments: tuple[InstrumentId, ...]
    parameters: str


class StrategyAssigned(StrategyEvent):
    """From now on it trades on this account of `owner_id` too, while it runs."""

    TYPE = "strategy.assigned"
    account_id: UUID
    owner_id: UUID


class StrategyUnassigned(StrategyEvent):
    TYPE = "strategy.unassigned"
    account_id: UUID


class StrategyParametersChanged(StrategyEvent):
    TYPE = "strategy.parameters_changed"
    parameters: str


class StrategyStarted(StrategyEvent):
    TYPE = "strategy.started"


class StrategyPaused(StrategyEvent):
    """It follows the market and places nothing."""

    TYPE = "strategy.paused"


class StrategyStopped(StrategyEvent):
    TYPE = "strategy.stopped"
