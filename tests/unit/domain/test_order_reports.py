"""Venue reports on an order: proof is recorded once, whatever the order of arrival."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.money import ZERO, exact
from patriot.domain.order import Order, Reservation
from patriot.domain.order_commands import ids, record_unknown, request_cancel, request_modify, route, start_submit
from patriot.domain.order_reports import apply_report, take_back
from schemas.commands import ModifyOrder
from schemas.events import OrderEvent, OrderPartiallyFilled, OrderTradeBusted
from schemas.reports import VenueReport
from tests.unit.domain.examples import (
    ACCOUNT,
    NOW,
    accepted,
    after,
    fill,
    partially_filled,
    pending,
    report,
    submitted,
    told,
    types,
)

UNKNOWN = after(submitted(), record_unknown(submitted(), "timeout"))
ENDS = {name: told(accepted(), report(name)) for name in ("cancelled", "expired", "rejected")}
FILLED = told(accepted(), fill("T1", "10"))
REQUEST = UUID(int=9)


def modifying(order: Order, quantity: str, reserved: str) -> Order:
    change = ModifyOrder.model_validate({"quantity": quantity})
    reservation = Reservation("USDT", Decimal(reserved))
    return after(order, request_modify(order, change, request_id=REQUEST, reservation=reservation))


def test_modification_of_the_stop_is_proved_by_its_answer_alone():
    stop = accepted(order_type="stop", price=None, stop_price="110")
    change = ModifyOrder.model_validate({"stop_price": "120"})
    order = after(stop, request_modify(stop, change, request_id=REQUEST, reservation=stop.reserved))
    assert apply_report(order, report("modified", quantity="10")) == [], "the answer to an earlier request"
    assert types(apply_report(order, fill("T1", "4", quantity_of_order="10"))) == ["partially_filled"]
    agreed = told(order, report("modified", quantity="10", stop_price="120"))
    assert (agreed.stop_price, agreed.pending_modify) == (120, None)


# --- acceptance and refusal ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", [pending(), submitted(), UNKNOWN])
def test_accepted_is_recorded_once(order):
    order = told(order, report("accepted", venue_order_id="V1"))
    assert (order.status, order.venue_order_id) == ("accepted", "V1")
    assert apply_report(order, report("accepted", venue_order_id="V1")) == []


def test_acceptance_keeps_the_venue_s_time():
    [event] = apply_report(submitted(), report("accepted", venue_time=NOW))
    assert event.venue_time == NOW


@pytest.mark.parametrize("order", [*ENDS.values(), FILLED])
def test_accepted_is_stale_after_the_end(order):
    assert apply_report(order, report("accepted", venue_order_id="V9")) == []


def test_accepted_gives_the_venues_name_to_an_order_that_was_filled_before():
    order = told(submitted(), fill("T1", "4"))
    assert (order.status, order.venue_order_id) == ("partially_filled", "")
    order = told(order, report("accepted", venue_order_id="V1"))
    assert (order.status, order.venue_order_id) == ("partially_filled", "V1")


@pytest.mark.parametrize("order", [pending(), submitted(), UNKNOWN, accepted()])
def test_rejected_ends_an_order_and_releases_all(order):
    [event] = apply_report(order, report("rejected", code="-2010", reason="no funds"))
    assert (event.code, event.holds[0].reserved) == ("-2010", -1000)
    order = after(order, [event])
    assert (order.status, order.reserved.amount, order.reason) == ("rejected", 0, "no funds")
    assert apply_report(order, report("rejected")) == []


def test_rejected_is_weaker_than_a_fill():
    assert apply_report(partially_filled(), report("rejected")) == []


@pytest.mark.parametrize("order", [*ENDS.values(), FILLED])
def test_rejected_is_stale_after_the_end(order):
    assert apply_report(order, report("rejected")) == []


def test_unknown_is_recorded_after_a_submit_only():
    assert types(apply_report(submitted(), report("unknown", reason="timeout"))) == ["submit_unknown"]
    assert apply_report(UNKNOWN, report("unknown")) == []
    assert apply_report(accepted(), report("unknown")) == []


@pytest.mark.parametrize(
    ("proof", "status"),
    [
        (report("accepted", venue_order_id="V1"), "accepted"),
        (report("rejected", reason="the venue knows no such order"), "rejected"),
        (report("cancelled"), "cancelled"),
        (report("expired"), "expired"),
        (fill("T1", "1"), "partially_filled"),
        (fill("T1", "10"), "filled"),
    ],
)
@pytest.mark.requirement("B3")
def test_unknown_is_resolved_by_proof(proof, status):
    assert told(UNKNOWN, proof).status == status


@pytest.mark.parametrize("outcome", ["unknown", "cancel_rejected", "modify_rejected"])
def test_unknown_is_not_resolved_by_anything_else(outcome):
    assert told(UNKNOWN, report(outcome)).status == "unknown"


# --- fills -----------------------------------------------------------------------------------------------------------
def test_fill_releases_its_share_and_the_last_one_the_rest():
    order = accepted(reserved="1000.000000000000000001")
    first = apply_report(order, fill("T1", "3"))
    assert types(first) == ["partially_filled"]
    order = after(order, first)
    assert (order.filled_quantity, order.reserved.amount) == (3, Decimal("700.000000000000000001"))
    last = apply_report(order, fill("T2", "7"))
    assert types(last) == ["filled"]
    assert last[0].filled_quantity == 10
    assert after(order, last).reserved.amount == 0


def test_fill_is_deduplicated_by_trade_id():
    order = told(accepted(), fill("T1", "3"))
    assert apply_report(order, fill("T1", "3")) == []
    assert apply_report(order, fill("T1", "3", source="reconciliation", filled_quantity="3")) == []
    assert told(order, fill("T2", "3")).filled_quantity == 6


@pytest.mark.parametrize("order", [pending(), submitted(), UNKNOWN])
def test_fill_before_the_acknowledgement_proves_acceptance(order):
    events = apply_report(order, fill("T1", "4", venue_order_id="V1"))
    assert types(events) == ["accepted", "partially_filled"]
    order = after(order, events)
    assert (order.venue_order_id, order.filled_quantity) == ("V1", 4)
    assert apply_report(order, report("accepted", venue_order_id="V1")) == []


@pytest.mark.parametrize("name", ["cancelled", "expired"])
def test_late_fill_is_recorded_and_leaves_a_partly_filled_order_ended(name):
    [event] = apply_report(ENDS[name], fill("T1", "4"))
    assert (event.TYPE, event.holds, event.reason) == ("order.partially_filled", (), f"filled after it was {name}")
    order = after(ENDS[name], [event])
    assert (order.status, order.filled_quantity) == (name, 4)


@pytest.mark.parametrize("name", ["cancelled", "expired", "rejected"])
def test_late_fill_of_everything_makes_the_order_filled(name):
    order = told(ENDS[name], fill("T1", "10"))
    assert (order.status, order.reserved.amount) == ("filled", 0)


def test_fill_of_a_rejected_order_reopens_it():
    order = told(ENDS["rejected"], fill("T1", "4"))
    assert order.status == "partially_filled"
    assert told(order, report("cancelled")).status == "cancelled"


def test_overfill_is_recorded_with_its_reason():
    [event] = apply_report(partially_filled("4"), fill("T1", "7"))
    assert (event.TYPE, event.filled_quantity) == ("order.filled", 11)
    assert event.reason == "overfilled: the venue proved 11 of 10"
    [event] = apply_report(FILLED, fill("T2", "1"))
    assert (event.filled_quantity, event.holds) == (11, ())
    assert after(FILLED, [event]).filled_quantity == 11


def test_fill_of_exactly_the_quantity_has_no_remark():
    assert apply_report(partially_filled("4"), fill("T1", "6"))[0].reason == ""


def test_fill_keeps_what_the_venue_told():
    time = "2024-08-08T12:00:01+00:00"
    told_fill = fill("T1", "1", "99.5", "0.02", fee_asset="BNB", venue_time=time)
    [event] = apply_report(accepted(), told_fill)
    assert (event.price, event.fee, event.fee_asset, event.liquidity) == (
        Decimal("99.5"),
        Decimal("0.02"),
        "BNB",
        "taker",
    )
    assert event.venue_time == told_fill.venue_time


@pytest.mark.parametrize("broken", [report("fill"), fill("", "1")])
def test_fill_without_execution_or_trade_id_is_refused(broken):
    with pytest.raises(InvalidValue, match="trade id"):
        apply_report(accepted(), broken)


def test_report_about_another_order_or_account_is_refused():
    with pytest.raises(InvalidValue, match="order_id"):
        apply_report(accepted(), report("cancelled", order_id=UUID(int=77)))
    with pytest.raises(InvalidValue, match="account_id"):
        apply_report(accepted(), report("cancelled", account_id=UUID(int=77)))


# --- cancels ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("outcome", ["cancelled", "expired"])
@pytest.mark.parametrize("order", [pending(), submitted(), UNKNOWN, accepted(), partially_filled()])
def test_end_releases_what_is_left_once(order, outcome):
    [event] = apply_report(order, report(outcome, reason="by the venue"))
    assert event.holds[0].reserved == -order.reserved.amount
    order = after(order, [event])
    assert (order.status, order.reserved.amount, order.reason) == (outcome, 0, "by the venue")
    for again in ("cancelled", "expired"):
        assert apply_report(order, report(again)) == []


def test_cancelled_is_stale_after_filled():
    assert apply_report(FILLED, report("cancelled")) == []


def test_cancel_rejected_answers_a_pending_cancel():
    order = accepted()
    assert apply_report(order, report("cancel_rejected")) == []
    order = after(order, request_cancel(order))
    order = told(order, report("cancel_rejected", code="-2011", reason="unknown order"))
    assert (order.status, order.pending_cancel, order.reason) == ("accepted", False, "unknown order")
    assert types(request_cancel(order)) == ["cancel_requested"]


# --- modifications ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("quantity", "reserved"), [("15", "1500"), ("5", "500")])
def test_modified_as_asked_takes_quantity_and_reservation(quantity, reserved):
    order = told(modifying(accepted(), quantity, reserved), report("modified", venue_order_id="V2"))
    assert (order.quantity, order.reserved.amount, order.pending_modify) == (Decimal(quantity), Decimal(reserved), None)
    assert order.venue_order_id == "V2"
    assert apply_report(order, report("modified", quantity=quantity, price="100")) == []


def test_modify_rejected_gives_back_what_was_reserved_for_it():
    order = told(modifying(accepted(), "15", "1500"), report("modify_rejected", code="X", reason="no"))
    assert (order.quantity, order.reserved.amount, order.pending_modify, order.reason) == (10, 1000, None, "no")
    assert apply_report(order, report("modify_rejected")) == []


def test_modify_rejected_of_another_request_is_stale():
    order = modifying(accepted(), "15", "1500")
    assert apply_report(order, report("modify_rejected", request_id=UUID(int=8))) == []
    assert types(apply_report(order, report("modify_rejected", request_id=REQUEST))) == ["modify_rejected"]


def test_modification_after_fills_keeps_reservations_in_proportion():
    order = told(modifying(accepted(), "20", "2000"), fill("T1", "5"))
    assert order.reserved.amount == 1500
    assert told(order, report("modified")).reserved.amount == 1500
    assert told(order, report("modify_rejected")).reserved.amount == 500


def test_fill_to_the_old_quantity_does_not_end_an_order_that_may_have_grown():
    order = told(modifying(accepted(), "15", "1500"), fill("T1", "10"))
    assert order.status == "partially_filled"
    refused = told(order, report("modify_rejected", reason="filled already"))
    assert (refused.status, refused.reserved.amount) == ("filled", 0)
    agreed = told(order, report("modified"))
    assert (agreed.status, agreed.reserved.amount, agreed.open_quantity) == ("partially_filled", 500, 5)


def test_fill_that_tells_the_old_quantity_ends_the_order():
    [event] = apply_report(modifying(accepted(), "15", "1500"), fill("T1", "10", quantity_of_order="10"))
    assert (event.TYPE, event.holds[0].reserved) == ("order.filled", -1500)


def test_fill_that_tells_the_new_quantity_proves_the_modification():
    order = modifying(accepted(), "15", "1500")
    events = apply_report(order, fill("T1", "10", quantity_of_order="15"))
    assert types(events) == ["modified", "partially_filled"]
    assert after(order, events).reserved.amount == 500
    smaller = modifying(accepted(), "5", "500")
    events = apply_report(smaller, fill("T1", "5", quantity_of_order="5"))
    assert types(events) == ["modified", "filled"]
    assert after(smaller, events).reserved.amount == 0


def test_fill_that_tells_the_new_price_proves_the_modification():
    order, change = accepted(), ModifyOrder(price=Decimal(101))
    reservation = Reservation("USDT", Decimal(1010))
    order = after(order, request_modify(order, change, request_id=REQUEST, reservation=reservation))
    execution = fill("T1", "10", quantity_of_order="10")
    at_old = execution.model_copy(update={"price": Decimal(100)})
    assert types(apply_report(order, at_old)) == ["filled"]
    at_new = execution.model_copy(update={"price": Decimal(101)})
    events = apply_report(order, at_new)
    assert types(events) == ["modified", "filled"]
    assert (after(order, events).price, after(order, events).reserved.amount) == (101, 0)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_end_that_tells_the_new_quantity_proves_the_modification(end):
    order = modifying(accepted(), "15", "1500")
    events = apply_report(order, report(end, quantity="15", price="100"))
    assert types(events) == ["modified", end]
    ended = after(order, events)
    assert (ended.status, ended.quantity, ended.reserved.amount) == (end, 15, 0)
    assert types(apply_report(order, report(end, quantity="10", price="100"))) == [end]


def test_end_at_a_quantity_that_is_filled_already_is_the_modification():
    order = told(modifying(accepted(), "5", "500"), fill("T1", "6"))
    events = apply_report(order, report("cancelled", quantity="5"))
    assert (types(events), after(order, events).status) == (["modified"], "filled")


@pytest.mark.parametrize("filled", ["5", "6"])
def test_modified_to_what_is_filled_or_less_ends_the_order(filled):
    order = told(modifying(accepted(), "5", "500"), fill("T1", filled), report("modified"))
    assert (order.status, order.reserved.amount) == ("filled", 0)


def test_modified_unasked_is_believed_from_reconciliation_only():
    change = {"quantity": "5", "price": "99"}
    assert apply_report(accepted(), report("modified", **change)) == []
    order = told(accepted(), report("modified", source="reconciliation", **change))
    assert (order.quantity, order.price, order.reserved.amount) == (5, 99, 500)
    grown = told(accepted(), report("modified", source="reconciliation", quantity="20"))
    assert (grown.quantity, grown.reserved.amount) == (20, 1000)


def test_modified_answer_to_an_earlier_request_is_stale():
    first = told(modifying(accepted(), "15", "1500"), report("modified"))
    second = after(
        first,
        request_modify(
            first,
            ModifyOrder(quantity=Decimal(12)),
            request_id=UUID(int=10),
            reservation=Reservation("USDT", Decimal(1200)),
        ),
    )
    assert apply_report(second, report("modified", quantity="15", price="100")) == []
    assert apply_report(second, report("modified", quantity="11", price="100")) == []


def test_modified_proves_acceptance():
    change = report("modified", source="reconciliation", quantity="5", venue_order_id="V1")
    assert types(apply_report(UNKNOWN, change)) == ["accepted", "modified"]
    assert types(apply_report(UNKNOWN, report("modified", venue_order_id="V1"))) == ["accepted"]


def test_modified_is_stale_after_the_end():
    assert apply_report(FILLED, report("modified", quantity="20", source="reconciliation")) == []


# --- properties ------------------------------------------------------------------------------------------------------
quantities = st.decimals("0.001", "25", places=3).map(str)
reports = st.one_of(
    st.builds(
        report,
        st.sampled_from(
            ["accepted", "rejected", "unknown", "cancelled", "expired", "modify_rejected", "cancel_rejected"]
        ),
        venue_order_id=st.sampled_from(["", "V1"]),
    ),
    st.builds(
        report,
        st.just("modified"),
        quantity=st.none() | quantities,
        price=st.none() | st.sampled_from(["99", "100", "120"]),
        source=st.sampled_from(["stream", "reconciliation"]),
    ),
    st.builds(
        fill,
        st.integers(0, 12).map(str),
        quantities,
        st.sampled_from(["99", "100.01", "0.000001"]),
        quantity_of_order=st.none() | quantities | st.sampled_from(["10", "15"]),
    ),
)
amounts = st.decimals("0", "3000", places=18) | st.decimals("0", 10**17, places=18)


def ask_modify(order: Order, quantity: str, reserved: Decimal, request: int) -> list[OrderEvent]:
    change = ModifyOrder.model_validate({"quantity": quantity})
    try:
        return request_modify(order, change, request_id=UUID(int=request), reservation=Reservation("USDT", reserved))
    except (InvalidTransition, InvalidValue):
        return []


requests = st.one_of(
    st.just(request_cancel),
    st.just(start_submit),
    st.just(lambda order: route(order, "paper")),
    st.just(lambda order: record_unknown(order, "timeout")),
    st.builds(
        lambda quantity, reserved, request: lambda order: ask_modify(order, quantity, reserved, request),
        quantities,
        amounts,
        st.integers(1, 4),
    ),
)
actions = st.lists(reports | requests, max_size=40)


@given(actions=actions, reserved=amounts)
@pytest.mark.requirement("P9", "B3")
@exact
def test_any_sequence_of_requests_and_reports_keeps_the_reservation_sound(actions, reserved):
    order = pending(reserved=str(reserved))
    held, trades = order.reserved.amount, {}
    for action in actions:
        events = apply_report(order, action) if isinstance(action, VenueReport) else action(order)
        for event in events:
            order = after(order, [event])
            held += sum((hold.reserved for hold in event.holds), ZERO)
            if isinstance(action, VenueReport) and event.TYPE in {"order.partially_filled", "order.filled"}:
                assert event.trade_id not in trades
                trades[event.trade_id] = event.quantity
            assert held == order.reserved.amount >= 0
            assert order.filled_quantity == sum(trades.values(), ZERO)
        assert not (order.ended and order.reserved.amount), "an ended order holds nothing"
        assert not (order.ended and (order.pending_cancel or order.pending_modify))
        assert (order.status == "filled") <= (order.filled_quantity >= order.quantity)
        assert not (order.status in {"accepted", "partially_filled"} and order.open_quantity == 0)
        if isinstance(action, VenueReport):
            assert apply_report(order, action) == [], "a repeated report changes nothing"


@st.composite
def venue_lives(draw):
    """The true reports of one order's life at the venue, each one to three times, in any order."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=5))
    fills = [fill(f"T{number}", str(size), venue_order_id="V1") for number, size in enumerate(sizes)]
    cut = 10 - sum(sizes)
    truth = [report("accepted", venue_order_id="V1"), *fills]
    if cut > 0 and draw(st.booleans()):
        truth.append(report("cancelled"))
    repeated = [each for each in truth for _ in range(draw(st.integers(1, 3)))]
    return truth, draw(st.permutations(repeated))


@given(venue_lives())
@pytest.mark.requirement("P9")
def test_reports_in_any_order_and_number_end_in_the_venues_truth(life):
    truth, arrivals = life
    order = told(submitted(), *arrivals)
    filled = sum((each.execution.quantity for each in truth if each.execution), ZERO)
    cancelled = any(each.outcome == "cancelled" for each in truth)
    expected = "filled" if filled >= 10 else "cancelled" if cancelled else "partially_filled" if filled else "accepted"
    assert (order.filled_quantity, order.status) == (filled, expected)
    assert order.venue_order_id in {"V1", ""} if order.ended else order.venue_order_id == "V1"
    assert order.account_id == ACCOUNT


# --- trades that are taken back --------------------------------------------------------------------------------------
def bust(order: Order, trade_id: str, quantity: str) -> list[OrderTradeBusted]:
    names = {"trade_id": trade_id, "price": "100", "quantity": quantity, "fee": "0.1", "fee_asset": "USDT"}
    booked = OrderPartiallyFilled.model_validate(
        {**ids(order), **names, "liquidity": "taker", "filled_quantity": quantity}
    )
    return take_back(order, booked, "notice 4711")


@pytest.mark.requirement("B3", "P2")
def test_busted_trade_is_open_again_and_reserved_for():
    order = told(accepted(), fill("T1", "4"), fill("T2", "2"))
    assert (order.filled_quantity, order.reserved.amount) == (6, 400)
    left = after(order, bust(order, "T2", "2"))
    assert (left.status, left.filled_quantity, left.filled_value, left.reserved.amount) == (
        "partially_filled", 4, 400, 600,
    )  # fmt: skip
    assert left.fees == {"USDT": Decimal("0.1")}
    assert bust(left, "T2", "2") == [], "again is nothing"
    assert apply_report(left, fill("T2", "2")) == [], "the same trade does not come back"
    none = after(left, bust(left, "T1", "4"))
    assert (none.status, none.reserved.amount, none.average_price) == ("accepted", 1000, None)


@pytest.mark.parametrize(("filled", "status"), [("10", "cancelled"), ("14", "filled")])
def test_order_whose_trade_is_busted_is_filled_only_if_it_was_overfilled(filled, status):
    order = told(accepted(), fill("T1", "6"), fill("T2", str(int(filled) - 6)))
    assert order.status == "filled"
    left = after(order, bust(order, "T2", "4"))
    assert (left.status, left.reserved.amount) == (status, 0)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_end_stays_when_a_trade_is_busted(end):
    order = told(accepted(), fill("T1", "4"), report(end))
    left = after(order, bust(order, "T1", "4"))
    assert (left.status, left.filled_quantity, left.reserved.amount) == (end, 0, 0)
