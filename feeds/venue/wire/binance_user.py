"""User data: what happens to one account, pushed to its sockets. Rule: events in the order in which they happened."""

from collections.abc import Callable

import orjson

from feeds.venue.accounts import Account
from feeds.venue.amounts import decimal_amount
from feeds.venue.events import AccountEvent, AccountUpdate, Change, OrderUpdate
from feeds.venue.wire import binance_linear_shapes as linear
from feeds.venue.wire import binance_spot_shapes as spot
from feeds.venue.wire.binance_linear_shapes import is_waiting
from feeds.venue.wire.binance_scale import amount
from feeds.venue.wire.binance_segment import Segment
from feeds.venue.wire.socket import Socket

Shape = dict[str, object]
TRANSFERS = {"deposit", "withdraw", "transfer"}


def push(segment: Segment, account: Account, socket: Socket, wrap: Callable[[Shape], Shape]) -> Callable[[], None]:
    """Send an account's events to a socket from now on; call the result to stop."""

    def hear(event: AccountEvent) -> None:
        for shape in shapes(segment, account, event):
            text = orjson.dumps(wrap(shape)).decode()
            segment.strikes.send(socket, text, str(shape["e"]), account.name)

    return segment.exchange.on_account(account.name, hear)


def shapes(segment: Segment, account: Account, event: AccountEvent) -> list[Shape]:
    """Return what Binance sends for one event; nothing where it belongs to the other kind of market.

    A unified account has one wallet: its changes are shown on both.
    """
    if isinstance(event, OrderUpdate):
        if event.order.instrument.kind != segment.kind:
            return []
        return _order(segment, event)
    if event.wallet != segment.wallet and not account.unified:
        return []
    return _spot_account(event) if segment.kind == "spot" else _linear_account(event)


def _order(segment: Segment, event: OrderUpdate) -> list[Shape]:
    scale = segment.scale(event.order.instrument)
    if segment.kind == "spot":
        return [spot.execution_report(event, scale)]
    if event.change is Change.TRAILED:
        return []
    order = event.order
    found: list[Shape] = []
    if order.type.is_conditional and (is_waiting(order) or event.change is Change.TRIGGERED or not order.is_open):
        found.append(linear.algo_update(event, scale))
    if not is_waiting(order):
        found.append(linear.order_trade_update(event, scale))
    return found


def _spot_account(event: AccountUpdate) -> list[Shape]:
    changes: list[Shape] = []
    if event.reason in TRANSFERS:
        difference = amount(decimal_amount(event.difference))
        changes = [
            {"e": "balanceUpdate", "E": event.time_ms, "a": one.asset, "d": difference, "T": event.time_ms}
            for one in event.balances
        ]
    return [spot.account_position(event), *changes]


def _linear_account(event: AccountUpdate) -> list[Shape]:
    if event.reason == "leverage":
        return [linear.leverage_update(one, event.time_ms) for one in event.positions]
    return [linear.account_update(event)]
