"""What we decide on an order: each decision is made once, on the states that allow it."""

import re
from base64 import b32encode
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.order import Order, Reservation
from patriot.domain.order_commands import (
    as_command,
    client_order_id,
    create,
    expire,
    move_stop,
    order_id_of,
    record_unknown,
    request_cancel,
    request_modify,
    route,
    start_submit,
    trigger,
)
from schemas.commands import ModifyOrder
from schemas.events import OrderCreated, OrderEvent
from schemas.types import Emulation
from tests.unit.domain.examples import (
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
    types,
)

REQUEST = UUID(int=9)


def modify(order: Order, reserved: str = "1000", request_id: UUID = REQUEST, **changes: str) -> list[OrderEvent]:
    reservation = Reservation("USDT", Decimal(reserved))
    return request_modify(order, ModifyOrder.model_validate(changes), request_id=request_id, reservation=reservation)


def pending_event(changes: dict[str, Any], emulated: tuple[Emulation, ...]) -> OrderCreated:
    reservation = Reservation("USDT", Decimal(1000))
    (event,) = create(command(**changes), order_id=ORDER, user_id=USER, reservation=reservation, emulated=emulated)
    return event


@given(order_id=st.uuids(), attempt=st.integers(1, 9))
def test_client_order_id_fits_every_venue_and_is_unique(order_id, attempt):
    name = client_order_id(order_id, attempt)
    assert re.fullmatch(r"[a-z2-7]{26}-\d", name), "at most 32 characters, no special ones"
    assert name == f"{b32encode(order_id.bytes).decode().rstrip('=').lower()}-{attempt}", "names of before stay valid"
    assert name != client_order_id(order_id, attempt + 1)
    assert name != client_order_id(uuid4(), attempt)


@given(order_id=st.uuids(), attempt=st.integers(1, 99))
def test_order_id_is_read_back_from_its_client_order_id(order_id: UUID, attempt: int):
    assert order_id_of(client_order_id(order_id, attempt)) == order_id


@pytest.mark.parametrize(
    "name",
    [
        "",
        "manual-1",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa-x",
        "1" * 26 + "-1",
        "a" * 27 + "-1",
        "a" * 25 + "b-1",
        "a" * 26 + "-01",
    ],
)
def test_order_id_of_a_foreign_name_is_none(name: str):
    assert order_id_of(name) is None


@given(st.text())
def test_order_id_of_any_text_raises_nothing(name: str):
    order_id_of(name)
    order_id_of(f"{name[:26]:a<26}-1")


@pytest.mark.requirement("P8")
def test_create_carries_the_command_and_reserves():
    order = command(strategy_id="momentum", time_in_force="IOC")
    [event] = create(
        order, order_id=ORDER, user_id=USER, reservation=Reservation("USDT", Decimal("1001.5")), limits_version=7
    )
    assert (event.TYPE, event.order_id, event.user_id) == ("order.created", ORDER, USER)
    assert event.model_dump(include=set(type(order).model_fields)) == order.model_dump()
    assert event.limits_version == 7
    assert [(hold.asset, hold.reserved, hold.margin) for hold in event.holds] == [("USDT", Decimal("1001.5"), 0)]
    assert event.client_order_id == client_order_id(ORDER)


def test_create_without_reservation_holds_nothing():
    [event] = create(command(), order_id=ORDER, user_id=USER, reservation=Reservation("USDT", Decimal(0)))
    assert event.holds == ()


def test_route_names_the_adapter_once():
    order = pending()
    events = route(order, "paper")
    assert types(events) == ["routed"]
    assert route(after(order, events), "other") == []
    assert route(submitted(), "paper") == []


@pytest.mark.requirement("P8")
def test_start_submit_is_given_once():
    order = pending()
    events = start_submit(order)
    assert [(event.attempt, event.client_order_id) for event in events] == [(1, order.client_order_id)]
    assert start_submit(after(order, events)) == []


@pytest.mark.parametrize("order", [accepted(), partially_filled(), told(accepted(), report("cancelled"))])
def test_start_submit_is_refused_later(order):
    assert start_submit(order) == []


def test_start_submit_is_refused_for_an_order_that_was_cancelled_before():
    order = pending()
    assert start_submit(after(order, request_cancel(order))) == []


def test_record_unknown_follows_a_submit_only():
    order = submitted()
    events = record_unknown(order, "timeout")
    assert types(events) == ["submit_unknown"]
    unknown = after(order, events)
    assert (unknown.status, unknown.reason) == ("unknown", "timeout")
    for other in (unknown, pending(), accepted(), partially_filled(), told(accepted(), report("cancelled"))):
        assert record_unknown(other, "timeout") == []


@pytest.mark.requirement("P8")
def test_cancel_of_an_unsent_order_ends_it_at_once():
    order = pending()
    events = request_cancel(order, "changed my mind")
    assert types(events) == ["cancel_requested", "cancelled"]
    order = after(order, events)
    assert (order.status, order.reserved.amount, order.reason) == ("cancelled", 0, "changed my mind")


@pytest.mark.parametrize("order", [submitted(), after(submitted(), record_unknown(submitted(), "x")), accepted()])
def test_cancel_of_a_sent_order_is_a_request_and_made_once(order):
    events = request_cancel(order)
    assert types(events) == ["cancel_requested"]
    asked = after(order, events)
    assert (asked.status, asked.pending_cancel) == (order.status, True)
    assert asked.reserved == order.reserved
    assert request_cancel(asked) == []


def test_cancel_of_an_ended_order_is_nothing():
    assert request_cancel(told(accepted(), fill("T1", "10"))) == []


@pytest.mark.requirement("P8")
def test_modify_of_a_live_order_reserves_what_is_missing():
    order = accepted()
    [event] = modify(order, "1500", quantity="15")
    assert (event.TYPE, event.quantity, event.price) == ("order.modify_requested", 15, 100)
    assert (event.reserved_after, event.holds[0].reserved) == (1500, 500)
    asked = after(order, [event])
    assert (asked.quantity, asked.reserved.amount, asked.status) == (10, 1500, "accepted")
    assert modify(asked, "1500", quantity="15") == [], "the same request again"


def test_modify_to_less_releases_nothing_before_the_venue_agrees():
    [event] = modify(accepted(), "500", quantity="5")
    assert (event.holds, event.reserved_after) == ((), 500)


@pytest.mark.parametrize(("quantity", "reserved"), [("15", "1500"), ("5", "500")])
def test_modify_of_an_unsent_order_is_done_at_once(quantity, reserved):
    order = pending()
    events = modify(order, reserved, quantity=quantity)
    assert types(events) == ["modify_requested", "modified"]
    order = after(order, events)
    assert (order.quantity, order.reserved.amount, order.pending_modify) == (Decimal(quantity), Decimal(reserved), None)
    assert order.status == "pending"


def test_modify_that_changes_nothing_is_nothing():
    assert modify(accepted(), quantity="10", price="100.00") == []


def test_modify_of_the_price_keeps_the_quantity():
    [event] = modify(accepted(), "1100", price="110")
    assert (event.quantity, event.price) == (10, 110)


def test_as_command_gives_the_terms_that_the_order_will_have():
    order = accepted(strategy_id="momentum")
    assert as_command(order) == command(strategy_id="momentum")
    changed = as_command(order, ModifyOrder(quantity=Decimal(15)))
    assert (changed.quantity, changed.price) == (15, 100), "what is not given stays"


STOP = {"order_type": "stop", "price": None, "stop_price": "110"}


def held(**changes: Any) -> Order:
    """An order whose stop the platform itself watches."""
    return after(None, [pending_event(STOP | changes, emulated=("trigger",))])


def test_modify_of_the_stop_is_asked_of_the_venue_that_holds_it():
    order = accepted(**STOP)
    [event] = modify(order, "1200", stop_price="120")
    assert (event.TYPE, event.quantity, event.price, event.stop_price) == ("order.modify_requested", 10, None, 120)
    asked = after(order, [event])
    assert (asked.stop_price, asked.reserved.amount) == (110, 1200), "not moved before the venue agrees"
    assert modify(order, stop_price="110") == []


def test_modify_of_a_stop_that_the_platform_holds_is_done_at_once_and_moves_what_fires_it():
    moved = after(held(), modify(held(), "1200", stop_price="120"))
    assert (moved.stop_price, moved.waits_for) == (120, "trigger")
    assert trigger(moved, Decimal(115), Decimal(110)) == [], "a shot at where it stood before"
    [fired] = trigger(moved, Decimal(120), Decimal(120))
    with pytest.raises(InvalidTransition, match="reached"):
        modify(after(moved, [fired]), stop_price="130")


@pytest.mark.parametrize(
    "order",
    [accepted(), accepted(order_type="trailing_stop", price=None, trailing={"rule": "offset", "distance": "5"})],
)
def test_only_what_waits_for_a_price_has_a_stop_to_move(order: Order):
    with pytest.raises(InvalidValue, match="stop"):
        modify(order, stop_price="120")


@pytest.mark.parametrize("order", [submitted(), told(accepted(), report("cancelled"))])
def test_modify_is_refused_where_the_venue_has_not_proved_an_open_order(order):
    with pytest.raises(InvalidTransition, match=order.status):
        modify(order, quantity="5")


def test_modify_is_refused_while_another_request_is_under_way():
    order = accepted()
    with pytest.raises(InvalidTransition, match="under way"):
        modify(after(order, modify(order, quantity="5")), request_id=uuid4(), quantity="6")
    with pytest.raises(InvalidTransition, match="under way"):
        modify(after(order, request_cancel(order)), quantity="6")


@pytest.mark.parametrize("quantity", ["3", "4"])
def test_modify_is_refused_below_what_is_filled(quantity):
    with pytest.raises(InvalidValue, match="filled quantity 4") as refused:
        modify(partially_filled("4"), quantity=quantity)
    assert refused.value.field == "quantity"


def test_modify_of_the_price_is_refused_for_an_order_without_price():
    order = accepted(order_type="stop", stop_price="90", price=None)
    with pytest.raises(InvalidValue, match="takes no price"):
        modify(order, price="95")


@pytest.mark.parametrize(
    ("order_type", "side", "fires", "waits"),
    [
        ("stop", "buy", "110", "109.99"),
        ("stop", "sell", "110", "110.01"),
        ("take_profit", "buy", "110", "110.01"),
        ("take_profit", "sell", "110", "109.99"),
    ],
)
def test_stop_fires_at_its_price_and_not_before(order_type: str, side: str, fires: str, waits: str):
    order = held(order_type=order_type, side=side)
    assert trigger(order, Decimal(waits), Decimal(110)) == []
    [event] = trigger(order, Decimal(fires), Decimal(110))
    assert (event.TYPE, event.price, event.stop_price) == ("order.triggered", Decimal(fires), 110)
    assert trigger(after(order, [event]), Decimal(fires), Decimal(110)) == [], "it fires once"


def test_stop_of_an_order_that_is_over_or_with_the_venue_never_fires():
    assert trigger(after(held(), request_cancel(held())), Decimal(200), Decimal(110)) == []
    assert trigger(accepted(**STOP), Decimal(200), Decimal(110)) == []


TRAILING = {"order_type": "trailing_stop", "stop_price": None, "trailing": {"rule": "offset", "distance": "5"}}


@pytest.mark.parametrize(("side", "tighter", "looser"), [("sell", "96", "94"), ("buy", "104", "106")])
def test_trailing_stop_follows_the_market_and_never_loosens(side: str, tighter: str, looser: str):
    order = held(**TRAILING, side=side)
    first = Decimal(95) if side == "sell" else Decimal(105)
    [moved] = move_stop(order, first, Decimal(100))
    assert (moved.TYPE, moved.stop_price, moved.reference) == ("order.stop_moved", first, 100)
    order = after(order, [moved])
    assert move_stop(order, first, Decimal(100)) == [], "the same again"
    assert move_stop(order, Decimal(looser), Decimal(100)) == []
    assert after(order, move_stop(order, Decimal(tighter), Decimal(101))).stop_price == Decimal(tighter)
    [fired] = trigger(order, Decimal(100), first)
    assert fired.price == 100, "what trails never loosens: a shot at it still counts after the market went on"


def test_stop_is_not_moved_once_it_fired_or_the_order_is_over():
    order = held(**TRAILING, side="sell")
    fired = after(order, trigger(order, Decimal(95), Decimal(95)))
    for late in (fired, after(order, request_cancel(order)), accepted()):
        assert move_stop(late, Decimal(99), Decimal(104)) == []


@pytest.mark.requirement("P8")
def test_expiry_of_an_unsent_order_ends_it_and_gives_everything_back():
    events = expire(pending())
    assert types(events) == ["expired"]
    order = after(pending(), events)
    assert (order.status, order.reserved.amount, order.reason) == ("expired", 0, "good till its date")
    assert expire(order) == []


def test_expiry_of_a_sent_order_asks_the_venue_to_cancel_it_once():
    [event] = expire(accepted())
    assert (event.TYPE, event.reason) == ("order.cancel_requested", "good till its date")
    assert expire(after(accepted(), [event])) == []
