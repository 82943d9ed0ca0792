"""Judge an order. Rule: the first broken rule denies; only an order that breaks none is approved."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from patriot.domain.money import AMOUNT_MAX, exact
from patriot.domain.risk import rules
from patriot.domain.risk.context import Approved, Denied, RiskContext, Rule, Verdict
from patriot.domain.risk.reservation import reservation_for


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
    return Approved(reservation, context.limits.version)
