"""How much of which asset an order must hold. Rule: never less than it can cost, and computed here only.

| order                | asset  | amount                                                                    |
| -------------------- | ------ | ------------------------------------------------------------------------- |
| spot buy             | quote  | quantity x dearest price x (1 + taker fee)                                |
| spot sell            | base   | quantity (the fee is taken from the proceeds)                             |
| derivative           | settle | notional at the dearest price / leverage + taker fee on that notional     |
| derivative, reducing | settle | the taker fee: closing frees margin, it binds none                        |

The dearest price is the one at which the order binds most:

* a limit buy pays its limit at most; a market buy the ask plus the collar; a stop buy its stop price plus the collar;
* a sell may fill above its limit: the higher of its own price and the bid;
* an inverse contract is worth more coins at a lower price: everything mirrored.

Only what is still open of the order counts. The amount is rounded up to 18 decimals.
"""

from decimal import ROUND_UP, Decimal

from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, exact, rounded
from patriot.domain.order import Reservation
from patriot.domain.risk.context import RiskContext
from patriot.domain.risk.limits import Limits

SLIPPAGE = Decimal("0.05")  # what a market order may run where the account has no collar


@exact
def reservation_for(context: RiskContext) -> Reservation:
    """What the open quantity of the order must reserve."""
    instrument = context.known_instrument
    if instrument.is_derivative:
        return Reservation(instrument.settle, _margin_and_fee(context))
    if context.order.side == "sell":
        return Reservation(instrument.base, context.open_quantity)
    notional = instrument.notional(context.open_quantity, dearest_price(context))
    return Reservation(instrument.quote, rounded(notional * (1 + fee_rate(instrument)), ROUND_UP))


def _margin_and_fee(context: RiskContext) -> Decimal:
    instrument = context.known_instrument
    notional = instrument.notional(context.open_quantity, dearest_price(context))
    margin = ZERO if context.order.reduce_only else notional / context.multiple
    return rounded(margin + notional * fee_rate(instrument), ROUND_UP)


def fee_rate(instrument: Instrument) -> Decimal:
    """The dearer of both fees; a rebate is not counted on."""
    return max(ZERO, instrument.taker_fee, instrument.maker_fee)


@exact
def dearest_price(context: RiskContext) -> Decimal:
    """The price at which the order binds most; see the module's text."""
    order, price = context.order, context.known_price
    binds_most_when_low = context.known_instrument.kind == "inverse"
    if binds_most_when_low == (order.side == "buy"):
        own = order.price or order.stop_price
        market = price.ask if order.side == "buy" else price.bid
        return market if own is None else (min(own, market) if binds_most_when_low else max(own, market))
    if order.price is not None:
        return order.price
    market = order.stop_price or (price.ask if order.side == "buy" else price.bid)
    slippage = slippage_of(context.limits)
    return market * (1 - slippage if binds_most_when_low else 1 + slippage)


def slippage_of(limits: Limits) -> Decimal:
    return SLIPPAGE if limits.price_collar is None else limits.price_collar


def quote_value(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """What `quantity` is worth in the quote asset. Inverse contracts are denominated in it."""
    if instrument.kind == "inverse":
        return quantity * instrument.contract_size
    return instrument.notional(quantity, price)
