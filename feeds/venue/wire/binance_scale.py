"""Numbers as Binance writes them. Rule: fixed decimals, always text: 8 on spot, the symbol's own on futures."""

from decimal import ROUND_DOWN, Context, Decimal

from patriot.domain.instrument import Instrument

SPOT_DECIMALS = 8
_EXACT = Context(prec=60, rounding=ROUND_DOWN)


class Scale:
    """Writes one instrument's units. `price(123450)` -> "1234.50"."""

    __slots__ = ("instrument", "_price", "_quantity")  # noqa: RUF023

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        is_spot = instrument.kind == "spot"
        self._price = _writer(instrument.price_decimals, is_spot=is_spot)
        self._quantity = _writer(instrument.quantity_decimals, is_spot=is_spot)

    def price(self, units: int) -> str:
        return _write(units, self._price)

    def quantity(self, units: int) -> str:
        return _write(units, self._quantity)

    def levels(self, pairs: list[tuple[int, int]]) -> list[list[str]]:
        return [[_write(price, self._price), _write(quantity, self._quantity)] for price, quantity in pairs]

    def notional(self, price: int, quantity: int) -> str:
        """Quote value of units, with 8 decimals."""
        instrument = self.instrument
        return amount(instrument.notional(instrument.quantity_of(quantity), instrument.price_of(price)))


def amount(number: Decimal) -> str:
    """8 decimals, cut."""
    return fixed(number, SPOT_DECIMALS)


def fixed(number: Decimal, decimals: int) -> str:
    return format(number.quantize(Decimal(1).scaleb(-decimals), context=_EXACT), "f")


_Writer = tuple[int, int, str]
"""What divides units into whole and rest, the width of the rest, zeros that follow it."""


def _writer(decimals: int, *, is_spot: bool) -> _Writer:
    return 10**decimals, decimals, "0" * (SPOT_DECIMALS - decimals) if is_spot else ""


def _write(units: int, writer: _Writer) -> str:
    one, decimals, zeros = writer
    sign = "-" if units < 0 else ""
    whole, rest = divmod(abs(units), one)
    if not decimals:
        return f"{sign}{whole}.{zeros}" if zeros else f"{sign}{whole}"
    return f"{sign}{whole}.{rest:0{decimals}d}{zeros}"
