"""Bybit v5, spot and linear, unified account. Rule: an answer to a command means "taken"; its effect is asked for.

Source: bybit-exchange.github.io/docs/v5 (create, amend, cancel, open orders, history, executions).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import ccxt

from patriot.domain.venue import OrderRef, VenueOrder
from patriot.venues.budget import Budget
from patriot.venues.dialect import (
    AT_MARKET,
    CONDITIONAL,
    ONE_EACH,
    Dialect,
    Terms,
    figure,
    kind_of,
    named,
    symbol_of,
    trades_upwards,
)
from patriot.venues.reading import Structure, Unreadable

PAGE_ORDERS = 50
PAGE_TRADES = 100
PAGES_MAX = 20


class Bybit(Dialect):
    venue = "BYBIT"
    exchange_id = "bybit"
    kinds = ("spot", "linear")
    streams = ("spot+linear",)
    wallets = ("linear",)
    acknowledges = True
    leverage_is_so = "110043"
    budgets = dict.fromkeys(kinds, Budget("address", 600, 5))
    weights = dict.fromkeys(kinds, ONE_EACH)

    def options(self, kind: str) -> dict[str, Any]:
        return super().options(kind) | {"defaultSubType": "linear"}

    def configuration(self) -> dict[str, Any]:
        return {"has": {"fetchCurrencies": False}}  # the option of that name has no effect

    async def prepare(self, exchange: Any) -> None:
        await exchange.is_unified_enabled()

    def obstacle(self, order: VenueOrder) -> str:
        if order.time_in_force == "GTD":
            return "Bybit knows no good-till-date orders"
        return super().obstacle(order)

    def parameters(self, order: VenueOrder) -> dict[str, Any]:
        kind = kind_of(order.instrument)
        parameters = super().parameters(order)
        if order.order_type in CONDITIONAL:
            parameters["triggerPrice"] = figure(order.stop_price)
            if kind != "spot":
                parameters["triggerDirection"] = "ascending" if trades_upwards(order) else "descending"
        if kind == "spot" and order.order_type in AT_MARKET:
            parameters["marketUnit"] = "baseCoin"  # else Bybit takes the quantity of a market buy for money
        return parameters

    async def amend(self, exchange: Any, ref: OrderRef, terms: Terms) -> Structure:
        stop = {"triggerPrice": figure(terms.stop_price)} if terms.stop_price is not None else {}
        changed: Structure = await exchange.edit_order(
            None,
            symbol_of(ref),
            "limit",
            terms.side,
            figure(terms.quantity),
            figure(terms.price),
            {"orderLinkId": ref.client_order_id, **stop},
        )
        return changed

    async def cancel(self, exchange: Any, ref: OrderRef) -> Structure:
        """A waiting conditional spot order is another kind of order to Bybit: asked second."""
        by_name = {"orderLinkId": ref.client_order_id} if ref.client_order_id else {}
        order_id = None if by_name else ref.venue_order_id
        try:
            found: Structure = await exchange.cancel_order(order_id, symbol_of(ref), by_name)
        except ccxt.OrderNotFound:
            if not exchange.market(symbol_of(ref))["spot"]:
                raise
            found = await exchange.cancel_order(order_id, symbol_of(ref), {**by_name, "trigger": True})
        return found

    def told_order(self, exchange: Any, order: Structure) -> Structure:
        found: Structure = exchange.parse_order(order["info"], _market(exchange, order))
        return found

    def told_trade(self, exchange: Any, trade: Structure) -> Structure:
        found: Structure = exchange.parse_trade(trade["info"], _market(exchange, trade))
        return found

    async def find_open(self, exchange: Any, ref: OrderRef) -> Structure | None:
        return named(await exchange.fetch_open_orders(symbol_of(ref), None, None, _by_name(ref)), ref)

    async def find_ended(self, exchange: Any, ref: OrderRef) -> Structure | None:
        found = await exchange.fetch_canceled_and_closed_orders(symbol_of(ref), None, PAGE_ORDERS, _by_name(ref))
        return named(found, ref)

    async def trades(self, exchange: Any, ref: OrderRef) -> Sequence[Structure]:
        wanted = {"orderId": ref.venue_order_id} if ref.venue_order_id else _by_name(ref)
        return await _pages(
            lambda cursor: exchange.fetch_my_trades(symbol_of(ref), None, PAGE_TRADES, {**wanted, **cursor})
        )

    async def positions(self, exchange: Any) -> Sequence[Structure]:
        found: list[Structure] = []
        cursor: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            asked = {"category": "linear", "settleCoin": "USDT", "limit": "200", **cursor}
            page = (await exchange.privateGetV5PositionList(asked))["result"]
            found += [_position(row) for row in page["list"]]
            if not page.get("nextPageCursor"):
                return found
            cursor = {"cursor": str(page["nextPageCursor"])}
        raise Unreadable(f"more than {PAGES_MAX} pages")

    async def leverage(self, exchange: Any, symbol: str) -> object:
        asked = {"category": "linear", "symbol": exchange.market(symbol)["id"]}
        (row,) = (await exchange.privateGetV5PositionList(asked))["result"]["list"]
        return row["leverage"]

    async def all_open(self, exchange: Any) -> Sequence[Structure]:
        return await _pages(lambda cursor: exchange.fetch_open_orders(None, None, PAGE_ORDERS, cursor))


def _position(row: Structure) -> Structure:
    sign = "-" if row["side"] == "Sell" else ""
    return {"symbol": row["symbol"], "quantity": f"{sign}{row['size']}", "price": row.get("avgPrice")}


def _market(exchange: Any, told: Structure) -> Any:
    """The market that a message is about, by the message's own category. One socket tells of spot and linear, whose
    symbols are the same: ccxt guesses, and a wrong guess would charge a fee in dollars as coins.
    """
    info = told["info"]
    kind = "spot" if info["category"] == "spot" else "swap"
    for market in exchange.markets_by_id.get(info["symbol"], ()):
        if market["type"] == kind:
            return market
    raise Unreadable(f"a message about {info['category']} {info['symbol']}, which is not traded here")


def _by_name(ref: OrderRef) -> dict[str, str]:
    return {"orderLinkId": ref.client_order_id}


async def _pages(fetch: Callable[[dict[str, str]], Awaitable[Sequence[Structure]]]) -> list[Structure]:
    """All pages. ccxt's own paging asks for a start time, and with one Bybit looks at seven days only."""
    found: list[Structure] = []
    cursor: dict[str, str] = {}
    for _ in range(PAGES_MAX):
        page = await fetch(cursor)
        found += page
        following = next((one["info"].get("nextPageCursor") for one in page if one["info"].get("nextPageCursor")), "")
        if not following:
            return found
        cursor = {"cursor": str(following)}
    raise Unreadable(f"more than {PAGES_MAX} pages")
