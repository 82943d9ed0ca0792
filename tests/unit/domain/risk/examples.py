"""A risk context in which nothing is wrong; each test spoils one thing."""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

from patriot.domain.risk.context import Denied, ReferencePrice, RiskContext, Rule
from patriot.domain.risk.limits import Limits
from tests.unit.domain.examples import NOW, command, instrument

LIMITS = Limits(
    maximum_order_notional=Decimal(5000),
    maximum_position_notional=Decimal(8000),
    maximum_open_orders=3,
    maximum_orders_per_second=5,
    price_collar=Decimal("0.1"),
    price_age_seconds_max=60,
    version=7,
)


def price(bid: str = "99", ask: str = "101", age_seconds: float = 1, **changes: Any) -> ReferencePrice:
    fields = {"bid": Decimal(bid), "ask": Decimal(ask), "last": Decimal(bid)}
    return ReferencePrice(**fields, as_of=NOW - timedelta(seconds=age_seconds), **changes)


def context(kind: str = "spot", **changes: Any) -> RiskContext:
    """Buy 10 BTC at 100 of a market at 99 - 101, with money for it. `order` takes changes of the command."""
    order = command(**changes.pop("order", {}))
    fields: dict[str, Any] = {
        "order": order,
        "now": NOW,
        "instrument": instrument(kind),
        "price": price(),
        "limits": LIMITS,
        "available": {"USDT": Decimal(2000), "BTC": Decimal(20)},
        "leverage": 10,
        **changes,
    }
    return RiskContext(**fields)


def judge(code: str, judged: RiskContext) -> Denied | None:
    """The verdict of one rule."""
    check: Rule = import_module(f"patriot.domain.risk.rules.{code}").check
    assert check.code == code
    return check(judged)
