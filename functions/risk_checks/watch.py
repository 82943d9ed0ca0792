"""Watches every account: tells its figures, acts where one passes a threshold. Rule: alert and action are one commit.

A flattening is asked for again until nothing is left to close.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog

from patriot.domain.money import rounded
from patriot.domain.risk.level import Level, level_id
from patriot.domain.risk.standing import Standing
from patriot.domain.risk.thresholds import Figures, decide, figures_of
from patriot.domain.worth import Market
from patriot.runtime.aggregates import LEVEL
from patriot.runtime.cloudevent import from_report
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal, after
from patriot.runtime.edge import user_context
from patriot.runtime.risk import Risk, scopes_of
from patriot.runtime.standing import Standings, keep_marks, marked, marks_of, measured
from patriot.runtime.value_at_risk import History, history
from patriot.store.api import GuardChange, Query
from patriot.telemetry.metrics import metrics
from schemas.commands import ClosePositions
from schemas.reports import RiskMetrics
from schemas.risk_commands import Authority, SetLimits, Threshold
from schemas.topics import RISK_METRICS

ACCOUNTS_MAX = 100_000
AUTHORITIES: frozenset[Authority] = frozenset({"owner", "manager"})
NAMED = ("historical", 0.99, 1)  # the value at risk that thresholds mean

log = structlog.get_logger()

Account = Mapping[str, Any]
Thresholds = dict[Authority, Sequence[Threshold]]


async def watch(context: RequestContext) -> None:
    """One look at every active account of every tenant; one that fails is left for the next look."""
    rows = await context.runtime.store.find(Query("user_accounts", None, {"is_active": True}, ["id"], ACCOUNTS_MAX))
    market = await Standings.of(context.runtime).market(context)
    standings = [(row, await _measured(row, market, context)) for row in rows]
    _measure([standing for _, standing in standings if standing], market.currency, context.service)
    assets = {asset for _, standing in standings if standing for asset in standing.exposure}
    past = await history(context, sorted(assets), market)
    for row, standing in standings:
        if standing is not None:
            try:
                await _judge(row, standing, past, _acting_for(row, context))
            except Exception:
                log.exception("account not judged", account_id=str(row["id"]))


def _measure(standings: Sequence[Standing], currency: str, service: str) -> None:
    """What the platform's accounts are worth together."""
    sums = {
        "equity": sum(one.equity for one in standings),
        "exposure": sum(one.gross_exposure for one in standings),
        "margin": sum(one.margin for one in standings),
        "day_result": sum(one.equity - one.day_equity for one in standings),
    }
    for measure, value in sums.items():
        metrics.accounts_worth(measure, currency).set(float(value))
    held = sum(bool(value) for one in standings for value in one.exposure.values())
    metrics.open_exposures(service).set(held)


def _acting_for(account: Account, context: RequestContext) -> RequestContext:
    return user_context(context.runtime, context.service, account["tenant_id"], account["user_id"])


async def _measured(account: Account, market: Market, context: RequestContext) -> Standing | None:
    own = _acting_for(account, context)
    standing, marks = await measured(own, account["id"], market)
    if marks is not None and marks != await marks_of(own, account["id"]):
        await keep_marks(own, account["id"], marks)
    return marked(standing, marks)


async def _judge(account: Account, standing: Standing, past: History, context: RequestContext) -> None:
    figures = {**figures_of(standing), **_value_at_risk(standing, past)}
    await _tell(account, figures, context)
    thresholds = await _thresholds(account, context)
    if thresholds:
        await _act(account, thresholds, figures, context)


def _value_at_risk(standing: Standing, past: History) -> Figures:
    found = past.figures(standing.exposure)
    if not found:
        return {}
    risk = found[NAMED]  # type: ignore[index]
    return {
        "value_at_risk": Decimal(str(round(risk.value_at_risk, 8))),
        "expected_shortfall": Decimal(str(round(risk.expected_shortfall, 8))),
    }


async def _tell(account: Account, figures: Figures, context: RequestContext) -> None:
    known = {name: rounded(value) for name, value in figures.items() if value.is_finite()}
    report = RiskMetrics(account_id=account["id"], user_id=account["user_id"], figures=known, as_of=context.now())
    event = from_report(
        report,
        str(context.uuid()),
        now=context.now(),
        service=context.service,
        origin=context.origin,
        key=str(account["user_id"]),
    )
    await context.runtime.publisher.publish(RISK_METRICS.name, event)


async def _thresholds(account: Account, context: RequestContext) -> Thresholds:
    """Of all levels above the account, by whose word they are."""
    scopes = scopes_of(account["user_id"], account["id"], None)
    found: dict[Authority, list[Threshold]] = {}
    for state in (await context.runtime.store.guards(context.tenant_id, scopes)).values():
        for authority in AUTHORITIES & state.limits.keys():
            limits = SetLimits.model_validate(state.limits[authority])
            found.setdefault(authority, []).extend(limits.thresholds or ())
    return dict(found)


async def _act(account: Account, thresholds: Thresholds, figures: Figures, context: RequestContext) -> None:
    scope = f"account:{account['id']}"

    async def propose() -> Proposal[Level]:
        loaded = await context.load(LEVEL, level_id(scope))
        level = loaded.state or Level(scope)
        change = Change(loaded, decide(level, thresholds, figures, account["user_id"]))
        ((_, _, state),) = after([change], context.now())
        now = state or level
        raises = [GuardChange(scope, now.halted, now.settings)] if now.settings_changed(level) else []
        return Proposal([change], now, raises=raises)

    level = await context.decide(propose)
    Risk.of(context.runtime).forget_limits(account["id"])
    each = [threshold for some in thresholds.values() for threshold in some if threshold.action == "flatten"]
    if any((threshold.metric, threshold.limit) in level.alerts for threshold in each):
        await _flatten(account, context)


async def _flatten(account: Account, context: RequestContext) -> None:
    """Order commands close what is open; what they do not manage in time is asked for at the next look."""
    positions = await context.find("positions", {"account_id": account["id"]})
    if any(row["quantity"] for row in positions):
        body = ClosePositions(account_id=account["id"]).model_dump_json().encode()
        try:
            await context.invoke("order-commands", "POST", "/api/v1/positions/close", body)
        except TimeoutError:
            log.warning("closing takes longer", account_id=str(account["id"]))
