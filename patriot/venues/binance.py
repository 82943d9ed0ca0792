"""Binance: spot and USDⓈ-M futures. Rule: an order is found by our own name for it.

Conditional futures orders live apart ("algo orders", since December 2025): each question and each cancel that finds
nothing among the ordinary orders asks there too. A triggered one becomes an ordinary order with an id of its own.
Source: binance-spot-api-docs rest-api.md; developers.binance.com USDⓈ-M futures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ccxt

from patriot.domain.venue import OrderRef, VenueBalanceState, VenueOrder
from patriot.venues.budget import Budget
from patriot.venues.dialect import CONDITIONAL, HISTORY, Dialect, Terms, figure, kind_of, named, symbol_of
from patriot.venues.endpoints import VenueEndpoints
from patriot.venues.gate import Step
from patriot.venues.reading import Structure, Unreadable, number

AMEND_PATH = "order/amend/keepPriority"

# all requests of a step together; on futures the question for conditional orders comes on top
_SPOT: Mapping[Step, float] = {
    "create": 1,
    "modify": 10,
    "cancel": 1,
    "open": 6,
    "ended": 4,
    "trades": 20,
    "search": 40,
    "all_open": 80,
    "balances": 20,
    "leverage": 1,
}
_LINEAR: Mapping[Step, float] = {
    "create": 1,
    "modify": 3,
    "cancel": 2,
    "open": 2,
    "ended": 3,
    "trades": 5,
    "search": 10,
    "all_open": 80,
    "balances": 5,
    "leverage": 1,
}


class Binance(Dialect):
    venue = "BINANCE"
    exchange_id = "binance"
    kinds = ("spot", "linear")
    streams = ("spot", "linear")
    wallets = ("spot", "linear")
    trails = frozenset({"linear"})
    hides = frozenset({"spot"})
    budgets = {"spot": Budget("spot", 6000, 60), "linear": Budget("linear", 2400, 60)}  # noqa: RUF012 - never changed
    weights = {"spot": _SPOT, "linear": _LINEAR}  # noqa: RUF012 - never changed

    def options(self, kind: str) -> dict[str, Any]:
        options = super().options(kind) | {
            "fetchCurrencies": False,
            "fetchMargins": False,
            "warnOnFetchOpenOrdersWithoutSymbol": False,
        }
        # without it ccxt asks the spot endpoints where no symbol is given; with it, it takes spot for linear
        return options if kind == "spot" else options | {"defaultSubType": "linear"}

    def addresses(self, endpoints: VenueEndpoints) -> dict[str, Any]:
        """Without `/stream` in the spot address ccxt takes its book messages for those of futures."""
        return {"ws": {"spot": f"{endpoints.websocket}/stream", "linear": f"{endpoints.websocket}/futures/ws"}}

    def obstacle(self, order: VenueOrder) -> str:
        kind = kind_of(order.instrument)
        if kind == "spot" and order.time_in_force == "GTD":
            return "Binance spot knows no good-till-date orders"
        if order.post_only and (kind == "spot" or order.time_in_force == "GTD"):
            if order.order_type in CONDITIONAL:
                return f"a {order.order_type} order cannot be post-only on Binance spot"
            if order.time_in_force == "GTD":
                return "a post-only order cannot be good-till-date on Binance"
        return super().obstacle(order)

    def parameters(self, order: VenueOrder) -> dict[str, Any]:
        parameters = super().parameters(order)
        if order.order_type in CONDITIONAL:
            name = "stopLossPrice" if order.order_type.startswith("stop") else "takeProfitPrice"
            parameters[name] = figure(order.stop_price)
        if order.trailing is not None:
            parameters["trailingPercent"] = figure(order.trailing.distance)
            if order.trailing.activation_price is not None:
                parameters["trailingTriggerPrice"] = figure(order.trailing.activation_price)
        if order.display_quantity is not None:
            parameters["icebergAmount"] = figure(order.display_quantity)
        if order.time_in_force == "GTD" and order.expire_at is not None:
            parameters["goodTillDate"] = int(order.expire_at.timestamp()) * 1000  # Binance wants whole seconds
        return parameters

    async def amend(self, exchange: Any, ref: OrderRef, terms: Terms) -> Structure:
        current = await self.find_open(exchange, ref)
        if current is None:
            raise ccxt.OrderNotFound(f"{ref.client_order_id} is not open")
        if exchange.market(symbol_of(ref))["spot"]:
            return await self._reduce(exchange, ref, current, terms)
        if "algoId" in current["info"]:
            raise ccxt.NotSupported("a waiting conditional order cannot be changed on Binance; cancel it")
        changed: Structure = await exchange.edit_order(
            current["id"],
            symbol_of(ref),
            "limit",
            terms.side,
            figure(terms.quantity),
            figure(terms.price) or current["price"],
            {"origClientOrderId": ref.client_order_id},
        )
        return changed

    async def _reduce(self, exchange: Any, ref: OrderRef, current: Structure, terms: Terms) -> Structure:
        """Spot orders can only shrink. Cancel and replace would be a second order under the same name."""
        same_price = terms.price is None or terms.price == number(current["price"], "price")
        only_less = same_price and terms.stop_price is None
        if not only_less or terms.quantity >= number(current["amount"], "amount"):
            raise ccxt.NotSupported("Binance spot can only lower the quantity of an order; cancel it and place another")
        request = {
            "symbol": exchange.market(symbol_of(ref))["id"],
            "orderId": current["id"],
            "newQty": figure(terms.quantity),
            "newClientOrderId": ref.client_order_id,  # else Binance gives it a random one
        }
        answer = await exchange.request(AMEND_PATH, ["private"], "PUT", request)
        amended = exchange.safe_dict(answer, "amendedOrder", {})
        return {"id": exchange.safe_string(amended, "orderId"), "info": answer}

    async def cancel(self, exchange: Any, ref: OrderRef) -> Structure:
        by_name = {"clientOrderId": ref.client_order_id} if ref.client_order_id else {}
        try:
            found: Structure = await exchange.cancel_order(ref.venue_order_id, symbol_of(ref), by_name)
        except ccxt.OrderNotFound:
            if exchange.market(symbol_of(ref))["spot"]:
                raise
            found = await exchange.cancel_order(ref.venue_order_id, symbol_of(ref), {**by_name, "trigger": True})
        return found

    async def find_open(self, exchange: Any, ref: OrderRef) -> Structure | None:
        found = named(await exchange.fetch_open_orders(symbol_of(ref)), ref)
        if found is None and not exchange.market(symbol_of(ref))["spot"]:
            algo = named(await exchange.fetch_open_orders(symbol_of(ref), None, None, {"trigger": True}), ref)
            found = algo and _waiting(algo)
        return found

    async def find_ended(self, exchange: Any, ref: OrderRef) -> Structure | None:
        by_name = {"clientOrderId": ref.client_order_id}
        try:
            found: Structure = await exchange.fetch_order("", symbol_of(ref), by_name)
        except ccxt.OrderNotFound:
            if exchange.market(symbol_of(ref))["spot"]:
                return None
            return await self._find_algo(exchange, ref)
        return found

    async def _find_algo(self, exchange: Any, ref: OrderRef) -> Structure | None:
        try:
            algo = await exchange.fetch_order(
                "", symbol_of(ref), {"clientOrderId": ref.client_order_id, "trigger": True}
            )
        except ccxt.OrderNotFound:
            return None
        actual = exchange.safe_string(algo["info"], "actualOrderId")
        if not actual or actual == "0":
            return _waiting(algo)
        found: Structure = await exchange.fetch_order(actual, symbol_of(ref))
        return found

    async def trades(self, exchange: Any, ref: OrderRef) -> Sequence[Structure]:
        """Binance's trades name the order by its id alone. Without one, every recent trade must belong to an order
        that the history tells; a trade of an untold order may be ours, so that raises Unreadable.
        """
        symbol = symbol_of(ref)
        if ref.venue_order_id:
            found: Sequence[Structure] = await exchange.fetch_my_trades(
                symbol, None, None, {"orderId": ref.venue_order_id}
            )
            return found
        orders = await exchange.fetch_orders(symbol, None, HISTORY)
        told = {int(order["id"]) for order in orders}
        oldest = min(told, default=0)
        for trade in await exchange.fetch_my_trades(symbol, None, HISTORY):
            if int(trade["order"]) > oldest and int(trade["order"]) not in told:
                raise Unreadable(f"trade {trade['id']} belongs to an order that the history does not tell")
        return ()

    async def all_open(self, exchange: Any) -> Sequence[Structure]:
        found = list(await exchange.fetch_open_orders())
        if exchange.options["defaultType"] != "spot":
            found += [_waiting(one) for one in await exchange.fetch_open_orders(None, None, None, {"trigger": True})]
        return found

    async def positions(self, exchange: Any) -> Sequence[Structure]:
        rows = await exchange.fapiPrivateV3GetPositionRisk()
        return [
            {"symbol": row["symbol"], "quantity": row["positionAmt"], "price": row.get("entryPrice")} for row in rows
        ]

    async def leverage(self, exchange: Any, symbol: str) -> object:
        """Positions do not tell it since version 3 of that question."""
        (row,) = await exchange.fapiPrivateGetSymbolConfig({"symbol": exchange.market(symbol)["id"]})
        return row["leverage"]

    def balances(self, structure: Structure) -> dict[str, VenueBalanceState]:
        """Ccxt's total of a futures wallet contains unrealised profit; the wallet balance does not."""
        if "assets" not in structure["info"]:
            return super().balances(structure)
        return {
            str(one["asset"]): VenueBalanceState(
                str(one["asset"]),
                number(one.get("walletBalance"), "walletBalance"),
                number(one.get("availableBalance"), "availableBalance"),
            )
            for one in structure["info"]["assets"]
        }


def _waiting(algo: Structure) -> Structure:
    """A conditional order that has not been triggered: nothing of it is filled."""
    return {**algo, "filled": "0"}
