"""Binance spot over REST; the WebSocket API names the same routes. Rule: one handler per route, one line per answer."""

from collections.abc import Callable

from feeds.venue.accounts import Account
from feeds.venue.errors import VenueError
from feeds.venue.exchange import Exchange
from feeds.venue.orders import Order
from feeds.venue.wire.binance_access import SPOT_ORDERS, Limits
from feeds.venue.wire.binance_errors import BinanceError, translate
from feeds.venue.wire.binance_listen_keys import ListenKeys
from feeds.venue.wire.binance_orders import check_amount, spot_order
from feeds.venue.wire.binance_params import Params
from feeds.venue.wire.binance_public import Public
from feeds.venue.wire.binance_segment import Call, Route, Routes, Segment, between
from feeds.venue.wire.binance_spot_shapes import (
    acknowledgement,
    balance_shape,
    cancelled,
    full,
    order_shape,
    result,
    trade_shape,
)
from feeds.venue.wire.strikes import Strikes
from patriot.domain.instrument import Instrument

WEIGHT_MAX = 6000
CANNOT_AMEND = (-2038, "The requested order amendment is not allowed: newQty must be less than the current quantity.")
RESPONSES = {"ACK": "ACK", "RESULT": "RESULT", "FULL": "FULL"}
METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "klines": ("GET", "/api/v3/klines"),
    "avgPrice": ("GET", "/api/v3/avgPrice"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "order.amend.keepPriority": ("PUT", "/api/v3/order/amend/keepPriority"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "account.status": ("GET", "/api/v3/account"),
}


def spot_segment(exchange: Exchange, strikes: Strikes, keys: ListenKeys, *, is_limited: bool) -> Segment:
    """Return the spot markets of an exchange with all routes."""
    orders = SPOT_ORDERS if is_limited else ()
    limits = Limits(exchange.now_ms, WEIGHT_MAX if is_limited else 0, orders)
    segment = Segment(exchange, "spot", "spot", limits, strikes, methods=METHODS)
    segment.routes |= (
        Public(segment, "/api/v3").routes() | Spot(segment).routes() | keys.routes("/api/v3/userDataStream")
    )
    return segment


class Spot:
    """Handlers of the private routes."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._exchange = segment.exchange

    def routes(self) -> Routes:
        return {
            ("POST", "/api/v3/order"): Route(self.create, "signed", operation="create"),
            ("POST", "/api/v3/order/test"): Route(self.test, "signed"),
            ("GET", "/api/v3/order"): Route(self.get, "signed", 4),
            ("DELETE", "/api/v3/order"): Route(self.cancel, "signed", operation="cancel"),
            ("POST", "/api/v3/order/cancelReplace"): Route(self.cancel_replace, "signed", operation="amend"),
            ("PUT", "/api/v3/order/amend/keepPriority"): Route(self.amend, "signed", 4, "amend"),
            ("GET", "/api/v3/openOrders"): Route(self.open_orders, "signed", 6),
            ("DELETE", "/api/v3/openOrders"): Route(self.cancel_all, "signed", operation="cancel"),
            ("GET", "/api/v3/allOrders"): Route(self.all_orders, "signed", 20),
            ("GET", "/api/v3/myTrades"): Route(self.trades, "signed", 20),
            ("GET", "/api/v3/account"): Route(self.account, "signed", 20),
            ("GET", "/sapi/v1/capital/config/getall"): Route(self.coins, "signed", 10),
            ("GET", "/sapi/v1/asset/tradeFee"): Route(self.fees, "signed"),
            **{("GET", f"/sapi/v1/margin/{path}"): Route(lambda _: [], "key") for path in _MARGIN},
            ("GET", "/sapi/v1/system/status"): Route(lambda _: {"status": 0, "msg": "normal"}),
        }

    # orders

    def create(self, call: Call) -> object:
        return self._created(call.account, call.params)

    def _created(self, account: Account, params: Params) -> object:
        instrument = self._segment.instrument(params)
        request = spot_order(instrument, params)
        default = "FULL" if params.text("type") in {"LIMIT", "MARKET"} else "ACK"
        response = params.choice("newOrderRespType", RESPONSES, (-1136, "Invalid newOrderRespType."), default)
        order = self._exchange.create(account, request)
        if response == "ACK":
            return acknowledgement(order)
        scale = self._segment.scale(instrument)
        if response == "RESULT":
            return result(order, scale)
        return full(order, self._segment.fills_of(account, order), scale)

    def test(self, call: Call) -> object:
        """Read the order and forget it."""
        spot_order(self._segment.instrument(call.params), call.params)
        return {}

    def get(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        order = self._segment.find_order(call, instrument, self._segment.key_of(call.params))
        return self._shape(order)

    def cancel(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        return self._cancelled(call.account, instrument, call.params, self._segment.key_of(call.params))

    def _cancelled(self, account: Account, instrument: Instrument, params: Params, key: tuple[int, str]) -> object:
        order = self._exchange.cancel(account, instrument.id, order_id=key[0], client_order_id=key[1])
        return cancelled(order, self._segment.scale(instrument), params.client_id("newClientOrderId"))

    def cancel_replace(self, call: Call) -> object:
        """Cancel one order, place another; with STOP_ON_FAILURE nothing is placed unless the cancel succeeded."""
        params = call.params
        instrument = self._segment.instrument(params)
        modes = {"STOP_ON_FAILURE": True, "ALLOW_FAILURE": False}
        stops = params.choice("cancelReplaceMode", modes, (-1130, "Invalid cancelReplaceMode."))
        key = self._segment.key_of(params, "cancelOrderId", "cancelOrigClientOrderId")
        spot_order(instrument, params)
        cancel, cancel_ok = _attempt(lambda: self._cancelled(call.account, instrument, params, key))
        if stops and not cancel_ok:
            raise _cancel_replace_failed(cancel, None, cancel_ok=False, new_ok=False)
        new, new_ok = _attempt(lambda: self._created(call.account, params))
        if not (cancel_ok and new_ok):
            raise _cancel_replace_failed(cancel, new, cancel_ok=cancel_ok, new_ok=new_ok)
        return _cancel_replace_data(cancel, new, "SUCCESS", "SUCCESS")

    def amend(self, call: Call) -> object:
        """Lower the quantity of a resting order; it keeps its place in the queue."""
        instrument = self._segment.instrument(call.params)
        key = self._segment.key_of(call.params)
        quantity = check_amount(instrument, call.params, "newQty")
        order = self._segment.find_order(call, instrument, key)
        if quantity >= order.quantity:
            raise BinanceError(*CANNOT_AMEND)
        self._exchange.amend(call.account, instrument.id, order_id=order.id, quantity=quantity)
        amended = result(order, self._segment.scale(instrument)) | {"qty": str(order.quantity)}
        return {"transactTime": order.updated_ms, "executionId": order.version, "amendedOrder": amended}

    def open_orders(self, call: Call) -> object:
        return [self._shape(order) for order in self._open(call)]

    def _open(self, call: Call) -> list[Order]:
        symbol = self._segment.instrument(call.params).id if call.params.has("symbol") else None
        return [one for one in self._exchange.open_orders(call.account, symbol) if one.instrument.kind == "spot"]

    def cancel_all(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        orders = self._exchange.cancel_all(call.account, instrument.id)
        if not orders:
            raise BinanceError(-2011, "Unknown order sent.")
        return [cancelled(order, self._segment.scale(instrument), "") for order in orders]

    def all_orders(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        first, limit = call.params.integer("orderId", 0), call.params.limit(500, 1000)
        found = [
            order
            for order in self._exchange.orders(call.account, instrument.id)
            if order.id >= first and between(call.params, order.created_ms)
        ]
        return [self._shape(order) for order in (found[:limit] if first else found[-limit:])]

    def trades(self, call: Call) -> object:
        params, instrument = call.params, self._segment.instrument(call.params)
        first, limit = params.integer("fromId", 0), params.limit(500, 1000)
        fills = self._exchange.trades(call.account, instrument.id, params.integer("orderId", 0))
        found = [fill for fill in fills if fill.trade_id >= first and between(params, fill.time_ms)]
        scale = self._segment.scale(instrument)
        return [trade_shape(fill, scale) for fill in (found[:limit] if first else found[-limit:])]

    def _shape(self, order: Order) -> object:
        return order_shape(order, self._segment.scale(order.instrument))

    # accounts

    def account(self, call: Call) -> object:
        balances = self._exchange.balances(call.account, "spot")
        if call.params.flag("omitZeroBalances"):
            balances = [one for one in balances if one.total]
        rates = {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"}
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": rates,
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self._exchange.now_ms(),
            "accountType": "SPOT",
            "balances": [balance_shape(one) for one in balances],
            "permissions": ["SPOT"],
            "uid": 1 + int.from_bytes(call.account.name.encode()[:6]),
        }

    def coins(self, call: Call) -> object:
        """Every asset, without networks: nothing is deposited or withdrawn over a chain."""
        names = {asset for one in self._segment.instruments() for asset in (one.base, one.quote)}
        held = {one.asset: one for one in self._exchange.balances(call.account, "spot")}
        coins: list[dict[str, object]] = []
        for name in sorted(names | set(held)):
            shape = balance_shape(held[name]) if name in held else {"free": "0", "locked": "0"}
            coins.append({"coin": name, "name": name, "depositAllEnable": False, "withdrawAllEnable": False,
                          "trading": True, "isLegalMoney": False, "networkList": [],
                          "free": shape["free"], "locked": shape["locked"]})  # fmt: skip
        return coins

    def fees(self, call: Call) -> object:
        return [
            {
                "symbol": one.native_symbol,
                "makerCommission": format(one.maker_fee, "f"),
                "takerCommission": format(one.taker_fee, "f"),
            }
            for one in self._segment.chosen(call.params)
        ]


_MARGIN = ("allPairs", "isolated/allPairs", "allAssets")


def _attempt(do: Callable[[], object]) -> tuple[object, bool]:
    """Return the answer, or the body of the refusal and False."""
    try:
        return do(), True
    except VenueError as refusal:
        return translate(refusal, "spot").body(), False
    except BinanceError as refusal:
        return refusal.body(), False


def _cancel_replace_data(cancel: object, new: object, cancel_result: str, new_result: str) -> dict[str, object]:
    results = {"cancelResult": cancel_result, "newOrderResult": new_result}
    return results | {"cancelResponse": cancel, "newOrderResponse": new}


def _cancel_replace_failed(cancel: object, new: object, *, cancel_ok: bool, new_ok: bool) -> BinanceError:
    names = {True: "SUCCESS", False: "FAILURE"}
    data = _cancel_replace_data(cancel, new, names[cancel_ok], "NOT_ATTEMPTED" if new is None else names[new_ok])
    if cancel_ok or new_ok:
        return BinanceError(-2021, "Order cancel-replace partially failed.", 409, data=data)
    return BinanceError(-2022, "Order cancel-replace failed.", data=data)
