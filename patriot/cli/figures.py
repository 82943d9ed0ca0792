"""How figures read. Rule: nothing is rounded that an order could depend on; JSON output never comes through here.

Prices and quantities are exact, with separators for thousands and no zeros at the end. Sums of money show two decimals,
or more where two would hide the amount. Times are UTC.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from patriot.domain.money import plain

CASH = frozenset({"USDT", "USDC", "USD", "FDUSD", "EUR"})
COIN_DECIMALS = 8
SMALL_DECIMALS = 6
CENTS_FROM = Decimal("0.1")
AVERAGE_DECIMALS = 4
LEVELS = "▁▂▃▄▅▆▇█"

Figure = str | Decimal | None
CENT = Decimal("0.01")


def number(value: Figure) -> str:
    """A price or quantity, exact: 60,012.4."""
    if value is None:
        return ""
    whole, point, decimals = plain(Decimal(value)).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{point}{decimals}"


def average(value: Figure) -> str:
    """A price that a division made."""
    if value is None or not Decimal(value):
        return ""
    exact = Decimal(value)
    return number(round(exact, AVERAGE_DECIMALS if exact >= 1 else COIN_DECIMALS))


def fixed(value: Decimal, decimals: int) -> str:
    """A price in a column: always as many decimals."""
    return f"{value:,.{decimals}f}"


def money(value: Figure, asset: str = "USDT") -> str:
    """A sum: 99,995.43 of a currency, 0.00120845 of a coin."""
    if value is None:
        return ""
    amount = Decimal(value)
    if asset not in CASH:
        return number(round(amount, COIN_DECIMALS))
    if amount == 0 or abs(amount) >= CENTS_FROM:
        return f"{amount.quantize(CENT, ROUND_HALF_EVEN):,f}"  # libraries change the rounding of the whole process
    whole, _, decimals = plain(round(amount, SMALL_DECIMALS)).partition(".")
    return f"{whole}.{decimals:0<2}"


def signed(value: Figure, asset: str = "USDT") -> str:
    """A profit or loss: +1.65."""
    text = money(value, asset)
    return f"+{text}" if value is not None and Decimal(value) > 0 else text


def share(value: Figure) -> str:
    """A fraction: 38.26%; of what is small the first two digits that are not zero."""
    if value is None:
        return ""
    of_hundred = Decimal(value) * 100
    decimals = max(2, 1 - of_hundred.adjusted()) if of_hundred else 2
    return f"{round(of_hundred, decimals):,f}%"


def percent(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole * 100:+.2f}%" if whole else ""


def moment(text: str | None, *, today: datetime | None = None, narrow: bool = False) -> str:
    """The second of a time in UTC; with the day unless it is today. `narrow`: of other days the minute will do."""
    if not text:
        return ""
    time = datetime.fromisoformat(text).astimezone(UTC)
    same_day = time.date() == (today or datetime.now(UTC)).date()
    if same_day:
        return f"{time:%H:%M:%S}"
    return f"{time:%m-%d %H:%M}" if narrow else f"{time:%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def style_of(value: Figure) -> str:
    """Green for a gain, red for a loss."""
    amount = Decimal(value or 0)
    return "green" if amount > 0 else "red" if amount < 0 else ""


def sparkline(values: Sequence[Decimal], width: int) -> str:
    """The newest `width` values as a line of blocks."""
    shown = values[-width:] if width > 0 else ()
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if low == high:
        return LEVELS[0] * len(shown)
    top = len(LEVELS) - 1
    return "".join(LEVELS[int((value - low) * top / (high - low) + Decimal("0.5"))] for value in shown)
