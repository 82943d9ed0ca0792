"""What risk shows: levels with their limits, and how accounts stand."""

from uuid import UUID

from schemas.risk_commands import Action, Authority, Metric, SetLimits
from schemas.types import Message, Number, Time


class LevelView(Message):
    """One level: what owner and manager have set there, and why it is halted where it is."""

    scope: str
    halted: bool
    halts: dict[Authority, str]
    limits: dict[Authority, SetLimits]


class ValueAtRiskView(Message):
    """One method, confidence and horizon; amounts in the currency of the account's figures."""

    method: str
    confidence: Number
    days: int
    value_at_risk: Number
    expected_shortfall: Number


class BacktestView(Message):
    """How the historical value at risk of a day did on the days that are known; below 0.05 a p-value rejects it."""

    confidence: Number
    days: int
    exceptions: int
    expected: Number
    kupiec_p: Number
    independence_p: Number
    coverage_p: Number


class StressView(Message):
    """What a past crash would cost; negative where it would be a gain. `fall` is a fraction."""

    scenario: str
    since: str
    fall: Number
    loss: Number


class AlertView(Message):
    """A figure that is beyond its threshold now."""

    account_id: UUID
    metric: Metric
    limit: Number
    action: Action | None = None


class AlertPage(Message):
    alerts: tuple[AlertView, ...]


class StandingView(Message):
    """How an account stands; amounts in `currency`, exposure signed. Empty figures are not known now.

    Without `value_at_risk`, `history_days` tells of which asset fewer daily closes are known than are needed.
    """

    account_id: UUID
    currency: str
    equity: Number | None
    margin: Number | None
    figures: dict[Metric, Number]
    exposure_by_asset: dict[str, Number]
    exposure_by_venue: dict[str, Number]
    exposure_by_strategy: dict[str, Number]
    value_at_risk: tuple[ValueAtRiskView, ...]
    backtests: tuple[BacktestView, ...]
    history_days: dict[str, int]
    history_days_needed: int
    stress: tuple[StressView, ...]
    alerts: tuple[AlertView, ...]
    as_of: Time
