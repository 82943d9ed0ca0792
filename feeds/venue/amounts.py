"""Exact money inside the venue. Rule: an amount of any asset is an integer count of 10^-18.

So notionals, fees and profits are exact sums of integers and what one account gains another loses to the last unit.
"""

from decimal import Context, Decimal

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.money import decimal_of

AMOUNT_DECIMALS = 18
ONE = 10**AMOUNT_DECIMALS
RATE_ONE = 10**12
"""Rates (fees, margins, funding) are integer counts of 10^-12."""

_EXACT = Context(prec=80)  # wide enough for any amount: the default 28 digits would round large balances
_FEE_STEP = 10**10  # a fee is cut to 8 decimals, as the exchanges show it


def amount_of(value: Decimal) -> int:
    """Decimal -> amount. Raises InvalidValue where 18 decimals cannot hold it."""
    return _scaled(value, AMOUNT_DECIMALS, "amount")


def decimal_amount(amount: int) -> Decimal:
    """Amount -> Decimal without trailing zeros: 1500000000000000000 -> Decimal('1.5')."""
    whole, rest = divmod(amount, ONE)
    if not rest:
        return Decimal(whole)
    return _EXACT.normalize(_EXACT.scaleb(Decimal(amount), -AMOUNT_DECIMALS))


def rate_of(value: Decimal) -> int:
    """Rate -> count of 10^-12."""
    return _scaled(value, 12, "rate")


def fee_on(amount: int, rate: int) -> int:
    """Fee on an amount, cut toward zero to 8 decimals. A negative rate is a rebate."""
    size = amount * abs(rate) // RATE_ONE // _FEE_STEP * _FEE_STEP
    return size if rate >= 0 else -size


def share_of(amount: int, rate: int) -> int:
    """Return `amount * rate`, rounded away from the account's favour (up)."""
    return -(-amount * rate // RATE_ONE)


def notional_factor(instrument: Instrument) -> int:
    """Multiplier such that price units x quantity units x factor is the notional as an amount."""
    scale = AMOUNT_DECIMALS - instrument.price_decimals - instrument.quantity_decimals
    return _scaled(instrument.contract_size, scale, "contract_size")


def quantity_factor(instrument: Instrument) -> int:
    """Multiplier such that quantity units x factor is the quantity of the base asset as an amount."""
    return _scaled(instrument.contract_size, AMOUNT_DECIMALS - instrument.quantity_decimals, "contract_size")


def _scaled(value: Decimal, decimals: int, field: str) -> int:
    scaled = _EXACT.scaleb(decimal_of(value, field), decimals)
    units = int(scaled)
    if units != scaled:
        raise InvalidValue(field, f"has more than {decimals} decimals")
    return units
