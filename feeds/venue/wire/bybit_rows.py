"""Orders, executions and positions as Bybit writes them. Rule: numbers are text, absent ones empty or "0".

ccxt tells a contract's order from a spot order by the key `tpslMode`, so only contracts carry it.
"""

from decimal import Decimal
from typing import Any, Final

from feeds.venue.accounts import PositionView
from feeds.venue.errors import UnknownInstrument
from feeds.venue.exchange import Exchange
from feeds.venue.market import fires_rising
from feeds.venue.orders import Fill, Order, OrderStatus, Reason, SelfTrade, TimeInForce, Trigger
from feeds.venue.wire.bybit_ids import execution_id, link_id, order_id
from patriot.domain.money import ZERO, plain

Row = dict[str, Any]

_AVERAGE: Final = Decimal("1E-10")

_STATUSES: Final = {
    OrderStatus.UNTRIGGERED: "Untriggered",
    OrderStatus.NEW: "New",
    OrderStatus.PARTIALLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
}
_ENDINGS: Final[dict[Reason, tuple[str, str]]] = {
    Reason.NONE: ("UNKNOWN", "EC_NoError"),
    Reason.USER: ("CancelByUser", "EC_PerCancelRequest"),
    Reason.IOC: ("UNKNOWN", "EC_NoImmediateQtyToFill"),
    Reason.FOK: ("UNKNOWN", "EC_CancelForNoFullFill"),
    Reason.POST_ONLY: ("UNKNOWN", "EC_PostOnlyWillTakeLiquidity"),
    Reason.SELF_TRADE: ("CancelBySmp", "EC_BySelfMatch"),
    Reason.GTD: ("CancelBySettle", "EC_Others"),
    Reason.REDUCE_ONLY: ("CancelByReduceOnly", "EC_Others"),
    Reason.NO_LIQUIDITY: ("UNKNOWN", "EC_NoImmediateQtyToFill"),
    Reason.INSUFFICIENT_BALANCE: ("CancelByUser", "EC_Others"),
    Reason.LIQUIDATION: ("CancelByPrepareLiq", "EC_Others"),
}
"""cancelType and rejectReason."""

SELF_TRADES: Final = {
    "None": SelfTrade.NONE,
    "CancelMaker": SelfTrade.EXPIRE_MAKER,
    "CancelTaker": SelfTrade.EXPIRE_TAKER,
    "CancelBoth": SelfTrade.EXPIRE_BOTH,
}
_SELF_TRADE_NAMES: Final = {value: name for name, value in SELF_TRADES.items()}
TRIGGERS: Final = {"LastPrice": Trigger.LAST, "MarkPrice": Trigger.MARK}
_TRIGGER_NAMES: Final = {value: name for name, value in TRIGGERS.items()}
SIDES: Final = {True: "Buy", False: "Sell"}


def text(number: Decimal | None) -> str:
    """Write a number; "0" where there is none."""
    return plain(number) if number else "0"


def order_row(order: Order) -> Row:
    """One order of /v5/order/realtime; the stream adds `category`."""
    cancel_type, reject_reason = _ENDINGS[order.reason]
    by_quote = order.quote_amount > 0
    row = {
        "orderId": order_id(order),
        "orderLinkId": link_id(order),
        "blockTradeId": "",
        "symbol": order.instrument.native_symbol,
        "price": text(order.price),
        "qty": text(order.quote_quantity if by_quote else order.quantity),
        "side": SIDES[order.is_buy],
        "isLeverage": "" if order.instrument.is_derivative else "0",
        "positionIdx": 0,
        "orderStatus": order_status(order),
        "createType": "CreateByLiq" if order.is_liquidation else "CreateByUser",
        "cancelType": cancel_type,
        "rejectReason": reject_reason,
        "avgPrice": average(order),
        "leavesQty": text(order.left) if order.is_open else "0",
        "leavesValue": text(order.left * order.price) if order.is_open and order.price else "0",
        "cumExecQty": text(order.filled),
        "cumExecValue": text(order.filled_notional),
        "cumExecFee": text(order.fee),
        "cumFeeDetail": {order.fee_asset: text(order.fee)} if order.fee_amount else {},
        "feeCurrency": order.fee_asset,
        "timeInForce": time_in_force(order),
        "orderType": "Market" if order.type.is_market else "Limit",
        "marketUnit": _market_unit(order),
        "stopOrderType": "Stop" if order.type.is_conditional else "",
        "orderIv": "",
        "triggerPrice": text(order.trigger_price),
        "triggerDirection": _direction(order),
        "triggerBy": _TRIGGER_NAMES[order.trigger_by] if order.type.is_conditional else "",
        "lastPriceOnCreated": "",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_position,
        "smpType": _SELF_TRADE_NAMES[order.self_trade],
        "smpGroup": 0,
        "smpOrderId": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "placeType": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }
    return row | {"tpslMode": ""} if order.instrument.is_derivative else row


def order_status(order: Order) -> str:
    """Name the status; an order that fired its trigger is an ordinary one from then on."""
    if order.is_open or order.status is OrderStatus.FILLED:
        return _STATUSES[order.status]
    if order.type.is_conditional and not order.triggered_ms:
        return "Deactivated"
    if order.filled_units and not order.instrument.is_derivative:
        return "PartiallyFilledCanceled"
    return "Cancelled"


def time_in_force(order: Order) -> str:
    if order.post_only:
        return "PostOnly"
    if order.type.is_market and order.time_in_force is TimeInForce.GTC:
        return "IOC"
    return "GTC" if order.time_in_force is TimeInForce.GTD else order.time_in_force.value.upper()


def average(order: Order) -> str:
    """Average price, rounded to 10 decimals; empty before the first fill."""
    return plain(order.average_price.quantize(_AVERAGE)) if order.filled_units else ""


def execution_row(fill: Fill, order: Order | None, mark: Decimal) -> Row:
    """One execution of /v5/execution/list; the stream adds `category`. `order` is None once it is forgotten."""
    instrument = fill.instrument
    rate = instrument.maker_fee if fill.is_maker else instrument.taker_fee
    is_liquidation = order is not None and order.is_liquidation
    row = {
        "symbol": instrument.native_symbol,
        "orderId": order_id(order) if order else "",
        "orderLinkId": link_id(fill),
        "side": SIDES[fill.side == "buy"],
        "orderPrice": text(order.price) if order else "0",
        "orderQty": text(order.quantity) if order else "0",
        "leavesQty": text(order.left) if order else "0",
        "orderType": ("Market" if order.type.is_market else "Limit") if order else "UNKNOWN",
        "stopOrderType": "Stop" if order and order.type.is_conditional else "UNKNOWN",
        "execFee": text(fill.fee),
        "execId": execution_id(fill),
        "execPrice": text(fill.price),
        "execQty": text(fill.quantity),
        "execType": "BustTrade" if is_liquidation else "Trade",
        "execValue": text(fill.notional),
        "execTime": str(fill.time_ms),
        "feeCurrency": fill.fee_asset,
        "isMaker": fill.is_maker,
        "isLeverage": "0",
        "feeRate": text(rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": text(mark),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "",
        "seq": fill.trade_id,
    }
    # without market, ccxt takes an execution with a create type for a contract's
    return (
        row | {"createType": "CreateByLiq" if is_liquidation else "CreateByUser"} if instrument.is_derivative else row
    )


def fast_execution_row(fill: Fill, order: Order) -> Row:
    return {
        "category": fill.instrument.kind,
        "symbol": fill.instrument.native_symbol,
        "execId": execution_id(fill),
        "execPrice": text(fill.price),
        "execQty": text(fill.quantity),
        "orderId": order_id(order),
        "isMaker": fill.is_maker,
        "orderLinkId": link_id(fill),
        "side": SIDES[fill.side == "buy"],
        "execTime": str(fill.time_ms),
        "seq": fill.trade_id,
    }


def position_row(position: PositionView) -> Row:
    """One position of /v5/position/list. A flat one has no side."""
    side = SIDES[position.size > 0] if position.size else ""
    return {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": text(position.instrument.maximum_quantity),
        "symbol": position.instrument.native_symbol,
        "side": side,
        "size": text(abs(position.size)),
        "avgPrice": text(position.entry_price.quantize(_AVERAGE)),
        "positionValue": text(abs(position.notional)),
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "leverage": str(position.leverage),
        "positionBalance": text(position.initial_margin),
        "markPrice": text(position.mark_price),
        "liqPrice": plain(position.liquidation_price) if position.liquidation_price else "",
        "bustPrice": "",
        "positionMM": text(position.maintenance_margin),
        "positionIM": text(position.initial_margin),
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "unrealisedPnl": text(position.unrealised),
        "curRealisedPnl": text(position.realised),
        "cumRealisedPnl": text(position.realised),
        "seq": position.updated_ms,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(position.updated_ms),
        "updatedTime": str(position.updated_ms),
    }


def position_message(position: PositionView) -> Row:
    """One position of the stream, where the entry price has another name."""
    row = position_row(position)
    row["entryPrice"] = row.pop("avgPrice")
    return row | {
        "category": position.instrument.kind,
        "sessionAvgPrice": "",
        "positionIMByMp": row["positionIM"],
        "positionMMByMp": row["positionMM"],
    }


def mark_of(exchange: Exchange, instrument_id: str) -> Decimal:
    """Mark price, 0 for spot."""
    try:
        mark = exchange.mark_price(instrument_id)
    except UnknownInstrument:
        return ZERO
    return exchange.instrument(instrument_id).price_of(mark.mark)


def _direction(order: Order) -> int:
    if not order.type.is_conditional:
        return 0
    return 1 if fires_rising(order) else 2


def _market_unit(order: Order) -> str:
    if order.instrument.is_derivative or not order.type.is_market:
        return ""
    return "quoteCoin" if order.quote_amount else "baseCoin"
