"""What risk has decided. An approval is `order.created` itself: it names the limits' version and what it reserves.

`scope` names a level ("account:<id>"); the events of one level are one stream. `user_id` is the user whom it concerns.
"""

from uuid import UUID

from schemas.events import Event
from schemas.risk_commands import Action, Authority, Metric, SetLimits
from schemas.types import InstrumentId, Number, OrderType, Positive, Side


class RiskEvent(Event):
    STREAM = "risk"
    user_id: UUID | None = None


class RiskDenied(RiskEvent):
    """An order, or a modification of `order_id`, that broke a rule: nothing was reserved and nothing sent."""

    TYPE = "risk.denied"
    account_id: UUID
    order_id: UUID | None = None
    instrument: InstrumentId
    side: Side
    order_type: OrderType
    quantity: Positive
    price: Positive | None = None
    strategy_id: str | None = None
    code: str
    reason: str
    field: str
    limits_version: int


class LevelEvent(RiskEvent):
    """Something has changed at a level."""

    scope: str


class RiskLimitsChanged(LevelEvent):
    """From now on these are all the limits that the authority sets at the level."""

    TYPE = "risk.limits_changed"
    SCHEMA = 2
    authority: Authority
    limits: SetLimits


class RiskHalted(LevelEvent):
    """The kill switch is on: nothing new is taken or sent below this level; cancels pass."""

    TYPE = "risk.halted"
    authority: Authority
    reason: str


class RiskResumed(LevelEvent):
    TYPE = "risk.resumed"
    authority: Authority
    reason: str


class RiskAlertRaised(LevelEvent):
    """A figure of an account has passed a threshold. The action has been taken in the same commit."""

    TYPE = "risk.alert_raised"
    metric: Metric
    value: Number
    limit: Number
    action: Action


class RiskAlertCleared(LevelEvent):
    """The figure is back within the threshold. What was blocked stays so until somebody resumes it."""

    TYPE = "risk.alert_cleared"
    metric: Metric
    value: Number
    limit: Number
