"""Instruments, orders and reports that the domain's tests share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.instrument import Instrument
from patriot.domain.order import Order, Reservation, fold
from patriot.domain.order_commands import create, start_submit
from patriot.domain.order_reports import apply_report
from schemas.commands import CreateOrder
from schemas.events import OrderEvent
from schemas.reports import VenueReport

ACCOUNT, USER, ORDER = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = datetime(2024, 8, 8, 12, tzinfo=UTC)


def instrument(kind: str = "spot", **changes: Any) -> Instrument:
    """BTC at a tick of 0.01 and a lot of 0.001; contracts of 100 USD for inverse."""
    spot = {"quote": "USDT", "settle": "USDT", "id": "BINANCE:BTC/USDT", "contract_size": Decimal(1)}
    linear = {"quote": "USDT", "settle": "USDT", "id": "BINANCE:BTC/USDT:USDT", "contract_size": Decimal(1)}
    inverse = {"quote": "USD", "settle": "BTC", "id": "BINANCE:BTC/USD:BTC", "contract_size": Decimal(100)}
    fields: dict[str, Any] = {
        "native_symbol": "BTC",
        "base": "BTC",
        "kind": kind,
        "tick_size": Decimal("0.01"),
        "lot_size": Decimal("0.001"),
        "price_decimals": 2,
        "quantity_decimals": 3,
        "minimum_quantity": Decimal("0.002"),
        "maximum_quantity": Decimal(1000),
        "minimum_notional": Decimal(10),
        "maker_fee": Decimal("0.0002"),
        "taker_fee": Decimal("0.001"),
        **{"spot": spot, "linear": linear, "inverse": inverse}[kind],
        **changes,
    }
    return Instrument(**fields)


def command(**changes: Any) -> CreateOrder:
    """Buy 10 BTC at 100."""
    fields = {"account_id": ACCOUNT, "instrument": "BINANCE:BTC/USDT", "side": "buy", "quantity": "10", "price": "100"}
    return CreateOrder.model_validate({**fields, **changes})


def after(order: Order | None, events: Sequence[OrderEvent]) -> Order:
    """The order after `events`, a second apart."""
    for event in events:
        order = fold(order, event, order.version + 1 if order else 1, NOW)
    assert order is not None
    return order


def pending(reserved: str = "1000", **changes: Any) -> Order:
    reservation = Reservation("USDT", Decimal(reserved))
    return after(None, create(command(**changes), order_id=ORDER, user_id=USER, reservation=reservation))


def submitted(**changes: Any) -> Order:
    order = pending(**changes)
    return after(order, start_submit(order))


def accepted(**changes: Any) -> Order:
    order = submitted(**changes)
    return told(order, report("accepted", venue_order_id="V1"))


def partially_filled(quantity: str = "4", **changes: Any) -> Order:
    return told(accepted(**changes), fill("T0", quantity))


def told(order: Order, *reports: VenueReport) -> Order:
    """The order after the venue's reports."""
    for each in reports:
        order = after(order, apply_report(order, each))
    return order


def report(outcome: str, **fields: Any) -> VenueReport:
    return VenueReport.model_validate({"account_id": ACCOUNT, "outcome": outcome, "source": "stream", **fields})


def fill(trade_id: str, quantity: str, price: str = "100", fee: str = "0.1", **fields: Any) -> VenueReport:
    """An execution; `quantity_of_order` is the order's own quantity as the venue tells it along."""
    fee_asset = fields.pop("fee_asset", "USDT")
    fields["quantity"] = fields.pop("quantity_of_order", None)
    execution = {"trade_id": trade_id, "price": price, "quantity": quantity, "fee": fee, "fee_asset": fee_asset}
    return report("fill", execution={**execution, "liquidity": "taker"}, **fields)


def types(events: Sequence[OrderEvent]) -> list[str]:
    return [event.TYPE.removeprefix("order.") for event in events]
