"""From a request to an order. Rule: fields that contradict each other and broken filters are refused beforehand."""

from decimal import Decimal

from feeds.venue.amounts import amount_of, rate_of
from feeds.venue.errors import FilterFailure, InvalidRequest
from feeds.venue.market import MarketState
from feeds.venue.orders import NewOrder, Order, OrderType, TimeInForce
from patriot.domain.errors import InvalidValue
from patriot.domain.money import ZERO, decimal_of

CLIENT_ORDER_ID_MAX = 64
ICEBERG_PARTS_MAX = 10


def admit(market: MarketState, request: NewOrder, account: str, order_id: int, now_ms: int) -> Order:
    """Return the order in units, not yet live.

    Raises:
        InvalidRequest: fields that do not go together.
        FilterFailure: TRADING, PRICE_FILTER, LOT_SIZE, ICEBERG_PARTS, NOTIONAL.

    """
    if not market.instrument.trading:
        raise FilterFailure("TRADING", "the instrument is not trading")
    _check_fields(request, now_ms)
    _check_kind(market, request)
    _check_iceberg(market, request)
    order = _order_of(market, request, account, order_id, now_ms)
    if not (order.reduce_only or order.close_position):
        check_notional(market, order)
    return order


def _check_fields(request: NewOrder, now_ms: int) -> None:
    _require(len(request.client_order_id) <= CLIENT_ORDER_ID_MAX, "client_order_id", "is longer than 64 characters")
    if request.type.is_market:
        _require(request.price is None, "price", "does not go with a market order")
        _require(not request.post_only, "post_only", "does not go with a market order")
    else:
        _require(request.price is not None, "price", "is needed for a limit order")
    trails = request.type is OrderType.TRAILING_STOP
    has_trigger = request.type.is_conditional and not trails
    _require(has_trigger == (request.trigger_price is not None), "trigger_price", "goes with stop types")
    _require(trails == (0 < request.callback_rate < 1), "callback_rate", "goes with trailing stops, between 0 and 1")
    _require(trails or request.activation_price is None, "activation_price", "goes with trailing stops")
    if request.post_only:
        resting = request.time_in_force in {TimeInForce.GTC, TimeInForce.GTD}
        _require(resting, "time_in_force", "must be GTC or GTD for post-only")
    if request.time_in_force is TimeInForce.GTD:
        _require(request.expire_ms > now_ms, "expire_ms", "must lie in the future")


def _check_kind(market: MarketState, request: NewOrder) -> None:
    derivative = market.instrument.is_derivative
    _require(derivative or not request.reduce_only, "reduce_only", "needs a derivative")
    trails = request.type is OrderType.TRAILING_STOP
    _require(derivative or not trails, "type", "trailing stops need a derivative")
    if request.close_position:
        fits = derivative and request.type.is_conditional and request.type.is_market and not trails
        _require(fits, "close_position", "needs a stop or take-profit market order of a derivative")
    if request.quote_quantity is not None:
        fits = not derivative and request.type is OrderType.MARKET and request.quantity == ZERO
        _require(fits, "quote_quantity", "needs a spot market order without quantity")


def _check_iceberg(market: MarketState, request: NewOrder) -> None:
    shown = request.display_quantity
    if shown is None:
        return
    rests = request.type is OrderType.LIMIT and request.time_in_force is TimeInForce.GTC
    _require(rests and not market.instrument.is_derivative, "display_quantity", "needs a spot limit order, GTC")
    _require(shown < request.quantity, "display_quantity", "must be less than the quantity")
    if request.quantity > shown * ICEBERG_PARTS_MAX:
        raise FilterFailure("ICEBERG_PARTS", f"the order would have more than {ICEBERG_PARTS_MAX} parts")


def _order_of(market: MarketState, request: NewOrder, account: str, order_id: int, now_ms: int) -> Order:
    budget = request.quote_quantity
    sized = budget is None and not request.close_position
    return Order(
        id=order_id,
        account=account,
        instrument=market.instrument,
        client_order_id=request.client_order_id or f"{market.instrument.venue.lower()}-{order_id}",
        side=request.side,
        type=request.type,
        time_in_force=request.time_in_force,
        quantity_units=quantity_units(market, request.quantity) if sized else 0,
        price_units=_optional_price(market, request.price, "price"),
        trigger_units=_optional_price(market, request.trigger_price, "trigger_price"),
        trigger_by=request.trigger_by,
        callback_rate=rate_of(request.callback_rate),
        activation_units=_optional_price(market, request.activation_price, "activation_price"),
        display_units=0 if request.display_quantity is None else quantity_units(market, request.display_quantity),
        expire_ms=request.expire_ms if request.time_in_force is TimeInForce.GTD else 0,
        post_only=request.post_only,
        reduce_only=request.reduce_only or request.close_position,
        close_position=request.close_position,
        self_trade=request.self_trade,
        quote_amount=0 if budget is None else budget_amount(budget),
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def _optional_price(market: MarketState, price: Decimal | None, field: str) -> int:
    return 0 if price is None else price_units(market, price, field)


def price_units(market: MarketState, price: Decimal, field: str) -> int:
    """Price -> units. Raises FilterFailure PRICE_FILTER."""
    try:
        units = market.instrument.price_units(decimal_of(price, field))
    except InvalidValue as refusal:
        raise FilterFailure("PRICE_FILTER", str(refusal)) from refusal
    if units <= 0 or units % market.tick_units:
        raise FilterFailure("PRICE_FILTER", f"{field} must be a positive multiple of {market.instrument.tick_size}")
    return units


def quantity_units(market: MarketState, quantity: Decimal) -> int:
    """Quantity -> units. Raises FilterFailure LOT_SIZE."""
    instrument = market.instrument
    try:
        units = instrument.quantity_units(decimal_of(quantity, "quantity"))
    except InvalidValue as refusal:
        raise FilterFailure("LOT_SIZE", str(refusal)) from refusal
    if units <= 0 or units % market.lot_units:
        raise FilterFailure("LOT_SIZE", f"quantity must be a positive multiple of {instrument.lot_size}")
    if quantity < instrument.minimum_quantity:
        raise FilterFailure("LOT_SIZE", f"quantity must be at least {instrument.minimum_quantity}")
    if instrument.maximum_quantity and quantity > instrument.maximum_quantity:
        raise FilterFailure("LOT_SIZE", f"quantity must be at most {instrument.maximum_quantity}")
    return units


def budget_amount(budget: Decimal) -> int:
    """Quote quantity -> amount. Raises InvalidRequest."""
    try:
        amount = amount_of(budget)
    except InvalidValue as refusal:
        raise InvalidRequest("quote_quantity", refusal.rule) from refusal
    _require(amount > 0, "quote_quantity", "must be positive")
    return amount


def check_notional(market: MarketState, order: Order) -> None:
    """Raise FilterFailure NOTIONAL where the order is too small; a market order is valued at the last price."""
    price = order.price_units or order.trigger_units or market.last
    notional = order.quote_amount or price * order.quantity_units * market.notional_factor
    if price and notional < amount_of(market.instrument.minimum_notional):
        raise FilterFailure("NOTIONAL", f"price times quantity must be at least {market.instrument.minimum_notional}")


def _require(condition: bool, field: str, rule: str) -> None:  # noqa: FBT001
    if not condition:
        raise InvalidRequest(field, rule)
