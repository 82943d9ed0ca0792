"""How a stop follows the market: one pure function a rule. Rule: a better price never gives a worse stop.

All prices here are integers, *mirrored* so that every stop lies below the market and fires when the price falls to it:
for what fires when the price rises (the stop of a short position, the take-profit of a long one) they are negative.
`best` is the highest mirrored price since the stop became active.

| rule | stop |
| --- | --- |
| offset | best - distance |
| percent | best - distance percent of it |
| step | best - distance, on multiples of the step |
| break_even | the entry, once best is `distance` beyond it |
| 80/80/50 | 1.8 x entry above 1.8 x entry, 1.5 x entry above 1.5 x; short: 0.2 x below 0.2 x, 0.5 x below 0.5 x |

Between two of its moves a stop does not change, so `moves_at` tells the best price at which it does so next.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal

from patriot.domain.instrument import Instrument
from schemas.types import OrderType, Side, Trailing, TrailingRule

MILLIONTHS: Final = 1_000_000
PER_PERCENT: Final = MILLIONTHS // 100
LEVELS_LONG: Final = (Decimal("1.5"), Decimal("1.8"))
LEVELS_SHORT: Final = (Decimal("0.5"), Decimal("0.2"))

Sign = Literal[1, -1]


@dataclass(frozen=True, slots=True)
class Terms:
    """A trailing rule in mirrored units. `distance` in millionths for `percent`; `ladder` = (best from which, stop)."""

    rule: TrailingRule
    distance: int = 0
    step: int = 0
    ladder: tuple[tuple[int, int], ...] = ()

    @property
    def is_smooth(self) -> bool:
        """Whether every new best price moves the stop."""
        return self.rule in {"offset", "percent"}


def offset(terms: Terms, best: int) -> int | None:
    return best - terms.distance


def percent(terms: Terms, best: int) -> int | None:
    return best - abs(best) * terms.distance // MILLIONTHS


def step(terms: Terms, best: int) -> int | None:
    return (best - terms.distance) // terms.step * terms.step


def ladder(terms: Terms, best: int) -> int | None:
    """Break-even and 80/80/50: the stop of the highest rung that was reached; None before the first."""
    return max((stop for reach, stop in terms.ladder if best >= reach), default=None)


RULES: Final[Mapping[TrailingRule, Callable[[Terms, int], int | None]]] = {
    "offset": offset,
    "percent": percent,
    "step": step,
    "break_even": ladder,
    "80/80/50": ladder,
}


def stop_at(terms: Terms, best: int) -> int | None:
    """Where the stop stands after this best price; None where the rule gives none yet."""
    return RULES[terms.rule](terms, best)


def moves_at(terms: Terms, best: int) -> int | None:
    """The best price at which the stop moves next; None: never again."""
    if terms.is_smooth:
        return best + 1
    if terms.rule == "step":
        return ((best - terms.distance) // terms.step + 1) * terms.step + terms.distance
    return min((reach for reach, _ in terms.ladder if reach > best), default=None)


# --- from orders to units ---
def sign_of(side: Side, order_type: OrderType) -> Sign:
    """1 where the order fires when the price falls."""
    falls = (side == "sell") != order_type.startswith("take_profit")
    return 1 if falls else -1


def units(instrument: Instrument, price: Decimal, sign: Sign) -> int:
    """A mirrored price. What lies between two units is rounded so that the stop is no looser than asked."""
    scaled = price.scaleb(instrument.price_decimals)
    return sign * int(scaled.to_integral_value(ROUND_CEILING if sign > 0 else ROUND_FLOOR))


def terms_of(trailing: Trailing, side: Side, instrument: Instrument, sign: Sign) -> Terms:
    if trailing.rule == "percent":
        assert trailing.distance is not None
        return Terms("percent", max(1, int(trailing.distance * PER_PERCENT)))
    if trailing.rule in {"offset", "step"}:
        return Terms(trailing.rule, _width(instrument, trailing.distance), _width(instrument, trailing.step))
    return Terms(trailing.rule, ladder=_ladder(trailing, side, instrument, sign))


def _width(instrument: Instrument, width: Decimal | None) -> int:
    return 0 if width is None else max(1, int(width.scaleb(instrument.price_decimals)))


def _ladder(trailing: Trailing, side: Side, instrument: Instrument, sign: Sign) -> tuple[tuple[int, int], ...]:
    assert trailing.entry_price is not None
    entry = trailing.entry_price
    if trailing.rule == "break_even":
        stop = units(instrument, entry, sign)
        return ((stop + _width(instrument, trailing.distance), stop),)
    levels = LEVELS_LONG if side == "sell" else LEVELS_SHORT
    stops = [units(instrument, entry * level, sign) for level in levels]
    return tuple((stop + 1, stop) for stop in stops)
