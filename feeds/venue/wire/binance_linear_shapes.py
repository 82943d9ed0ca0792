"""Futures orders, accounts and user events in Binance's shapes. Rule: pure; a shape has every key that Binance's has.

A conditional order is an *algo order* until its trigger fires; then it is also an order. Both have the same number.
"""

from decimal import Decimal

from feeds.venue.accounts import Balance, Margin, PositionView
from feeds.venue.amounts import RATE_ONE, decimal_amount
from feeds.venue.events import AccountUpdate, Change, OrderUpdate
from feeds.venue.orders import Fill, Order, OrderStatus, OrderType, Trigger
from feeds.venue.wire.binance_orders import live_type_name, status_name, time_name, type_name
from feeds.venue.wire.binance_scale import Scale, amount
from patriot.domain.money import ZERO

Shape = dict[str, object]

EXECUTIONS = {
    Change.NEW: "NEW",
    Change.TRIGGERED: "NEW",
    Change.TRADE: "TRADE",
    Change.AMENDED: "AMENDMENT",
    Change.CANCELLED: "CANCELED",
    Change.EXPIRED: "EXPIRED",
}
REASONS = {
    "order": "ORDER",
    "liquidation": "ORDER",
    "deposit": "DEPOSIT",
    "withdraw": "WITHDRAW",
    "transfer": "ASSET_TRANSFER",
    "funding": "FUNDING_FEE",
}
NOTIONAL_MAX = "100000000"
_CONTRACT = {Trigger.LAST: "CONTRACT_PRICE", Trigger.MARK: "MARK_PRICE"}


def is_waiting(order: Order) -> bool:
    """Tell whether it is (or ended as) an algo order only: its trigger never fired."""
    return order.type.is_conditional and not order.triggered_ms


def _average(order: Order) -> str:
    return f"{order.average_price:.{max(2, order.instrument.price_decimals)}f}"


def _callback_percent(order: Order) -> str:
    return format((Decimal(order.callback_rate * 100) / RATE_ONE).normalize(), "f")


def _trail(order: Order, scale: Scale, rate_name: str) -> Shape:
    """What only trailing stops have; their trigger price is 0."""
    if order.type is not OrderType.TRAILING_STOP:
        return {}
    return {"activatePrice": scale.price(order.activation_units), rate_name: _callback_percent(order)}


def order_shape(order: Order, scale: Scale) -> Shape:
    """A live order, in answers to new orders, cancels, amendments and queries alike."""
    return {
        **_trail(order, scale, "priceRate"),
        "orderId": order.id,
        "symbol": order.instrument.native_symbol,
        "status": status_name(order),
        "clientOrderId": order.client_order_id,
        "price": scale.price(order.price_units),
        "avgPrice": _average(order),
        "origQty": scale.quantity(order.quantity_units),
        "executedQty": scale.quantity(order.filled_units),
        "cumQty": scale.quantity(order.filled_units),
        "cumQuote": amount(order.filled_notional),
        "timeInForce": time_name(order),
        "type": live_type_name(order),
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side.value.upper(),
        "positionSide": "BOTH",
        "stopPrice": scale.price(order.trigger_units),
        "workingType": _CONTRACT[order.trigger_by],
        "priceProtect": False,
        "origType": type_name(order),
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade.value.upper(),
        "goodTillDate": order.expire_ms,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def algo_status(order: Order) -> str:
    if is_waiting(order):
        return "NEW" if order.is_open else status_name(order)
    return "TRIGGERED" if order.is_open else "FINISHED"


def algo_shape(order: Order, scale: Scale) -> Shape:
    """A conditional order."""
    return {
        **_trail(order, scale, "callbackRate"),
        "algoId": order.id,
        "clientAlgoId": order.client_order_id,
        "algoType": "CONDITIONAL",
        "orderType": type_name(order),
        "symbol": order.instrument.native_symbol,
        "side": order.side.value.upper(),
        "positionSide": "BOTH",
        "timeInForce": time_name(order),
        "quantity": scale.quantity(order.quantity_units),
        "algoStatus": algo_status(order),
        "actualOrderId": "" if is_waiting(order) else str(order.id),
        "actualPrice": _average(order),
        "triggerPrice": scale.price(order.trigger_units),
        "price": scale.price(order.price_units),
        "icebergQuantity": None,
        "selfTradePreventionMode": order.self_trade.value.upper(),
        "workingType": _CONTRACT[order.trigger_by],
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": False,
        "reduceOnly": order.reduce_only,
        "createTime": order.created_ms,
        "updateTime": order.updated_ms,
        "triggerTime": order.triggered_ms,
        "goodTillDate": order.expire_ms,
    }


def trade_shape(fill: Fill, scale: Scale) -> Shape:
    return {
        "symbol": fill.instrument.native_symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side.value.upper(),
        "price": scale.price(fill.price_units),
        "qty": scale.quantity(fill.quantity_units),
        "realizedPnl": amount(fill.realised),
        "quoteQty": amount(fill.notional),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "positionSide": "BOTH",
        "buyer": fill.side.value == "buy",
        "maker": fill.is_maker,
    }


def position_risk(view: PositionView) -> Shape:
    """A position with the keys of all versions of positionRisk."""
    return {
        "symbol": view.instrument.native_symbol,
        "positionSide": "BOTH",
        "positionAmt": format(view.size, "f"),
        "entryPrice": amount(view.entry_price),
        "breakEvenPrice": amount(view.entry_price),
        "markPrice": amount(view.mark_price),
        "unRealizedProfit": amount(view.unrealised),
        "liquidationPrice": amount(view.liquidation_price) if view.liquidation_price else "0",
        "leverage": str(view.leverage),
        "maxNotionalValue": NOTIONAL_MAX,
        "marginType": "cross",
        "isolatedMargin": "0.00000000",
        "isAutoAddMargin": "false",
        "notional": amount(view.notional),
        "marginAsset": view.instrument.settle,
        "isolatedWallet": "0",
        "initialMargin": amount(view.initial_margin),
        "maintMargin": amount(view.maintenance_margin),
        "positionInitialMargin": amount(view.initial_margin),
        "openOrderInitialMargin": "0",
        "adl": 0,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": view.updated_ms,
    }


def account_position(view: PositionView) -> Shape:
    """A position inside the account."""
    return {
        "symbol": view.instrument.native_symbol,
        "initialMargin": amount(view.initial_margin),
        "maintMargin": amount(view.maintenance_margin),
        "unrealizedProfit": amount(view.unrealised),
        "positionInitialMargin": amount(view.initial_margin),
        "openOrderInitialMargin": "0",
        "leverage": str(view.leverage),
        "isolated": False,
        "entryPrice": amount(view.entry_price),
        "maxNotional": NOTIONAL_MAX,
        "bidNotional": "0",
        "askNotional": "0",
        "positionSide": "BOTH",
        "positionAmt": format(view.size, "f"),
        "notional": amount(view.notional),
        "isolatedMargin": "0",
        "isolatedWallet": "0",
        "updateTime": view.updated_ms,
    }


def account_asset(margin: Margin, now_ms: int) -> Shape:
    return {
        "asset": margin.asset,
        "walletBalance": amount(margin.wallet_balance),
        "unrealizedProfit": amount(margin.unrealised),
        "marginBalance": amount(margin.margin_balance),
        "maintMargin": amount(margin.maintenance_margin),
        "initialMargin": amount(margin.initial_margin),
        "positionInitialMargin": amount(margin.position_margin),
        "openOrderInitialMargin": amount(margin.initial_margin - margin.position_margin),
        "crossWalletBalance": amount(margin.wallet_balance),
        "crossUnPnl": amount(margin.unrealised),
        "availableBalance": amount(margin.available),
        "maxWithdrawAmount": amount(margin.available),
        "marginAvailable": True,
        "updateTime": now_ms,
    }


def balance_shape(margin: Margin, alias: str, now_ms: int) -> Shape:
    return {
        "accountAlias": alias,
        "asset": margin.asset,
        "balance": amount(margin.wallet_balance),
        "crossWalletBalance": amount(margin.wallet_balance),
        "crossUnPnl": amount(margin.unrealised),
        "availableBalance": amount(margin.available),
        "maxWithdrawAmount": amount(margin.available),
        "marginAvailable": True,
        "updateTime": now_ms,
    }


def order_trade_update(update: OrderUpdate, scale: Scale) -> Shape:
    order, fill = update.order, update.fill
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": update.time_ms,
        "E": update.time_ms,
        "o": {
            "s": order.instrument.native_symbol,
            "c": f"autoclose-{order.id}" if order.is_liquidation else order.client_order_id,
            "S": order.side.value.upper(),
            "o": live_type_name(order),
            "f": time_name(order),
            "q": scale.quantity(order.quantity_units),
            "p": scale.price(order.price_units),
            "ap": _average(order),
            "sp": scale.price(order.trigger_units),
            "x": "CALCULATED" if order.is_liquidation and fill else EXECUTIONS[update.change],
            "X": status_name(order),
            "i": order.id,
            "l": scale.quantity(fill.quantity_units if fill else 0),
            "z": scale.quantity(order.filled_units),
            "L": scale.price(fill.price_units if fill else 0),
            "N": fill.fee_asset if fill else order.instrument.settle,
            "n": amount(fill.fee if fill else ZERO),
            "T": update.time_ms,
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": fill.is_maker if fill else False,
            "R": order.reduce_only,
            "wt": _CONTRACT[order.trigger_by],
            "ot": type_name(order),
            "ps": "BOTH",
            "cp": order.close_position,
            "AP": scale.price(order.activation_units) if order.activation_units else "0",
            "cr": _callback_percent(order),
            "pP": False,
            "si": 0,
            "ss": 0,
            "rp": amount(fill.realised if fill else ZERO),
            "V": order.self_trade.value.upper(),
            "pm": "NONE",
            "gtd": order.expire_ms,
        },
    }


def algo_update(update: OrderUpdate, scale: Scale) -> Shape:
    order = update.order
    waiting = is_waiting(order)
    return {
        "e": "ALGO_UPDATE",
        "T": update.time_ms,
        "E": update.time_ms,
        "o": {
            "caid": order.client_order_id,
            "aid": order.id,
            "at": "CONDITIONAL",
            "o": type_name(order),
            "s": order.instrument.native_symbol,
            "S": order.side.value.upper(),
            "ps": "BOTH",
            "f": time_name(order),
            "q": scale.quantity(order.quantity_units),
            "X": algo_status(order),
            "ai": "" if waiting else str(order.id),
            "ap": _average(order),
            "aq": scale.quantity(order.filled_units),
            "act": "0" if waiting else live_type_name(order),
            "tp": scale.price(order.trigger_units),
            "p": scale.price(order.price_units),
            "V": order.self_trade.value.upper(),
            "wt": _CONTRACT[order.trigger_by],
            "pm": "NONE",
            "cp": order.close_position,
            "pP": False,
            "R": order.reduce_only,
            "tt": order.triggered_ms,
            "gtd": order.expire_ms,
            "rm": "" if order.status is not OrderStatus.EXPIRED else order.reason.value,
        },
    }


def account_update(update: AccountUpdate) -> Shape:
    return {
        "e": "ACCOUNT_UPDATE",
        "T": update.time_ms,
        "E": update.time_ms,
        "a": {
            "m": REASONS.get(update.reason, "ORDER"),
            "B": [_wallet(one, update) for one in update.balances],
            "P": [_position(one) for one in update.positions],
        },
    }


def _wallet(balance: Balance, update: AccountUpdate) -> Shape:
    total = amount(balance.total)
    return {"a": balance.asset, "wb": total, "cw": total, "bc": amount(decimal_amount(update.difference))}


def _position(view: PositionView) -> Shape:
    return {
        "s": view.instrument.native_symbol,
        "pa": format(view.size, "f"),
        "ep": amount(view.entry_price),
        "bep": amount(view.entry_price),
        "cr": amount(view.realised),
        "up": amount(view.unrealised),
        "mt": "cross",
        "iw": "0",
        "ps": "BOTH",
    }


def leverage_update(view: PositionView, time_ms: int) -> Shape:
    change = {"s": view.instrument.native_symbol, "l": view.leverage}
    return {"e": "ACCOUNT_CONFIG_UPDATE", "T": time_ms, "E": time_ms, "ac": change}


def force_order(update: OrderUpdate, scale: Scale) -> Shape:
    """One fill of a liquidation, for the public."""
    order = update.order
    assert update.fill is not None, "a liquidation is public once it trades"
    return {
        "e": "forceOrder",
        "E": update.time_ms,
        "o": {
            "s": order.instrument.native_symbol,
            "S": order.side.value.upper(),
            "o": live_type_name(order),
            "f": "IOC",
            "q": scale.quantity(order.quantity_units),
            "p": scale.price(update.fill.price_units),
            "ap": _average(order),
            "X": status_name(order),
            "l": scale.quantity(update.fill.quantity_units),
            "z": scale.quantity(order.filled_units),
            "T": update.time_ms,
        },
    }
