"""Orders and executions, page by page. Rule: newest first; the cursor is what the next page begins after."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from feeds.venue.accounts import Account
from feeds.venue.errors import UnknownOrder
from feeds.venue.exchange import Exchange
from feeds.venue.orders import Order
from feeds.venue.wire.bybit_errors import malformed
from feeds.venue.wire.bybit_ids import order_number
from feeds.venue.wire.bybit_orders import is_waiting, scope
from feeds.venue.wire.bybit_parameters import Parameters
from feeds.venue.wire.bybit_rows import execution_row, mark_of, order_row, order_status
from patriot.domain.instrument import Instrument

_ORDERS_MAX: Final = 50
_EXECUTIONS_MAX: Final = 100
_RECENT_MAX: Final = 500


def realtime(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer /v5/order/realtime: open orders; by id, or with `openOnly` 1, also what ended lately."""
    scoped = scope(exchange, parameters)
    number, link = parameters.text("orderId"), parameters.text("orderLinkId")
    orders: list[Order] = []
    for instrument in scoped:
        if number or link:
            with suppress(UnknownOrder):
                orders.append(_find(exchange, account, instrument, number, link))
        elif parameters.text("openOnly", "0") == "0":
            orders += exchange.open_orders(account, instrument.id)
        else:
            orders += exchange.orders(account, instrument.id)
    newest = sorted(orders, key=lambda order: -order.id)
    return _page(parameters, [order for order in newest if _matches(order, parameters)][:_RECENT_MAX])


def _find(exchange: Exchange, account: Account, instrument: Instrument, number: str, link: str) -> Order:
    if number:
        return exchange.order(account, instrument.id, order_id=order_number(number))
    return exchange.order(account, instrument.id, client_order_id=link)


def history(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer /v5/order/history: orders that ended, filled ones too."""
    category, symbol = parameters.category(), parameters.text("symbol")
    start, end = parameters.integer("startTime", 0), parameters.integer("endTime", 1 << 60)
    orders = [
        order
        for order in reversed(exchange.orders(account))
        if not order.is_open
        and order.instrument.kind == category
        and symbol in {"", order.instrument.native_symbol}
        and start <= order.created_ms <= end
        and _matches(order, parameters)
    ]
    return _page(parameters, orders)


def executions(exchange: Exchange, account: Account, parameters: Parameters) -> dict[str, Any]:
    """Answer /v5/execution/list. New executions shift the pages: one may show twice, none is left out."""
    category, symbol = parameters.category(), parameters.text("symbol")
    start, end = parameters.integer("startTime", 0), parameters.integer("endTime", 1 << 60)
    number, link = parameters.text("orderId"), parameters.text("orderLinkId")
    fills = [
        fill
        for fill in reversed(exchange.trades(account, order_id=order_number(number) if number else 0))
        if fill.instrument.kind == category
        and symbol in {"", fill.instrument.native_symbol}
        and link in {"", fill.client_order_id}
        and start <= fill.time_ms <= end
    ]
    first, limit = _cursor(parameters), parameters.limit(50, _EXECUTIONS_MAX)
    page = fills[first : first + limit]
    rows = [
        execution_row(fill, account.by_id.get(fill.order_id), mark_of(exchange, fill.instrument.id)) for fill in page
    ]
    more = str(first + limit) if len(fills) > first + limit else ""
    return {"category": category, "list": rows, "nextPageCursor": more}


def _matches(order: Order, parameters: Parameters) -> bool:
    number, link = parameters.text("orderId"), parameters.text("orderLinkId")
    if number and order_number(number) != order.id:
        return False
    if link and link != order.client_order_id:
        return False
    if parameters.text("orderFilter") in {"StopOrder", "tpslOrder"} and not is_waiting(order):
        return False
    return parameters.text("orderStatus") in {"", order_status(order)}


def _page(parameters: Parameters, orders: Sequence[Order]) -> dict[str, Any]:
    """Cut a page of orders, newest first, that begins below the order id in the cursor."""
    before, limit = _cursor(parameters), parameters.limit(20, _ORDERS_MAX)
    rest = [order for order in orders if not before or order.id < before]
    page = rest[:limit]
    more = str(page[-1].id) if len(rest) > limit else ""
    return {"category": parameters.category(), "list": [order_row(order) for order in page], "nextPageCursor": more}


def _cursor(parameters: Parameters) -> int:
    cursor = parameters.integer("cursor", 0)
    if cursor < 0:
        raise malformed("cursor", "is not one of ours")
    return cursor
