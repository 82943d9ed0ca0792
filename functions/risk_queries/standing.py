"""How one account stands, as its owner or manager sees it. Rule: what is not known is left out, never guessed."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from patriot.domain.money import rounded
from patriot.domain.risk.exposure import by_strategy
from patriot.domain.risk.level import Level, level_id
from patriot.domain.risk.standing import Standing
from patriot.domain.risk.stress import SCENARIOS, loss
from patriot.domain.risk.thresholds import figures_of
from patriot.domain.risk.value_at_risk import DAYS_MIN
from patriot.runtime.aggregates import LEVEL
from patriot.runtime.context import RequestContext
from patriot.runtime.standing import Standings
from patriot.runtime.value_at_risk import History, history
from schemas.risk_commands import Metric
from schemas.risk_queries import AlertView, BacktestView, StandingView, StressView, ValueAtRiskView

ORDERS_MAX = 10_000


async def view(account_id: UUID, context: RequestContext) -> StandingView:
    standings = Standings.of(context.runtime)
    market, standing = await standings.market(context), await standings.standing(context, account_id)
    orders = await context.find("orders", {"account_id": account_id}, ["-created_at"], ORDERS_MAX)
    exposure = standing.exposure if standing else {}
    past = await history(context, sorted(exposure), market)
    return StandingView(
        account_id=account_id,
        currency=market.currency,
        equity=standing.equity if standing else None,
        margin=standing.margin if standing else None,
        figures=_figures(standing),
        exposure_by_asset=_rounded(exposure),
        exposure_by_venue=_rounded(standing.by_venue if standing else {}),
        exposure_by_strategy=_rounded(by_strategy(orders, market)),
        value_at_risk=_value_at_risk(exposure, past),
        backtests=_backtests(exposure, past),
        history_days=dict(past.closes),
        history_days_needed=DAYS_MIN + 1,
        stress=tuple(
            StressView(
                scenario=each.name,
                since=each.since.isoformat(),
                fall=each.fall,
                loss=rounded(loss(exposure, each)),
            )
            for each in (SCENARIOS if standing else ())
        ),
        alerts=await alerts(account_id, context),
        as_of=context.now(),
    )


async def alerts(account_id: UUID, context: RequestContext) -> tuple[AlertView, ...]:
    scope = f"account:{account_id}"
    level = (await context.load(LEVEL, level_id(scope))).state or Level(scope)
    return tuple(AlertView(account_id=account_id, metric=metric, limit=limit) for metric, limit in sorted(level.alerts))


def _figures(standing: Standing | None) -> dict[Metric, Decimal]:
    figures = figures_of(standing) if standing else {}
    return {name: rounded(value) for name, value in figures.items() if value.is_finite()}


def _rounded(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: rounded(value) for name, value in amounts.items()}


def _value_at_risk(exposure: Mapping[str, Decimal], past: History) -> tuple[ValueAtRiskView, ...]:
    return tuple(
        ValueAtRiskView(
            method=method,
            confidence=_amount(confidence),
            days=days,
            value_at_risk=_amount(risk.value_at_risk),
            expected_shortfall=_amount(risk.expected_shortfall),
        )
        for (method, confidence, days), risk in (past.figures(exposure) or {}).items()
    )


def _backtests(exposure: Mapping[str, Decimal], past: History) -> tuple[BacktestView, ...]:
    return tuple(
        BacktestView(
            confidence=_amount(confidence),
            days=found.days,
            exceptions=found.exceptions,
            expected=_amount(found.expected),
            kupiec_p=_amount(found.kupiec.p_value),
            independence_p=_amount(found.independence.p_value),
            coverage_p=_amount(found.coverage.p_value),
        )
        for confidence, found in (past.backtests(exposure) if exposure else {}).items()
    )


def _amount(number: float) -> Decimal:
    return Decimal(str(round(number, 8)))
