"""Money is `Decimal`. Floats, NaN and infinity never get in; text never leaves with an exponent.

Sums and products are exact: `EXACT` has room for the product of three of the largest amounts. Only a division may
round, and what is stored is rounded to 18 decimals, half to even.
"""

from collections.abc import Callable
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    getcontext,
    setcontext,
)
from functools import wraps
from typing import ParamSpec, TypeVar

from patriot.domain.errors import InvalidValue

ZERO = Decimal(0)
AMOUNT_MAX = Decimal(10) ** 18  # NUMERIC(38, 18) in SQL: nothing larger is representable
STEP = Decimal("1E-18")
EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def exact(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Run `function` in the `EXACT` context: the interpreter's own rounds everything to 28 digits."""

    @wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        before = getcontext()
        if before is EXACT:  # one exact function calls another
            return function(*args, **kwargs)
        setcontext(EXACT)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(before)

    return run


def rounded(number: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Return `number` with at most 18 decimals, unchanged where it has no more."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "an amount is finite"
    return number if exponent >= -18 else number.quantize(STEP, rounding=rounding, context=EXACT)


def decimal_of(value: str | int | Decimal, field: str = "value") -> Decimal:
    """Return `value` as a finite Decimal.

    Raises:
        InvalidValue: for floats, booleans, NaN, infinity, text that is no number, or an absolute value over 10^18.

    """
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise InvalidValue(field, f"must be a decimal string or an integer, not {type(value).__name__}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise InvalidValue(field, "is not a number") from None
    if not number.is_finite():
        raise InvalidValue(field, "must be finite")
    if number.copy_abs() > AMOUNT_MAX:
        raise InvalidValue(field, "is larger than 10^18")
    return number


def plain(number: Decimal) -> str:
    """Return the shortest exact text without exponent: Decimal('1E+3') -> '1000', Decimal('0.500') -> '0.5'."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_multiple(number: Decimal, step: Decimal) -> bool:
    """Tell whether `number` is a whole number of `step`s. A zero step means any number will do."""
    return not step or not EXACT.remainder(number, step)


def round_down(number: Decimal, step: Decimal) -> Decimal:
    """Round toward zero to a whole number of `step`s."""
    return EXACT.multiply(EXACT.divide_int(number, step), step) if step else number
