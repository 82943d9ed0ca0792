"""What an event leaves in the order, field by field: nothing else changes, nothing is forgotten."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from patriot.domain.errors import InvalidTransition
from patriot.domain.order import Order, Reservation, fold
from patriot.domain.order_commands import create, ids
from schemas.events import (
    Hold,
    OrderAccepted,
    OrderArmed,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderModifyRejected,
    OrderModifyRequested,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReleased,
    OrderRouted,
    OrderStopMoved,
    OrderSubmitStarted,
    OrderSubmitUnknown,
    OrderTradeBusted,
    OrderTriggered,
)
from schemas.types import Emulation, ListKind, ListLink
from tests.unit.domain.examples import NOW, ORDER, USER, accepted, after, command, partially_filled, pending

LIST, PARENT, REQUEST = UUID(int=77), UUID(int=78), UUID(int=79)
WISH = {"request_id": REQUEST, "quantity": Decimal(20), "price": Decimal(101), "reserved_after": Decimal(2020)}
TRADE = {"price": Decimal(99), "fee": Decimal("0.1"), "fee_asset": "USDT"}

pytestmark = pytest.mark.requirement("P9", "B3")


def held(kind: ListKind | None = None, parent: UUID | None = None, *emulated: Emulation, **changes: Any) -> Order:
    """An order that the platform may hold back."""
    link = ListLink(list_id=LIST, kind=kind, number=1, size=2, parent_id=parent) if kind else None
    nothing = Reservation("USDT", Decimal(0))
    wish = command(**changes)
    return after(None, create(wish, order_id=ORDER, user_id=USER, reservation=nothing, emulated=emulated, link=link))


def told(order: Order, event: type[OrderEvent], **fields: Any) -> Order:
    return after(order, [event(**ids(order), **fields)])


def fill(trade_id: str, quantity: str, so_far: str, **fields: Any) -> dict[str, Any]:
    figures = {"quantity": Decimal(quantity), "filled_quantity": Decimal(so_far)}
    return TRADE | {"trade_id": trade_id, "liquidity": "taker"} | figures | fields


def test_place_in_a_list_is_that_of_the_link():
    order, single = held("bracket", PARENT), pending()
    assert (order.list_id, order.list_kind, order.parent_id) == (LIST, "bracket", PARENT)
    assert (single.list_id, single.list_kind, single.parent_id) == (None, None, None)


@pytest.mark.parametrize(
    ("place", "waits_for"),
    [
        (("oto", PARENT), "parent"),
        (("bracket", PARENT, "trigger"), "parent"),
        (("oco", None, "trigger"), "trigger"),
        (("oco", None), ""),
        ((None, None, "trigger"), "trigger"),
        ((None, None, "iceberg"), ""),
    ],
)
def test_what_an_order_waits_for_at_first(place: Any, waits_for: str):
    assert held(*place).waits_for == waits_for


@pytest.mark.parametrize(("emulated", "waits_for"), [(("trigger",), "trigger"), ((), "")])
def test_armed_order_waits_for_its_trigger_or_for_nothing(emulated: tuple[Emulation, ...], waits_for: str):
    order = told(held("bracket", PARENT, *emulated), OrderArmed, quantity=Decimal(4))
    assert (order.quantity, order.waits_for) == (4, waits_for)


def test_order_that_is_armed_with_more_stays_where_it_is_by_now():
    order = told(held("bracket", PARENT, "trigger"), OrderArmed, quantity=Decimal(4))
    order = told(order, OrderTriggered, price=Decimal(89), stop_price=Decimal(90))
    order = told(order, OrderArmed, quantity=Decimal(6))
    assert (order.quantity, order.waits_for) == (6, "rivals")


@pytest.mark.parametrize(
    ("kind", "waits_for"), [("bracket", "rivals"), ("oco", "rivals"), ("oto", ""), ("iceberg", ""), (None, "")]
)
def test_triggered_order_waits_for_those_that_it_cancels(kind: ListKind | None, waits_for: str):
    order = told(held(kind, None, "trigger"), OrderTriggered, price=Decimal(89), stop_price=Decimal(90))
    assert (order.waits_for, order.stop_price) == (waits_for, 90)


def test_released_order_has_what_is_left_and_waits_no_more():
    order = told(held("oco", None, "trigger"), OrderTriggered, price=Decimal(89), stop_price=Decimal(90))
    order = told(order, OrderReleased, quantity=Decimal(3))
    assert (order.quantity, order.asked_quantity, order.waits_for) == (3, 10, "")


def test_moved_stop_keeps_the_price_that_it_has_followed():
    order = told(held(None, None, "trigger"), OrderStopMoved, stop_price=Decimal(95), reference=Decimal(105))
    assert (order.stop_price, order.reference, order.status) == (95, 105, "pending")


@pytest.mark.parametrize(("emulated", "asked"), [(("trigger",), 20), ((), 10)])
def test_modification_changes_what_was_asked_for_only_while_the_order_is_held_back(emulated: Any, asked: int):
    order = held("oco", None, *emulated)
    order = told(order, OrderModified, quantity=Decimal(20), price=Decimal(101), stop_price=Decimal(91))
    assert (order.quantity, order.asked_quantity, order.price, order.stop_price) == (20, asked, 101, 91)


def test_modification_without_a_stop_or_an_id_leaves_them():
    order = told(accepted(), OrderModified, quantity=Decimal(20), price=Decimal(101), stop_price=Decimal(91))
    order = told(order, OrderModified, quantity=Decimal(21), price=Decimal(101))
    assert (order.stop_price, order.venue_order_id) == (91, "V1")
    assert told(order, OrderModified, quantity=Decimal(9), price=None, venue_order_id="V2").venue_order_id == "V2"


def test_wish_stands_beside_the_order_until_it_is_answered():
    asked = told(accepted(), OrderModifyRequested, **WISH, stop_price=Decimal(91))
    wish = asked.pending_modify
    assert wish is not None
    assert (wish.request_id, wish.quantity, wish.price, wish.stop_price) == (REQUEST, 20, 101, 91)
    assert (wish.reserved_before, wish.reserved_after) == (1000, 2020)
    assert (asked.quantity, asked.final_quantity, asked.open_quantity) == (10, 20, 20)
    less = told(accepted(), OrderModifyRequested, **WISH | {"quantity": Decimal(5)})
    assert (less.final_quantity, less.open_quantity) == (10, 10)
    refused = told(asked, OrderModifyRejected, reason="too late", code="x")
    assert (refused.pending_modify, refused.reason, refused.quantity) == (None, "too late", 10)
    assert told(asked, OrderModified, quantity=Decimal(20), price=Decimal(101)).pending_modify is None


def test_fills_take_their_share_of_what_either_quantity_reserves():
    order = told(accepted(), OrderModifyRequested, **WISH)
    for number, (quantity, so_far) in enumerate([("5", "5"), ("2", "7")]):
        order = told(order, OrderPartiallyFilled, **fill(f"T{number}", quantity, so_far))
    wish = order.pending_modify
    assert wish is not None
    assert (wish.reserved_before, wish.reserved_after) == (300, 1313)


def test_first_reservation_of_an_order_says_of_which_asset():
    holds = (Hold(asset="USDC", reserved=Decimal(5)),)
    order = told(held("oto", PARENT), OrderArmed, quantity=Decimal(4), holds=holds)
    assert order.reserved == Reservation("USDC", Decimal(5))
    assert told(order, OrderArmed, quantity=Decimal(6), holds=holds).reserved.amount == 10


def test_cancel_stands_beside_the_order_until_it_is_answered():
    asked = told(accepted(), OrderCancelRequested, reason="enough")
    assert (asked.pending_cancel, asked.reason, asked.status) == (True, "enough", "accepted")
    refused = told(asked, OrderCancelRejected, reason="unknown there", code="x")
    assert (refused.pending_cancel, refused.reason) == (False, "unknown there")


@pytest.mark.parametrize("ended", [OrderCancelled, OrderExpired, OrderRejected])
def test_order_that_has_ended_asks_for_nothing_more_and_says_why(ended: type[OrderEvent]):
    order = told(told(accepted(), OrderCancelRequested, reason="enough"), OrderModifyRequested, **WISH)
    fields = {"code": "x"} if ended is OrderRejected else {}
    order = told(order, ended, reason="over", **fields)
    assert (order.ended, order.pending_cancel, order.pending_modify, order.reason) == (True, False, None, "over")


def test_time_without_proof_begins_with_the_sending_and_again_with_a_missing_answer():
    order, moment = pending(), NOW
    seen = []
    for kind, fields in (
        (OrderRouted, {"route": "paper"}),
        (OrderSubmitStarted, {"attempt": 1, "client_order_id": order.client_order_id}),
        (OrderCancelRequested, {"reason": "enough"}),
        (OrderSubmitUnknown, {"reason": "timeout"}),
        (OrderAccepted, {"venue_order_id": "V1"}),
    ):
        moment += timedelta(seconds=1)
        order = fold(order, kind(**ids(order), **fields), order.version + 1, moment)
        assert (order.updated_at, order.created_at, order.version) == (moment, NOW, len(seen) + 2)
        seen.append(order.unproved_at and (order.unproved_at - NOW).seconds)
    assert seen == [None, 2, 2, 4, 4]


def test_fill_adds_up_and_says_why_it_came_late():
    order = told(accepted(), OrderCancelRequested, reason="enough")
    order = told(order, OrderPartiallyFilled, **fill("T1", "4", "4"))
    assert (order.status, order.filled_quantity, order.filled_value, order.reason) == (
        "partially_filled", 4, 396, "enough",
    )  # fmt: skip
    order = told(order, OrderFilled, **fill("T2", "6", "10", reason="after the cancel", fee_asset="BNB"))
    assert (order.status, order.filled_quantity, order.filled_value) == ("filled", 10, 990)
    assert (order.reason, order.trade_ids) == ("after the cancel", {"T1", "T2"})
    assert dict(order.fees) == {"USDT": Decimal("0.1"), "BNB": Decimal("0.1")}


def bust(order: Order, trade_id: str, quantity: str, left: str) -> Order:
    figures = {"quantity": Decimal(quantity), "filled_quantity": Decimal(left)}
    return told(order, OrderTradeBusted, trade_id=trade_id, reason="error trade", **TRADE | figures)


def test_trade_taken_back_is_taken_out_of_every_sum():
    order = told(accepted(), OrderPartiallyFilled, **fill("T1", "4", "4", fee_asset="BNB"))
    order = told(order, OrderPartiallyFilled, **fill("T2", "1", "5"))
    order = bust(order, "T2", "1", "4")
    assert (order.status, order.filled_quantity, order.filled_value) == ("partially_filled", 4, 396)
    assert dict(order.fees) == {"BNB": Decimal("0.1"), "USDT": Decimal(0)}
    assert (order.trade_ids, order.busted_ids, order.reason) == ({"T1", "T2"}, {"T2"}, "error trade")
    assert bust(order, "T1", "4", "0").busted_ids == {"T1", "T2"}


@pytest.mark.parametrize(
    ("filled", "left", "status"),
    [
        ("10", "9", "cancelled"),
        ("11", "10", "filled"),
        ("12", "11", "filled"),
        ("4", "0", "accepted"),
        ("4", "3", "partially_filled"),
    ],
)
def test_status_after_a_trade_was_taken_back(filled: str, left: str, status: str):
    kind = OrderPartiallyFilled if filled == "4" else OrderFilled
    order = told(accepted(), kind, **fill("T1", filled, filled))
    assert bust(order, "T1", str(Decimal(filled) - Decimal(left)), left).status == status


def test_order_that_was_cancelled_stays_so_when_the_rest_was_filled_all_the_same():
    order = told(partially_filled("4"), OrderCancelled, reason="enough")
    order = told(order, OrderPartiallyFilled, **fill("T1", "6", "10", reason="after the cancel"))
    assert (order.status, order.open_quantity) == ("cancelled", 0)


def test_acceptance_without_an_id_leaves_the_one_that_is_known():
    order = told(accepted(), OrderAccepted, venue_order_id="")
    assert order.venue_order_id == "V1"
    assert told(order, OrderAccepted, venue_order_id="V2").venue_order_id == "V2"


def test_fees_of_fills_and_of_trades_taken_back_cannot_be_changed_from_outside():
    filled = partially_filled("4")
    for order in (filled, bust(filled, "T0", "4", "0")):
        with pytest.raises(TypeError):
            order.fees["USDT"] = Decimal(1)  # type: ignore[index]


def test_order_that_has_ended_stays_so_when_a_trade_is_taken_back():
    order = told(partially_filled("4"), OrderCancelled, reason="enough")
    assert bust(order, "T0", "4", "0").status == "cancelled"


def test_order_begins_as_its_first_event():
    order = accepted()
    event = OrderAccepted(**ids(order), venue_order_id="V1")
    with pytest.raises(InvalidTransition, match=r"order.accepted cannot be its event 1, it does not exist"):
        fold(None, event, 1, NOW)
    [created] = create(command(), order_id=ORDER, user_id=USER, reservation=Reservation("USDT", Decimal(1)))
    with pytest.raises(InvalidTransition, match=r"order.created cannot be its event 2"):
        fold(None, created, 2, NOW)
