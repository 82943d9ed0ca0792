"""Binance USDⓈ-M futures over REST; the WebSocket API names the same routes.

Rule: one-way positions and cross margin only; asking for what is already so is refused as Binance refuses it, asking
for anything else is -1020. Conditional orders live under `algoOrder`, as on Binance since December 2025.
"""

from feeds.venue.accounts import Account, Margin, PositionView
from feeds.venue.errors import LeverageRejected
from feeds.venue.exchange import Exchange
from feeds.venue.orders import Order
from feeds.venue.wire.binance_access import LINEAR_ORDERS, Limits
from feeds.venue.wire.binance_errors import UNKNOWN_ORDER_CANCEL, UNKNOWN_ORDER_QUERY, BinanceError
from feeds.venue.wire.binance_linear_shapes import (
    NOTIONAL_MAX,
    account_asset,
    account_position,
    algo_shape,
    balance_shape,
    is_waiting,
    order_shape,
    position_risk,
    trade_shape,
)
from feeds.venue.wire.binance_listen_keys import ListenKeys
from feeds.venue.wire.binance_orders import ALGO, INVALID_SIDE, SIDES, check_amount, linear_order
from feeds.venue.wire.binance_params import missing
from feeds.venue.wire.binance_public import Public
from feeds.venue.wire.binance_scale import amount
from feeds.venue.wire.binance_segment import Call, Route, Routes, Segment, between
from feeds.venue.wire.strikes import Strikes
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, decimal_of

WEIGHT_MAX = 2400
FUNDING_MS = 8 * 3_600_000
NOT_SUPPORTED = (-1020, "This operation is not supported.")
METHODS = {
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v1/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
}


def linear_segment(exchange: Exchange, strikes: Strikes, keys: ListenKeys, *, is_limited: bool) -> Segment:
    """Return the USDⓈ-M futures of an exchange with all routes."""
    orders = LINEAR_ORDERS if is_limited else ()
    limits = Limits(exchange.now_ms, WEIGHT_MAX if is_limited else 0, orders)
    segment = Segment(exchange, "linear", "linear", limits, strikes, methods=METHODS)
    routes = Public(segment, "/fapi/v1").routes() | Orders(segment).routes() | Accounts(segment).routes()
    segment.routes |= routes | keys.routes("/fapi/v1/listenKey")
    return segment


class Orders:
    """Handlers of orders and algo orders."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._exchange = segment.exchange

    def routes(self) -> Routes:
        return {
            ("POST", "/fapi/v1/order"): Route(self.create, "signed", operation="create"),
            ("POST", "/fapi/v1/order/test"): Route(self.test, "signed"),
            ("GET", "/fapi/v1/order"): Route(self.get, "signed"),
            ("PUT", "/fapi/v1/order"): Route(self.modify, "signed", operation="amend"),
            ("DELETE", "/fapi/v1/order"): Route(self.cancel, "signed", operation="cancel"),
            ("GET", "/fapi/v1/openOrder"): Route(self.get, "signed"),
            ("GET", "/fapi/v1/openOrders"): Route(self.open_orders, "signed"),
            ("DELETE", "/fapi/v1/allOpenOrders"): Route(self.cancel_all, "signed", operation="cancel"),
            ("GET", "/fapi/v1/allOrders"): Route(self.all_orders, "signed", 5),
            ("POST", "/fapi/v1/algoOrder"): Route(self.create_algo, "signed", operation="create"),
            ("GET", "/fapi/v1/algoOrder"): Route(self.get_algo, "signed"),
            ("DELETE", "/fapi/v1/algoOrder"): Route(self.cancel_algo, "signed", operation="cancel"),
            ("GET", "/fapi/v1/openAlgoOrders"): Route(self.open_algos, "signed"),
            ("DELETE", "/fapi/v1/algoOpenOrders"): Route(self.cancel_all_algos, "signed", operation="cancel"),
            ("GET", "/fapi/v1/allAlgoOrders"): Route(self.all_algos, "signed", 5),
            ("GET", "/fapi/v1/userTrades"): Route(self.trades, "signed", 5),
        }

    def create(self, call: Call) -> object:
        request = linear_order(self._segment.instrument(call.params), call.params)
        return self._shape(self._exchange.create(call.account, request))

    def test(self, call: Call) -> object:
        """Read the order and forget it."""
        linear_order(self._segment.instrument(call.params), call.params)
        return {}

    def get(self, call: Call) -> object:
        return self._shape(self._find(call, UNKNOWN_ORDER_QUERY))

    def modify(self, call: Call) -> object:
        """Give a limit order a new price and a new total quantity."""
        params, instrument = call.params, self._segment.instrument(call.params)
        order = self._find(call, UNKNOWN_ORDER_CANCEL)
        if params.choice("side", SIDES, INVALID_SIDE) is not order.side:
            raise BinanceError(*INVALID_SIDE)
        quantity, price = check_amount(instrument, params, "quantity"), check_amount(instrument, params, "price")
        if quantity <= 0:
            raise BinanceError(-4003, "Quantity less than or equal to zero.")
        self._exchange.amend(call.account, instrument.id, order_id=order.id, price=price, quantity=quantity)
        return self._shape(order)

    def cancel(self, call: Call) -> object:
        order = self._find(call, UNKNOWN_ORDER_CANCEL)
        return self._shape(self._exchange.cancel(call.account, order.instrument.id, order_id=order.id))

    def _find(self, call: Call, refusal: tuple[int, str]) -> Order:
        """Return a live or ended order; an algo order that was never triggered is none."""
        instrument, key = self._segment.instrument(call.params), self._segment.key_of(call.params)
        try:
            order = self._segment.find_order(call, instrument, key)
        except BinanceError:
            raise BinanceError(*refusal) from None
        if is_waiting(order):
            raise BinanceError(*refusal)
        return order

    def open_orders(self, call: Call) -> object:
        return [self._shape(order) for order in self._open(call, waiting=False)]

    def _open(self, call: Call, *, waiting: bool) -> list[Order]:
        symbol = self._segment.instrument(call.params).id if call.params.has("symbol") else None
        orders = self._exchange.open_orders(call.account, symbol)
        return [one for one in orders if one.instrument.kind == "linear" and is_waiting(one) == waiting]

    def cancel_all(self, call: Call) -> object:
        self._segment.instrument(call.params)
        self._cancel_each(call, self._open(call, waiting=False))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _cancel_each(self, call: Call, orders: list[Order]) -> None:
        for order in orders:
            self._exchange.cancel(call.account, order.instrument.id, order_id=order.id)

    def all_orders(self, call: Call) -> object:
        return [self._shape(order) for order in self._history(call, "orderId") if not is_waiting(order)]

    def _history(self, call: Call, first_name: str) -> list[Order]:
        params, instrument = call.params, self._segment.instrument(call.params)
        first, limit = params.integer(first_name, 0), params.limit(500, 1000)
        orders = self._exchange.orders(call.account, instrument.id)
        found = [order for order in orders if order.id >= first and between(params, order.created_ms)]
        return found[:limit] if first else found[-limit:]

    def create_algo(self, call: Call) -> object:
        params, instrument = call.params, self._segment.instrument(call.params)
        if params.text("algoType") != "CONDITIONAL":
            raise BinanceError(-1130, "Data sent for parameter 'algoType' is not valid.")
        return self._algo(self._exchange.create(call.account, linear_order(instrument, params, ALGO)))

    def get_algo(self, call: Call) -> object:
        return self._algo(self._find_algo(call, UNKNOWN_ORDER_QUERY))

    def cancel_algo(self, call: Call) -> object:
        order = self._find_algo(call, UNKNOWN_ORDER_CANCEL)
        if not is_waiting(order):
            raise BinanceError(*UNKNOWN_ORDER_CANCEL)
        self._exchange.cancel(call.account, order.instrument.id, order_id=order.id)
        return {"algoId": order.id, "clientAlgoId": order.client_order_id, "code": "200", "msg": "success"}

    def _find_algo(self, call: Call, refusal: tuple[int, str]) -> Order:
        """Find by algoId or clientAlgoId; the endpoints do not ask for the symbol."""
        order_id, client_id = self._segment.key_of(call.params, "algoId", "clientAlgoId")
        account = call.account
        keys = [(one.id, client_id) for one in self._segment.instruments()]
        found = [account.by_id.get(order_id)] if order_id else [account.by_client_id.get(key) for key in keys]
        for order in found:
            if order is not None and order.type.is_conditional and order.instrument.kind == "linear":
                return order
        raise BinanceError(*refusal)

    def open_algos(self, call: Call) -> object:
        return [self._algo(order) for order in self._open(call, waiting=True)]

    def cancel_all_algos(self, call: Call) -> object:
        self._segment.instrument(call.params)
        self._cancel_each(call, self._open(call, waiting=True))
        return {"code": "200", "msg": "The operation of cancel all open order is done."}

    def all_algos(self, call: Call) -> object:
        return [self._algo(order) for order in self._history(call, "algoId") if order.type.is_conditional]

    def trades(self, call: Call) -> object:
        params, instrument = call.params, self._segment.instrument(call.params)
        first, limit = params.integer("fromId", 0), params.limit(500, 1000)
        fills = self._exchange.trades(call.account, instrument.id, params.integer("orderId", 0))
        found = [fill for fill in fills if fill.trade_id >= first and between(params, fill.time_ms)]
        scale = self._segment.scale(instrument)
        return [trade_shape(fill, scale) for fill in (found[:limit] if first else found[-limit:])]

    def _shape(self, order: Order) -> object:
        return order_shape(order, self._segment.scale(order.instrument))

    def _algo(self, order: Order) -> object:
        return algo_shape(order, self._segment.scale(order.instrument))


class Accounts:
    """Handlers of accounts, positions, leverage, mark prices and funding."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._exchange = segment.exchange

    def routes(self) -> Routes:
        versions: Routes = {}
        for version in ("v1", "v2", "v3"):
            versions |= {
                ("GET", f"/fapi/{version}/account"): Route(self.account, "signed", 5),
                ("GET", f"/fapi/{version}/balance"): Route(self.balance, "signed", 5),
                ("GET", f"/fapi/{version}/positionRisk"): Route(self.position_risk, "signed", 5),
            }
        return versions | {
            ("POST", "/fapi/v1/leverage"): Route(self.leverage, "signed", operation="leverage"),
            ("POST", "/fapi/v1/marginType"): Route(self.margin_type, "signed"),
            ("GET", "/fapi/v1/positionSide/dual"): Route(lambda _: {"dualSidePosition": False}, "signed", 30),
            ("POST", "/fapi/v1/positionSide/dual"): Route(self.position_side, "signed"),
            ("GET", "/fapi/v1/multiAssetsMargin"): Route(lambda _: {"multiAssetsMargin": False}, "signed", 30),
            ("GET", "/fapi/v1/leverageBracket"): Route(self.brackets, "signed"),
            ("GET", "/fapi/v1/symbolConfig"): Route(self.symbol_config, "signed", 5),
            ("GET", "/fapi/v1/commissionRate"): Route(self.commission, "signed", 20),
            ("GET", "/fapi/v1/income"): Route(self.income, "signed", 30),
            ("GET", "/fapi/v1/premiumIndex"): Route(self.premium_index),
            ("GET", "/fapi/v1/fundingRate"): Route(self.funding),
            ("GET", "/fapi/v1/fundingInfo"): Route(lambda _: []),
        }

    def _margins(self, account: Account) -> list[Margin]:
        names = {one.settle for one in self._segment.instruments()}
        return [self._exchange.margin(account, name) for name in sorted(names | set(account.wallets["linear"]))]

    def _positions(self, call: Call) -> list[PositionView]:
        return [self._exchange.position(call.account, one.id) for one in self._segment.chosen(call.params)]

    def account(self, call: Call) -> object:
        margins, now = self._margins(call.account), self._exchange.now_ms()
        assets = [account_asset(one, now) for one in margins]
        totals = {f"total{key[0].upper()}{key[1:]}": _total(assets, key) for key in _TOTALS}
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
            **totals,
            "availableBalance": _total(assets, "availableBalance"),
            "maxWithdrawAmount": _total(assets, "maxWithdrawAmount"),
            "assets": assets,
            "positions": [account_position(one) for one in self._positions(call)],
        }

    def balance(self, call: Call) -> object:
        now = self._exchange.now_ms()
        return [balance_shape(one, call.account.name, now) for one in self._margins(call.account)]

    def position_risk(self, call: Call) -> object:
        return [position_risk(one) for one in self._positions(call)]

    def leverage(self, call: Call) -> object:
        instrument, leverage = self._segment.instrument(call.params), call.params.integer("leverage")
        try:
            self._exchange.set_leverage(call.account, instrument.id, leverage)
        except LeverageRejected:
            if 1 <= leverage <= instrument.maximum_leverage:
                raise BinanceError(-2028, "Leverage is smaller than permitted: insufficient margin balance.") from None
            raise BinanceError(-4028, f"Leverage {leverage} is not valid.") from None
        return {"leverage": leverage, "maxNotionalValue": NOTIONAL_MAX, "symbol": instrument.native_symbol}

    def margin_type(self, call: Call) -> object:
        self._segment.instrument(call.params)
        if call.params.text("marginType") == "CROSSED":
            raise BinanceError(-4046, "No need to change margin type.")
        raise BinanceError(*NOT_SUPPORTED)

    def position_side(self, call: Call) -> object:
        if not call.params.has("dualSidePosition"):
            raise missing("dualSidePosition")
        if not call.params.flag("dualSidePosition"):
            raise BinanceError(-4059, "No need to change position side.")
        raise BinanceError(*NOT_SUPPORTED)

    def brackets(self, call: Call) -> object:
        found = [
            {"symbol": one.native_symbol, "brackets": [_bracket(one)]} for one in self._segment.chosen(call.params)
        ]
        return found[0] if call.params.has("symbol") else found

    def symbol_config(self, call: Call) -> object:
        return [
            {
                "symbol": one.native_symbol,
                "marginType": "CROSSED",
                "isAutoAddMargin": False,
                "leverage": self._exchange.leverage(call.account, one.id),
                "maxNotionalValue": NOTIONAL_MAX,
            }
            for one in self._segment.chosen(call.params)
        ]

    def commission(self, call: Call) -> object:
        one = self._segment.instrument(call.params)
        rates = {"makerCommissionRate": format(one.maker_fee, "f"), "takerCommissionRate": format(one.taker_fee, "f")}
        return {"symbol": one.native_symbol, **rates}

    def income(self, call: Call) -> object:
        """Realised profits and commissions of the remembered fills."""
        kind, limit = call.params.text("incomeType", ""), call.params.limit(100, 1000)
        found: list[dict[str, object]] = []
        for instrument in self._segment.chosen(call.params):
            for fill in self._exchange.trades(call.account, instrument.id):
                for name, value in (("REALIZED_PNL", fill.realised), ("COMMISSION", -fill.fee)):
                    if value and kind in {"", name} and between(call.params, fill.time_ms):
                        found.append({"symbol": instrument.native_symbol, "incomeType": name, "income": amount(value),
                                      "asset": fill.fee_asset, "info": name, "time": fill.time_ms,
                                      "tranId": fill.trade_id, "tradeId": str(fill.trade_id)})  # fmt: skip
        return found[-limit:]

    def premium_index(self, call: Call) -> object:
        found = [self._premium(one) for one in self._segment.chosen(call.params)]
        return found[0] if call.params.has("symbol") else found

    def _premium(self, instrument: Instrument) -> dict[str, object]:
        mark, scale = self._exchange.mark_price(instrument.id), self._segment.scale(instrument)
        return {
            "symbol": instrument.native_symbol,
            "markPrice": scale.price(mark.mark),
            "indexPrice": scale.price(mark.index),
            "estimatedSettlePrice": scale.price(mark.mark),
            "lastFundingRate": mark.funding_rate,
            "interestRate": "0.00010000",
            "nextFundingTime": mark.next_funding_ms,
            "time": mark.time_ms,
        }

    def funding(self, call: Call) -> object:
        """The last funding only: the exchange keeps no history of rates."""
        found: list[dict[str, object]] = []
        for one in self._segment.chosen(call.params):
            mark = self._exchange.mark_price(one.id)
            if mark.next_funding_ms:
                time_ms, price = mark.next_funding_ms - FUNDING_MS, self._segment.scale(one).price(mark.mark)
                found.append({"symbol": one.native_symbol, "fundingRate": mark.funding_rate, "fundingTime": time_ms,
                              "markPrice": price})  # fmt: skip
        return found


_TOTALS = (
    "initialMargin", "maintMargin", "walletBalance", "unrealizedProfit", "marginBalance", "positionInitialMargin",
    "openOrderInitialMargin", "crossWalletBalance", "crossUnPnl",
)  # fmt: skip


def _total(assets: list[dict[str, object]], key: str) -> str:
    """Sum over the assets; they are dollars of one kind or another."""
    return amount(sum((decimal_of(str(one[key])) for one in assets), ZERO))


def _bracket(instrument: Instrument) -> dict[str, object]:
    return {
        "bracket": 1,
        "initialLeverage": instrument.maximum_leverage,
        "notionalCap": int(NOTIONAL_MAX),
        "notionalFloor": 0,
        "maintMarginRatio": float(instrument.maintenance_margin_rate),
        "cum": 0.0,
    }
