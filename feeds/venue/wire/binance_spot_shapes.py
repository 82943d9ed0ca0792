"""Spot orders, fills and user events in Binance's shapes. Rule: pure; a shape has every key that Binance's has."""

from feeds.venue.accounts import Balance
from feeds.venue.events import AccountUpdate, Change, OrderUpdate
from feeds.venue.orders import Fill, Order, OrderStatus
from feeds.venue.wire.binance_orders import status_name, time_name, type_name
from feeds.venue.wire.binance_scale import Scale, amount
from patriot.domain.money import ZERO

Shape = dict[str, object]
NO_LIST = -1

EXECUTIONS = {
    Change.NEW: "NEW",
    Change.TRIGGERED: "NEW",
    Change.TRADE: "TRADE",
    Change.AMENDED: "REPLACED",
    Change.CANCELLED: "CANCELED",
    Change.EXPIRED: "EXPIRED",
}


def _core(order: Order, scale: Scale) -> Shape:
    return {
        "symbol": order.instrument.native_symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "price": scale.price(order.price_units),
        "origQty": scale.quantity(order.quantity_units),
        "executedQty": scale.quantity(order.filled_units),
        "origQuoteOrderQty": amount(order.quote_quantity),
        "cummulativeQuoteQty": amount(order.filled_notional),
        "status": status_name(order),
        "timeInForce": time_name(order),
        "type": type_name(order),
        "side": order.side.value.upper(),
        "selfTradePreventionMode": order.self_trade.value.upper(),
    }


def working_ms(order: Order) -> int:
    """When it reached the book, -1 where it waits for its trigger."""
    if order.status is OrderStatus.UNTRIGGERED:
        return -1
    return order.triggered_ms or order.created_ms


def order_shape(order: Order, scale: Scale) -> Shape:
    """An order as queries return it."""
    return _core(order, scale) | {
        "stopPrice": scale.price(order.trigger_units),
        "icebergQty": scale.quantity(order.display_units),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.status is not OrderStatus.UNTRIGGERED,
        "workingTime": working_ms(order),
    }


def acknowledgement(order: Order) -> Shape:
    """The shortest answer to a new order (newOrderRespType ACK)."""
    return {
        "symbol": order.instrument.native_symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_ms,
    }


def result(order: Order, scale: Scale) -> Shape:
    """The answer to a new or cancelled order without its fills (RESULT)."""
    shape = _core(order, scale) | {"transactTime": order.updated_ms, "workingTime": working_ms(order)}
    if order.trigger_units:
        shape["stopPrice"] = scale.price(order.trigger_units)
    if order.display_units:
        shape["icebergQty"] = scale.quantity(order.display_units)
    return shape


def full(order: Order, fills: list[Fill], scale: Scale) -> Shape:
    """The answer to a new order with its fills (FULL)."""
    return result(order, scale) | {
        "fills": [
            {
                "price": scale.price(fill.price_units),
                "qty": scale.quantity(fill.quantity_units),
                "commission": amount(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in fills
        ]
    }


def cancelled(order: Order, scale: Scale, client_id: str) -> Shape:
    """The answer to a cancel; `client_id` is that of the cancel request."""
    own = {"origClientOrderId": order.client_order_id, "clientOrderId": client_id or order.client_order_id}
    return result(order, scale) | own


def trade_shape(fill: Fill, scale: Scale) -> Shape:
    return {
        "symbol": fill.instrument.native_symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": NO_LIST,
        "price": scale.price(fill.price_units),
        "qty": scale.quantity(fill.quantity_units),
        "quoteQty": amount(fill.notional),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": fill.side.value == "buy",
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def execution_report(update: OrderUpdate, scale: Scale) -> Shape:
    order, fill = update.order, update.fill
    return {
        "e": "executionReport",
        "E": update.time_ms,
        "s": order.instrument.native_symbol,
        "c": order.client_order_id,
        "S": order.side.value.upper(),
        "o": type_name(order),
        "f": time_name(order),
        "q": scale.quantity(order.quantity_units),
        "p": scale.price(order.price_units),
        "P": scale.price(order.trigger_units),
        "F": scale.quantity(order.display_units),
        "g": NO_LIST,
        "C": order.client_order_id if update.change is Change.CANCELLED else "",
        "x": EXECUTIONS[update.change],
        "X": status_name(order),
        "r": "NONE",
        "i": order.id,
        "l": scale.quantity(fill.quantity_units if fill else 0),
        "z": scale.quantity(order.filled_units),
        "L": scale.price(fill.price_units if fill else 0),
        "n": amount(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": update.time_ms,
        "t": fill.trade_id if fill else -1,
        "I": order.id * 1000 + order.version,
        "w": order.status in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED},
        "m": fill.is_maker if fill else False,
        "M": False,
        "O": order.created_ms,
        "Z": amount(order.filled_notional),
        "Y": amount(fill.notional if fill else ZERO),
        "Q": amount(order.quote_quantity),
        "W": working_ms(order),
        "V": order.self_trade.value.upper(),
    }


def account_position(update: AccountUpdate) -> Shape:
    return {
        "e": "outboundAccountPosition",
        "E": update.time_ms,
        "u": update.time_ms,
        "B": [{"a": one.asset, "f": amount(one.free), "l": amount(one.locked)} for one in update.balances],
    }


def balance_shape(balance: Balance) -> Shape:
    return {"asset": balance.asset, "free": amount(balance.free), "locked": amount(balance.locked)}
