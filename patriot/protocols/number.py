"""Decimal text to integer units, exactly. Rule: no float touches a number on its way in.

A `Scale` is a dictionary that remembers what it converted: prices and the sizes of a book come back all the time (80 to
98 % in recordings of the busiest markets), and a hit is four times cheaper than a conversion. Trades and best quotes
repeat their last price or bring a new one, and the sizes of quotes rarely come back: `convert` them.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import decimals_of
from patriot.protocols.errors import MalformedFrame, Unrepresentable

ENTRIES_MAX = 32_768  # 4 MB; only the busiest markets have that many prices, others stay far below
DECIMALS_MAX = 18  # NUMERIC(38, 18) in SQL
LENGTH_MAX = 40  # longer text is an attack on int(), not a price

Pairs = Sequence[tuple[str, str]]
Levels = list[tuple[int, int]]


class Scale(dict[str, int]):
    """text -> units: `Scale(2)["61800.20"] == 6180020`.

    Raises:
        MalformedFrame: for text that is no plain, non-negative decimal number.
        Unrepresentable: for a value with more decimals than the scale.

    """

    __slots__ = ("_point", "decimals")

    def __init__(self, decimals: int) -> None:
        super().__init__()
        self.decimals = decimals
        self._point = -decimals - 1  # where the point is when all decimals are printed

    def __missing__(self, text: str) -> int:
        units = self.convert(text)
        if len(self) >= ENTRIES_MAX:
            self.clear()
        self[text] = units
        return units

    def convert(self, text: str) -> int:
        """Convert without remembering. One point, at its place, and digits: then the point just goes."""
        digits = text.replace(".", "", 1)
        try:
            if text[self._point] == "." and digits.isdecimal():
                return int(digits)
        except IndexError:
            pass
        return self._convert_slowly(text)

    def _convert_slowly(self, text: str) -> int:
        whole, fraction = split(text)
        if fraction[self.decimals :].strip("0"):
            raise Unrepresentable(text, self.decimals)
        return int(whole + fraction[: self.decimals].ljust(self.decimals, "0"))

    def nearest(self, text: str) -> int:
        """Round half to even: for statistics and reference prices, which venues give in finer steps than they trade."""
        whole, fraction = split(text)
        surplus = len(fraction) - self.decimals
        factor: int = 10 ** abs(surplus)
        units = int(whole + fraction)
        if surplus <= 0:
            return units * factor
        units, rest = divmod(units, factor)
        return units + (2 * rest > factor or (2 * rest == factor and units % 2))


@cache
def shared_scale(decimals: int) -> Scale:
    """For quantities: all markets trade the same round sizes."""
    return Scale(decimals)


def levels(pairs: Pairs, price: Scale, quantity: Scale) -> Levels:
    """Convert one side of a book."""
    return [(price[one], quantity[other]) for one, other in pairs]


def split(text: str) -> tuple[str, str]:
    """Whole and fractional digits of a plain, non-negative number. Raises MalformedFrame for anything else."""
    whole, point, fraction = text.partition(".")
    if (whole + fraction).isdecimal() and (fraction or not point) and len(text) <= LENGTH_MAX:
        return whole, fraction
    raise MalformedFrame(f"{text[:LENGTH_MAX]!r} is not a plain decimal number")


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
