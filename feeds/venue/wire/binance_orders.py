"""Binance's order parameters and the exchange's requests. Rule: one table per kind names what Binance calls a type."""

from dataclasses import dataclass
from decimal import Decimal

from feeds.venue.orders import NewOrder, Order, OrderStatus, OrderType, Reason, SelfTrade, Side, TimeInForce, Trigger
from feeds.venue.wire.binance_errors import BinanceError, check_precision
from feeds.venue.wire.binance_params import Params, missing
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO

SPOT_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT_LIMIT,
}
LINEAR_TYPES = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}
ALGO_TYPES = {
    "STOP": OrderType.STOP_LIMIT,
    "STOP_MARKET": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_LIMIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT_MARKET,
    "TRAILING_STOP_MARKET": OrderType.TRAILING_STOP,
}
_SPOT_NAMES = {kind: name for name, kind in reversed(SPOT_TYPES.items())}
_LINEAR_NAMES = {kind: name for name, kind in (LINEAR_TYPES | ALGO_TYPES).items()}

SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
SPOT_TIMES = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
LINEAR_TIMES = SPOT_TIMES | {"GTX": TimeInForce.GTC, "GTD": TimeInForce.GTD}
WORKING_TYPES = {"CONTRACT_PRICE": Trigger.LAST, "MARK_PRICE": Trigger.MARK}
SELF_TRADES = {mode.value.upper(): mode for mode in SelfTrade}
STATUSES = {
    OrderStatus.UNTRIGGERED: "NEW",
    OrderStatus.NEW: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
}

INVALID_TYPE = (-1116, "Invalid orderType.")
INVALID_SIDE = (-1117, "Invalid side.")
INVALID_TIME = (-1115, "Invalid timeInForce.")
INVALID_SELF_TRADE = (-5039, "Invalid self trade prevention mode")
INVALID_CALLBACK_RATE = (-2007, "Invalid callBack rate.")
CALLBACK_PERCENT_MIN, CALLBACK_PERCENT_MAX, CALLBACK_PERCENT_STEP = Decimal("0.1"), Decimal(10), Decimal("0.1")
NOT_HERE = (-4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.")


@dataclass(frozen=True, slots=True)
class Names:
    """How one endpoint calls its parameters."""

    type: str = "type"
    trigger: str = "stopPrice"
    client_id: str = "newClientOrderId"


REST = Names()
ALGO = Names("type", "triggerPrice", "clientAlgoId")


def spot_order(instrument: Instrument, params: Params) -> NewOrder:
    """Read a spot order. Fill-or-kill and market orders that cannot stand are recorded as expired."""
    name = params.text("type")
    order_type = params.choice("type", SPOT_TYPES, INVALID_TYPE)
    is_timed = name in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}
    time = params.choice("timeInForce", SPOT_TIMES, INVALID_TIME, "" if is_timed else "GTC")
    has_budget = order_type is OrderType.MARKET and params.has("quoteOrderQty")
    budget = check_amount(instrument, params, "quoteOrderQty") if has_budget else None
    return NewOrder(
        instrument_id=instrument.id,
        side=params.choice("side", SIDES, INVALID_SIDE),
        type=order_type,
        quantity=ZERO if budget is not None else _quantity(instrument, params),
        quote_quantity=budget,
        price=_price(instrument, params, order_type),
        trigger_price=_trigger(instrument, params, order_type, "stopPrice"),
        time_in_force=time,
        post_only=name == "LIMIT_MAKER",
        display_quantity=_iceberg(instrument, params) if params.has("icebergQty") else None,
        self_trade=_self_trade(params),
        client_order_id=params.client_id("newClientOrderId"),
        record_failure=time is TimeInForce.FOK or order_type is OrderType.MARKET,
    )


def linear_order(instrument: Instrument, params: Params, names: Names = REST) -> NewOrder:
    """Read a futures order; conditional ones only where `names` are those of the algo endpoints."""
    if names is REST and params.text(names.type) in ALGO_TYPES:
        raise BinanceError(*NOT_HERE)
    if params.text("positionSide", "BOTH") != "BOTH":
        raise BinanceError(-4061, "Order's position side does not match user's setting.")
    types = LINEAR_TYPES if names is REST else ALGO_TYPES
    order_type = params.choice(names.type, types, INVALID_TYPE)
    time_name = params.text("timeInForce", "" if order_type is OrderType.LIMIT else "GTC")
    time = params.choice("timeInForce", LINEAR_TIMES, INVALID_TIME, time_name)
    close, trails = params.flag("closePosition"), order_type is OrderType.TRAILING_STOP
    if close and trails:
        raise BinanceError(-4136, f"Target strategy invalid for orderType {params.text(names.type)},closePosition true")
    return NewOrder(
        instrument_id=instrument.id,
        side=params.choice("side", SIDES, INVALID_SIDE),
        type=order_type,
        quantity=ZERO if close else _quantity(instrument, params),
        price=_price(instrument, params, order_type),
        trigger_price=_trigger(instrument, params, order_type, names.trigger),
        trigger_by=params.choice("workingType", WORKING_TYPES, (-1130, "Invalid workingType."), "CONTRACT_PRICE"),
        callback_rate=_callback_rate(params) if trails else ZERO,
        activation_price=_activation(instrument, params) if trails else None,
        time_in_force=time,
        expire_ms=params.integer("goodTillDate") if time is TimeInForce.GTD else 0,
        post_only=time_name == "GTX",
        reduce_only=params.flag("reduceOnly"),
        close_position=close,
        self_trade=_self_trade(params),
        client_order_id=params.client_id(names.client_id),
        record_failure=order_type is OrderType.MARKET,
    )


def type_name(order: Order) -> str:
    """What Binance calls the order's type; a futures order that was triggered keeps its conditional name."""
    if order.instrument.kind == "spot":
        return "LIMIT_MAKER" if order.post_only else _SPOT_NAMES[order.type]
    return _LINEAR_NAMES[order.type]


def live_type_name(order: Order) -> str:
    """Type of the futures order that a conditional one becomes."""
    return "MARKET" if order.type.is_market else "LIMIT"


def time_name(order: Order) -> str:
    if order.post_only and order.instrument.kind != "spot":
        return "GTX"
    return order.time_in_force.value.upper()


def status_name(order: Order) -> str:
    return "EXPIRED_IN_MATCH" if order.reason is Reason.SELF_TRADE and not order.is_open else STATUSES[order.status]


def check_amount(instrument: Instrument, params: Params, name: str) -> Decimal:
    """Return a mandatory number with no more decimals than the asset has."""
    number = params.decimal(name)
    if number is None:
        raise missing(name)
    check_precision(instrument, name, number)
    return number


def _quantity(instrument: Instrument, params: Params) -> Decimal:
    quantity = check_amount(instrument, params, "quantity")
    if quantity <= 0 and instrument.kind != "spot":
        raise BinanceError(-4003, "Quantity less than or equal to zero.")
    return quantity


def _price(instrument: Instrument, params: Params, order_type: OrderType) -> Decimal | None:
    if not order_type.is_market:
        return check_amount(instrument, params, "price")
    if params.has("price"):
        raise BinanceError(-1106, "Parameter 'price' sent when not required.")
    return None


def _trigger(instrument: Instrument, params: Params, order_type: OrderType, name: str) -> Decimal | None:
    if order_type.is_conditional and order_type is not OrderType.TRAILING_STOP:
        return check_amount(instrument, params, name)
    if params.has(name):
        raise BinanceError(-1106, f"Parameter '{name}' sent when not required.")
    return None


def _iceberg(instrument: Instrument, params: Params) -> Decimal:
    """What a spot order shows of itself: of a plain limit order only, good till cancelled."""
    shown = check_amount(instrument, params, "icebergQty")
    if params.text("type") != "LIMIT" or params.text("timeInForce") != "GTC":
        raise BinanceError(-2010, "Unsupported order combination")
    if shown >= _quantity(instrument, params):
        raise BinanceError(-2010, "IcebergQty exceeds QTY.")
    return shown


def _callback_rate(params: Params) -> Decimal:
    percent = params.decimal("callbackRate")
    if percent is None:
        raise missing("callbackRate")
    if not CALLBACK_PERCENT_MIN <= percent <= CALLBACK_PERCENT_MAX or percent % CALLBACK_PERCENT_STEP:
        raise BinanceError(*INVALID_CALLBACK_RATE)
    return percent / 100


def _activation(instrument: Instrument, params: Params) -> Decimal | None:
    return check_amount(instrument, params, "activatePrice") if params.has("activatePrice") else None


def _self_trade(params: Params) -> SelfTrade:
    return params.choice("selfTradePreventionMode", SELF_TRADES, INVALID_SELF_TRADE, "EXPIRE_MAKER")
