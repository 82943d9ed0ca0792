"""Judge an order. Rule: the first broken rule denies; only an order that breaks none is approved."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from patriot.domain.money import AMOUNT_MAX, exact
from patriot.domain.quotas import OPEN_ORDERS, side_quota
from patriot.domain.risk import rules
from patriot.domain.risk.context import Approved, Denied, RiskContext, Rule, Verdict
from patriot.domain.risk.reservation import reservation_for
from patriot.domain.risk.rules.position_notional import maximum_quantity


@cache
def discovered() -> tuple[Rule, ...]:
    """All rules of the `rules` folder: gates first, then by code."""
    modules = (import_module(f"{rules.__name__}.{module.name}") for module in iter_modules(rules.__path__))
    found: list[Rule] = [module.check for module in modules]
    return tuple(sorted(found, key=lambda rule: (rule.stage, rule.code)))


@exact
def evaluate(context: RiskContext, rules_in_order: Sequence[Rule] | None = None) -> Verdict:
    """Approved with what the order must reserve, or Denied by the first rule that it breaks."""
    for rule in discovered() if rules_in_order is None else rules_in_order:
        denied = rule(context)
        if denied:
            return denied
    reservation = reservation_for(context)
    if reservation.amount > AMOUNT_MAX:
        return Denied("buying_power", f"would reserve more than {AMOUNT_MAX} {reservation.asset}", "quantity")
    return Approved(reservation, context.limits.version, _maxima(context))


def _maxima(context: RiskContext) -> dict[str, Decimal]:
    """What the commit allows of the quotas that the order uses."""
    maxima: dict[str, Decimal] = {}
    if context.limits.maximum_open_orders is not None:
        maxima[OPEN_ORDERS] = Decimal(context.limits.maximum_open_orders)
    quantity = maximum_quantity(context)
    if quantity is not None:
        maxima[side_quota(context.order.side, context.order.instrument)] = quantity
    return maxima
