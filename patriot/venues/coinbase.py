"""Coinbase Advanced Trade, spot. Rule: our name for an order goes in as `client_order_id`, ccxt would make up its own.

Coinbase has no question by that name: open orders and history are searched. It asks money for a market buy and knows
no conditional market orders; both are refused here.
Source: docs.cdp.coinbase.com Advanced Trade API, orders.
"""

from collections.abc import Sequence
from typing import Any

from patriot.domain.venue import OrderRef, VenueOrder
from patriot.venues.budget import Budget
from patriot.venues.dialect import CONDITIONAL, HISTORY, ONE_EACH, Dialect, figure, named, symbol_of
from patriot.venues.reading import Structure


class Coinbase(Dialect):
    venue = "COINBASE"
    exchange_id = "coinbase"
    kinds = ("spot",)
    streams = ("spot",)
    wallets = ("spot",)
    acknowledges = True
    budgets = {"spot": Budget("address", 30, 1)}  # noqa: RUF012 - never changed
    weights = {"spot": ONE_EACH}  # noqa: RUF012 - never changed

    def options(self, kind: str) -> dict[str, Any]:
        return {**super().options(kind), "adjustForTimeDifference": False}

    def obstacle(self, order: VenueOrder) -> str:
        if order.order_type == "market" and order.side == "buy":
            return "Coinbase takes an amount of money for a market buy; use a limit order"
        if order.order_type in {"stop", "take_profit"}:
            return f"Coinbase knows no {order.order_type} orders; use {order.order_type}_limit"
        if order.order_type in CONDITIONAL and (order.post_only or order.time_in_force != "GTC"):
            return f"a {order.order_type} order must be good-till-cancelled on Coinbase"
        return super().obstacle(order)

    def parameters(self, order: VenueOrder) -> dict[str, Any]:
        parameters = super().parameters(order) | {"client_order_id": order.client_order_id}
        if order.order_type in CONDITIONAL:
            name = "stopLossPrice" if order.order_type.startswith("stop") else "takeProfitPrice"
            parameters[name] = figure(order.stop_price)
        if order.time_in_force == "GTD" and order.expire_at is not None:
            parameters["end_time"] = order.expire_at.isoformat().replace("+00:00", "Z")
        return parameters

    async def find_ended(self, exchange: Any, ref: OrderRef) -> Structure | None:
        if ref.venue_order_id:
            found: Structure = await exchange.fetch_order(ref.venue_order_id, symbol_of(ref))
            return found
        return named(await exchange.fetch_orders(symbol_of(ref), None, HISTORY), ref)

    async def trades(self, exchange: Any, ref: OrderRef) -> Sequence[Structure]:
        wanted = {"order_ids": [ref.venue_order_id]} if ref.venue_order_id else {}
        found = await exchange.fetch_my_trades(symbol_of(ref), None, HISTORY, wanted)
        return [trade for trade in found if str(trade.get("order")) == ref.venue_order_id]
