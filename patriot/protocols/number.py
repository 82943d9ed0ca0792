"""Decimal text to integer units, exactly. Rule: no float touches a number on its way in.

A `Scale` remembers what it converted: the same prices and sizes come back thousands of times, and a dictionary hit is
five times cheaper than a conversion. Scales are shared by all instruments with the same number of decimals.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import decimals_of
from patriot.protocols.errors import MalformedFrame, Unrepresentable

ENTRIES_MAX = 32_768  # about 5 MB per scale
DECIMALS_MAX = 18  # NUMERIC(38, 18) in SQL
DIGITS_MAX = 40  # longer text is an attack on int(), not a price


class Scale(dict[str, int]):
    """text -> units: `Scale(2)["61800.20"] == 6180020`.

    Raises:
        MalformedFrame: for text that is no plain, non-negative decimal number.
        Unrepresentable: for a value with more decimals than the scale.

    """

    __slots__ = ("decimals",)

    def __init__(self, decimals: int) -> None:
        super().__init__()
        self.decimals = decimals

    def __missing__(self, text: str) -> int:
        whole, fraction = split(text)
        if fraction[self.decimals :].strip("0"):
            raise Unrepresentable(text, self.decimals)
        units = int(whole + fraction[: self.decimals].ljust(self.decimals, "0"))
        if len(self) >= ENTRIES_MAX:
            self.clear()
        self[text] = units
        return units

    def nearest(self, text: str) -> int:
        """Round half to even: for statistics and reference prices, which venues give in finer steps than they trade."""
        whole, fraction = split(text)
        number = Decimal(f"{whole}.{fraction}").scaleb(self.decimals)
        return int(number.quantize(Decimal(1), ROUND_HALF_EVEN))


@cache
def scale(decimals: int) -> Scale:
    """The one scale for this many decimals (instrument definitions allow few, so the cache stays small)."""
    return Scale(decimals)


def levels(pairs: Sequence[tuple[str, str]], price: Scale, quantity: Scale) -> list[tuple[int, int]]:
    """Convert book levels. Column by column, because then the loop runs in C."""
    if not pairs:
        return []
    prices, quantities = zip(*pairs, strict=True)
    return list(zip(map(price.__getitem__, prices), map(quantity.__getitem__, quantities), strict=True))


def split(text: str) -> tuple[str, str]:
    """Whole and fractional digits of a plain, non-negative number. Raises MalformedFrame for anything else."""
    whole, dot, fraction = text.partition(".")
    digits = whole + fraction
    if not (whole and digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX) or (dot and not fraction):
        raise MalformedFrame(f"{text[:DIGITS_MAX]!r} is not a plain decimal number")
    return whole, fraction


def signed(text: str) -> str:
    """Check a rate such as "-0.0001" and return it; an empty text, as dated futures send it, is "0"."""
    if not text:
        return "0"
    split(text.removeprefix("-"))
    return text


def decimals(step: Decimal, stated: int = 0) -> int:
    """Decimals of a scale: what the step needs, or what the venue states if that is more. Raises InvalidValue."""
    needed = max(decimals_of(step), stated)
    if needed > DECIMALS_MAX:
        raise InvalidValue("decimals", f"at most {DECIMALS_MAX}, not {needed}")
    return needed
