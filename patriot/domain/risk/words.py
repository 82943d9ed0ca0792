"""Figures in the words of a reason. Rule: a trader reads them as they would write them, without zeros at the end."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from patriot.domain.money import plain

_SHOWN = Context(prec=8, rounding=ROUND_HALF_EVEN)


def about(number: Decimal) -> str:
    """A figure that was divided: eight digits of it."""
    return plain(_SHOWN.plus(number)) if number.is_finite() else "infinitely many"


def percent(fraction: Decimal) -> str:
    return f"{about(fraction * 100)} %" if fraction.is_finite() else "more than all"
