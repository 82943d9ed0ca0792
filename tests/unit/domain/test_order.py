"""The order's fold: what the table allows, what it refuses, and what each event changes."""

from decimal import Decimal
from fractions import Fraction
from typing import get_args

import pytest

from patriot.domain.errors import InvalidTransition
from patriot.domain.order import PendingModify, Reservation, fold, share_left
from patriot.domain.order_commands import create, ids
from patriot.domain.order_states import ENDED, LIVE, TRANSITIONS, UNPROVED, UNSENT
from schemas.events import (
    Hold,
    OrderAccepted,
    OrderCancelled,
    OrderEvents,
    OrderFilled,
    OrderModified,
    OrderModifyRequested,
    OrderPartiallyFilled,
    OrderRouted,
    OrderSubmitStarted,
    OrderTradeBusted,
)
from schemas.types import OrderStatus
from tests.unit.domain.examples import (
    NOW,
    ORDER,
    USER,
    accepted,
    after,
    command,
    fill,
    partially_filled,
    pending,
    report,
    submitted,
    told,
)


def test_table_covers_every_status_and_every_event():
    assert set(TRANSITIONS) == set(get_args(OrderStatus))
    assert set(TRANSITIONS) == UNPROVED | LIVE | ENDED
    assert UNSENT <= UNPROVED
    reachable = {event for row in TRANSITIONS.values() for event in row}
    assert {event.TYPE for event in get_args(OrderEvents)} - {event.TYPE for event in reachable} == {"order.created"}


def test_no_row_of_an_ended_order_leads_back_to_waiting():
    for status in ENDED:
        assert not set(TRANSITIONS[status].values()) & UNPROVED
        counts = {OrderPartiallyFilled, OrderFilled, OrderTradeBusted}
        assert set(TRANSITIONS[status]) <= counts, "after the end only money still counts"


@pytest.mark.requirement("P9", "B3")
def test_fold_tracks_an_order_from_its_creation_to_its_end():
    order = pending()
    assert (order.status, order.version, order.created_at) == ("pending", 1, NOW)
    assert (order.side, order.quantity, order.price) == ("buy", Decimal(10), Decimal(100))
    assert order.reserved.asset == "USDT"
    assert order.reserved.amount == 1000
    order = after(order, [OrderRouted(**ids(order), route="paper")])
    assert (order.status, order.route) == ("pending", "paper")
    order = after(order, [OrderSubmitStarted(**ids(order), attempt=1, client_order_id=order.client_order_id)])
    assert (order.status, order.attempt) == ("submitted", 1)
    order = told(order, report("accepted", venue_order_id="V1"))
    assert (order.status, order.venue_order_id) == ("accepted", "V1")
    order = told(order, fill("T1", "4", "99", fee="0.4"), fill("T2", "6", "99.5", fee="0.6"))
    assert (order.status, order.filled_quantity, order.average_price) == ("filled", 10, Decimal("99.3"))
    assert dict(order.fees) == {"USDT": Decimal(1)}
    assert order.trade_ids == {"T1", "T2"}
    assert order.reserved.amount == 0
    assert order.ended


def test_fees_are_kept_by_asset():
    order = told(accepted(), fill("T1", "1", fee="0.1"), fill("T2", "1", fee="0.02", fee_asset="BNB"))
    assert dict(order.fees) == {"USDT": Decimal("0.1"), "BNB": Decimal("0.02")}


def test_fees_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        accepted().fees["USDT"] = Decimal(1)  # type: ignore[index]


def test_average_price_is_unknown_before_the_first_fill():
    assert accepted().average_price is None


def test_average_price_is_rounded_to_eighteen_decimals():
    order = told(accepted(), fill("T1", "1", "1"), fill("T2", "2", "2"))
    assert order.average_price == Decimal("1.666666666666666667")


def test_filled_value_is_exact_beyond_the_interpreters_28_digits():
    price = "98765432109876.123456789012345678"
    order = told(accepted(price="100"), fill("T1", "0.000000000000000003", price), fill("T2", "1.1", price))
    assert Fraction(order.filled_value) == Fraction(price) * Fraction("1.100000000000000003")


def test_fold_refuses_an_event_that_the_table_does_not_have():
    order = told(accepted(), report("cancelled"))
    with pytest.raises(InvalidTransition, match=r"order.accepted is not possible while cancelled"):
        fold(order, OrderAccepted(**ids(order), venue_order_id="V2"), order.version + 1, NOW)


def test_fold_refuses_a_gap_and_a_repetition():
    order = submitted()
    event = OrderAccepted(**ids(order), venue_order_id="V1")
    for version in (order.version, order.version + 2):
        with pytest.raises(InvalidTransition, match="cannot follow"):
            fold(order, event, version, NOW)


def test_fold_begins_with_created_only():
    order = pending()
    with pytest.raises(InvalidTransition, match="does not exist"):
        fold(None, OrderCancelled(**ids(order)), 1, NOW)


def test_fold_refuses_created_twice():
    [created] = create(command(), order_id=ORDER, user_id=USER, reservation=Reservation("USDT", Decimal(1)))
    order = after(None, [created])
    with pytest.raises(InvalidTransition, match="created is not possible while pending"):
        fold(order, created, 2, NOW)


def test_order_without_reservation_holds_nothing():
    order = pending(reserved="0")
    assert order.reserved.amount == 0
    assert told(accepted(reserved="0"), fill("T1", "10")).reserved.amount == 0


def test_fold_modified_to_what_is_filled_ends_the_order():
    order = partially_filled("4")
    order = after(order, [OrderModified(**ids(order), quantity=Decimal(4), price=Decimal(100))])
    assert order.status == "filled"


def test_fold_end_drops_pending_requests():
    order = accepted()
    request = OrderModifyRequested(**ids(order), request_id=order.order_id, quantity=Decimal(12), price=Decimal(100))
    order = after(order, [request])
    assert order.pending_modify
    assert (order.final_quantity, order.open_quantity) == (12, 12)
    assert told(order, report("expired")).pending_modify is None


def test_fold_keeps_what_a_pending_modification_reserves_in_step_with_fills():
    order = accepted()
    request = {"request_id": order.order_id, "quantity": Decimal(20), "price": Decimal(100)}
    holds = (Hold(asset="USDT", reserved=Decimal(1000)),)
    order = after(order, [OrderModifyRequested(**ids(order), **request, reserved_after=Decimal(2000), holds=holds)])
    order = told(order, fill("T1", "5"))
    assert order.pending_modify == PendingModify(
        order.order_id, Decimal(20), Decimal(100), None, reserved_before=Decimal(500), reserved_after=Decimal(1500)
    )
    assert order.reserved.amount == 1500


@pytest.mark.parametrize(
    ("amount", "open_quantity", "filled", "left"),
    [
        ("10", "10", "4", "6"),
        ("10", "10", "10", "0"),
        ("10", "10", "11", "0"),
        ("10", "0", "1", "0"),
        ("10", "0", "0", "0"),
        ("0", "3", "1", "0"),
    ],
)
def test_share_left_of_a_reservation(amount, open_quantity, filled, left):
    assert share_left(Decimal(amount), Decimal(open_quantity), Decimal(filled)) == Decimal(left)


def test_share_left_is_rounded_up_so_that_no_release_exceeds_its_share():
    assert share_left(Decimal(1), Decimal(3), Decimal(1)) == Decimal("0.666666666666666667")
    assert share_left(Decimal(1), Decimal(3), Decimal(2)) == Decimal("0.333333333333333334")
