"""Risk: what the whole set of rules costs an order, and value at risk of 100 accounts × 50 instruments.

    python -m tests.bench risk

Value at risk is compared with the same figures written straight in numpy, all accounts in one array: what is left is
what the platform's own code around numpy costs. Rounds are interleaved; the median and the worst are told.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from patriot.domain.instrument import Instrument
from patriot.domain.risk.context import Approved, ReferencePrice, RiskContext
from patriot.domain.risk.evaluate import discovered, evaluate
from patriot.domain.risk.limits import Limits
from patriot.domain.risk.standing import Standing
from patriot.domain.risk.value_at_risk import HORIZONS_DAYS, Floats, growths, measure
from schemas.commands import CreateOrder
from tests.support.host import PERPETUAL

ORDERS, ROUNDS = 2_000, 7
ACCOUNTS, INSTRUMENTS, DAYS = 100, 50, 500
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def context() -> RiskContext:
    """An order that every rule has something to look at and none denies."""
    instrument: Instrument = PERPETUAL
    order = CreateOrder(
        account_id=UUID(int=1),
        instrument=instrument.id,
        side="buy",
        quantity=Decimal("0.01"),
        price=Decimal(60000),
        post_only=False,
    )
    limits = Limits(
        maximum_leverage=Decimal(5),
        maximum_margin_usage=Decimal("0.9"),
        maximum_daily_loss=Decimal(10_000),
        maximum_drawdown=Decimal("0.5"),
        maximum_concentration=Decimal(3),
        maximum_cancels_per_second=100,
        duplicate_seconds=1,
        prevent_self_trade=True,
        sessions=(("mon-sun 00:00-24:00",), ("sat 08:00-22:00",)),
    )
    standing = Standing(
        Decimal(100_000), Decimal(2_000), Decimal(40), {"BTC": Decimal(10_000)}, {}, *[Decimal(100_500)] * 2
    )
    return RiskContext(
        order=order,
        now=NOW,
        instrument=instrument,
        price=ReferencePrice(Decimal(59999), Decimal(60001), Decimal(60000), NOW),
        limits=limits,
        available={"USDT": Decimal(90_000)},
        best_opposite=Decimal(61000),
        same_order_seconds=30.0,
        standing=standing,
    )


def cost_of_rules(limits: Limits | None = None) -> float:
    """Microseconds an order."""
    judged = context() if limits is None else RiskContext(**{**_fields(context()), "limits": limits})
    assert isinstance(evaluate(judged), Approved)
    started = time.perf_counter()
    for _ in range(ORDERS):
        evaluate(judged)
    return (time.perf_counter() - started) / ORDERS * 1e6


def _fields(judged: RiskContext) -> dict[str, Any]:
    return {name: getattr(judged, name) for name in RiskContext.__dataclass_fields__}


def market() -> tuple[Floats, Floats]:
    """Daily returns that move together, and what each account holds."""
    generator = np.random.default_rng(1)
    common = generator.normal(0, 0.02, (DAYS, 1))
    returns = common + generator.normal(0, 0.02, (DAYS, INSTRUMENTS))
    return returns, generator.normal(0, 10_000, (ACCOUNTS, INSTRUMENTS))


def ours(returns: Floats, held: Floats) -> float:
    draws = {days: growths(returns, days, seed=1) for days in HORIZONS_DAYS}
    return sum(
        measure(held[account], returns, draws)["historical", 0.99, 1].value_at_risk for account in range(ACCOUNTS)
    )


def numpy_alone(returns: Floats, held: Floats) -> float:
    """The limit: the same draws and quantiles for all accounts in one array."""
    draws = {days: growths(returns, days, seed=1) for days in HORIZONS_DAYS}
    past = np.sort(returns @ held.T, axis=0)
    past.mean(axis=0), past.std(axis=0, ddof=1)
    for drawn in draws.values():
        np.sort(drawn @ held.T, axis=0)
    return float(np.maximum(0, -past[4]).sum())


def seconds(action: Callable[[Floats, Floats], float], returns: Floats, held: Floats) -> float:
    started = time.perf_counter()
    action(returns, held)
    return time.perf_counter() - started


def run() -> list[dict[str, Any]]:
    returns, held = market()
    assert np.isclose(ours(returns, held), numpy_alone(returns, held)), "both must find the same"
    all_rules, usual, own, limit = list[float](), list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        all_rules.append(cost_of_rules())
        usual.append(cost_of_rules(Limits()))
        own.append(seconds(ours, returns, held))
        limit.append(seconds(numpy_alone, returns, held))
    ratios = [each / other for each, other in zip(limit, own, strict=True)]
    return [
        {
            "name": f"all {len(discovered())} rules, every limit set",
            "value": statistics.median(all_rules),
            "worst": max(all_rules),
            "unit": "µs an order",
        },
        {
            "name": f"all {len(discovered())} rules, default limits",
            "value": statistics.median(usual),
            "worst": max(usual),
            "unit": "µs an order",
        },
        {
            "name": f"value at risk and shortfall, {ACCOUNTS} accounts × {INSTRUMENTS} instruments, 12 figures each",
            "value": statistics.median(own),
            "worst": max(own),
            "unit": "s",
            "ratio": statistics.median(ratios),
            "peer": "numpy alone, all accounts in one array",
            "target": 0.5,
        },
    ]
