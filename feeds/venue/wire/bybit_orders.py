"""Create, amend, cancel: the same for REST and the trade socket. Rule: the answer names the order, nothing more.

What became of the order is told by the stream and by /v5/order/realtime; a post-only or fill-or-kill order that cannot
stand is accepted and then cancelled. What the venue does not know how to do (attached take-profit and stop-loss,
hedge mode, margin on spot) is refused, never dropped in silence.
"""

import re
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from feeds.venue.accounts import Account
from feeds.venue.errors import UnknownOrder, VenueError, WouldTriggerImmediately
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, Order, OrderType, Side, TimeInForce
from feeds.venue.wire.bybit_errors import (
    PARAMETERS,
    SPOT_QUANTITY_TOO_LARGE,
    SPOT_QUANTITY_TOO_SMALL,
    SPOT_VALUE_TOO_SMALL,
    Refused,
    malformed,
    refused,
)
from feeds.venue.wire.bybit_ids import link_id, order_id, order_number
from feeds.venue.wire.bybit_parameters import Parameters
from feeds.venue.wire.bybit_rows import SELF_TRADES, TRIGGERS
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO

_LINK_ID: Final = re.compile(r"[A-Za-z0-9_-]{0,36}", re.ASCII)
_UNSUPPORTED: Final = ("takeProfit", "stopLoss", "tpLimitPrice", "slLimitPrice", "trailingStop", "orderIv")
_TIMES_IN_FORCE: Final = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.GTC,
}
_RISING, _FALLING = "1", "2"
_TYPES: Final = {
    # is market, stop or take-profit ("" for an order that does not wait)
    (True, ""): OrderType.MARKET,
    (False, ""): OrderType.LIMIT,
    (True, "stop"): OrderType.STOP_MARKET,
    (False, "stop"): OrderType.STOP_LIMIT,
    (True, "take profit"): OrderType.TAKE_PROFIT_MARKET,
    (False, "take profit"): OrderType.TAKE_PROFIT_LIMIT,
}


def create(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer `order.create`. Raises Refused."""
    instrument = parameters.instrument(exchange)
    request = new_order(exchange, instrument, parameters)
    if not instrument.is_derivative:
        _check_spot_size(instrument, request)
    try:
        order = exchange.create(account, request)
    except WouldTriggerImmediately as error:
        rising = parameters.text("triggerDirection") == _RISING
        message = (
            "expect Rising, but trigger_price <= current" if rising else "expect Falling, but trigger_price >= current"
        )
        raise Refused(110092 if rising else 110093, message) from error
    except VenueError as error:
        raise refused(error, instrument.kind) from error
    return names(order)


def amend(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer `order.amend`. Raises Refused."""
    instrument = parameters.instrument(exchange)
    _refuse_unsupported(parameters)
    try:
        order = exchange.amend(
            account,
            instrument.id,
            **_reference(parameters),
            price=parameters.decimal("price"),
            quantity=parameters.decimal("qty"),
            trigger_price=parameters.decimal("triggerPrice"),
        )
    except VenueError as error:
        raise refused(error, instrument.kind) from error
    return names(order)


def cancel(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer `order.cancel`. Raises Refused."""
    instrument = parameters.instrument(exchange)
    try:
        return names(exchange.cancel(account, instrument.id, **_reference(parameters)))
    except VenueError as error:
        raise refused(error, instrument.kind) from error


def cancel_all(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer /v5/order/cancel-all: by symbol, settle coin, base coin, or (spot only) all. Raises Refused."""
    only_waiting = parameters.text("orderFilter") == "StopOrder"
    orders = [
        order for instrument in scope(exchange, parameters) for order in exchange.open_orders(account, instrument.id)
    ]
    cancelled = []
    for order in orders:
        if is_waiting(order) or not only_waiting:
            with suppress(UnknownOrder):  # an expiry came first
                cancelled.append(exchange.cancel(account, order.instrument.id, order_id=order.id))
    return {"list": [names(order) for order in cancelled], "success": "1"}


def names(order: Order) -> dict[str, Any]:
    """All that an answer tells of an order."""
    return {"orderId": order_id(order), "orderLinkId": link_id(order)}


def is_waiting(order: Order) -> bool:
    """Tell whether a conditional order has not fired yet."""
    return order.type.is_conditional and not order.triggered_ms


def scope(exchange: Exchange, parameters: Parameters) -> list[Instrument]:
    """Return the instruments that a list or a cancel-all means; linear needs a symbol or a coin. Raises Refused."""
    base, settle = parameters.text("baseCoin"), parameters.text("settleCoin")
    category = parameters.category()
    if category == "linear" and not (base or settle or parameters.text("symbol")):
        raise malformed("symbol", "or settleCoin or baseCoin is needed")
    return [
        instrument
        for instrument in parameters.instruments(exchange)
        if base in {"", instrument.base} and (category == "spot" or settle in {"", instrument.settle})
    ]


def new_order(exchange: Exchange, instrument: Instrument, parameters: Parameters) -> NewOrder:
    """Read an order. Raises Refused."""
    _refuse_unsupported(parameters)
    is_market = parameters.choice("orderType", ("Market", "Limit")) == "Market"
    side = Side.BUY if parameters.choice("side", ("Buy", "Sell")) == "Buy" else Side.SELL
    trigger_price = parameters.decimal("triggerPrice")
    waits = _waits(exchange, instrument, parameters, trigger_price, side)
    quantity, in_quote = parameters.needed_decimal("qty"), _in_quote(instrument, parameters, side, is_market=is_market)
    return NewOrder(
        instrument_id=instrument.id,
        side=side,
        type=_TYPES[is_market, waits],
        quantity=ZERO if in_quote else quantity,
        quote_quantity=quantity if in_quote else None,
        price=None if is_market else parameters.needed_decimal("price"),
        trigger_price=trigger_price,
        trigger_by=TRIGGERS[parameters.choice("triggerBy", tuple(TRIGGERS), "LastPrice")],
        time_in_force=_TIMES_IN_FORCE[_time_in_force(parameters, is_market=is_market)],
        post_only=parameters.text("timeInForce") == "PostOnly",
        reduce_only=parameters.flag("reduceOnly") or parameters.flag("closeOnTrigger"),
        self_trade=SELF_TRADES[parameters.choice("smpType", tuple(SELF_TRADES), "None")],
        client_order_id=_link_id(parameters),
        record_failure=True,
        trigger_checked=instrument.is_derivative,
    )


def _waits(
    exchange: Exchange, instrument: Instrument, parameters: Parameters, trigger_price: Decimal | None, side: Side
) -> str:
    """Tell a stop from a take-profit by the direction of the price; spot infers it from the last price."""
    if trigger_price is None:
        return ""
    if instrument.is_derivative:
        rising = parameters.choice("triggerDirection", (_RISING, _FALLING)) == _RISING
    else:
        rising = trigger_price > instrument.price_of(exchange.ticker(instrument.id).last)
    return "stop" if rising == (side is Side.BUY) else "take profit"


def _in_quote(instrument: Instrument, parameters: Parameters, side: Side, *, is_market: bool) -> bool:
    """Tell whether `qty` is in the quote coin: spot market buys, unless they say otherwise."""
    if instrument.is_derivative or not is_market:
        return False
    default = "quoteCoin" if side is Side.BUY else "baseCoin"
    return parameters.choice("marketUnit", ("baseCoin", "quoteCoin"), default) == "quoteCoin"


def _time_in_force(parameters: Parameters, *, is_market: bool) -> str:
    """A market order is always immediate-or-cancel, whatever it says."""
    chosen = parameters.choice("timeInForce", tuple(_TIMES_IN_FORCE), "GTC")
    if is_market and chosen == "PostOnly":
        raise malformed("timeInForce", "PostOnly does not go with a market order")
    return "GTC" if is_market else chosen


def _link_id(parameters: Parameters) -> str:
    link = parameters.text("orderLinkId")
    if not _LINK_ID.fullmatch(link):
        raise malformed("orderLinkId", "must be up to 36 letters, digits, dashes and underscores")
    return link


def _reference(parameters: Parameters) -> dict[str, Any]:
    """Name the order: `orderId` goes before `orderLinkId`. Raises Refused where both are absent."""
    number, link = parameters.text("orderId"), parameters.text("orderLinkId")
    if not (number or link):
        raise malformed("orderId", "or orderLinkId is needed")
    return {"order_id": order_number(number)} if number else {"client_order_id": link}


def _refuse_unsupported(parameters: Parameters) -> None:
    for name in _UNSUPPORTED:
        if parameters.text(name, "0") != "0":
            raise malformed(name, "is not supported")
    if parameters.text("positionIdx", "0") != "0":
        raise Refused(PARAMETERS, "position idx not match position mode")
    if parameters.text("isLeverage", "0") != "0":
        raise malformed("isLeverage", "is not supported")


def _check_spot_size(instrument: Instrument, request: NewOrder) -> None:
    """Spot names what is wrong with a size; in quote it is a value."""
    if request.quote_quantity is not None:
        if request.quote_quantity < instrument.minimum_notional:
            raise Refused(SPOT_VALUE_TOO_SMALL, "Order value exceeded lower limit.")
    elif request.quantity < instrument.minimum_quantity:
        raise Refused(SPOT_QUANTITY_TOO_SMALL, "Order quantity exceeded lower limit.")
    elif instrument.maximum_quantity and request.quantity > instrument.maximum_quantity:
        raise Refused(SPOT_QUANTITY_TOO_LARGE, "Order quantity exceeded upper limit.")
