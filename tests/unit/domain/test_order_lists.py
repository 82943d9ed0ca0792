"""Members of a list: what each does to the others follows from how all stand, and repeats to nothing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from patriot.domain.order import Order, Reservation
from patriot.domain.order_commands import create
from patriot.domain.order_lists import links, member_id, needs_reservation, reserving, settle, slices
from schemas.events import OrderArmed, OrderCancelRequested, OrderReleased
from schemas.types import Emulation, ListKind
from tests.unit.domain.examples import ACCOUNT, USER, after, command, instrument

LIST = UUID(int=77)
BTC = instrument("linear")
NOTHING = Reservation("USDT", Decimal(0))
STOP = {"side": "sell", "order_type": "stop", "price": None, "stop_price": "90", "reduce_only": True}
TARGET = {"side": "sell", "price": "120", "reduce_only": True}

pytestmark = pytest.mark.requirement("P9", "B3")


def members(kind: ListKind, *changes: dict[str, Any]) -> list[Order]:
    made = []
    for link, change in zip(links(LIST, kind, len(changes)), changes, strict=True):
        wish = command(instrument=BTC.id, **change)
        emulated: tuple[Emulation, ...] = ("trigger",) if wish.stop_price is not None else ()
        events = create(
            wish,
            order_id=member_id(LIST, link.number),
            user_id=USER,
            reservation=NOTHING,
            emulated=emulated,
            link=link,
        )
        made.append(after(None, events))
    return made


def told(orders: Sequence[Order]) -> list[tuple[int, str, Any]]:
    """(member, event type, quantity or reason) of everything that is due."""
    due = settle(orders, BTC)
    numbers = {order.order_id: number for number, order in enumerate(orders)}
    return [
        (numbers[order.order_id], event.TYPE, getattr(event, "quantity", None) or getattr(event, "reason", None))
        for order, events in due
        for event in events[:1]
    ]


def settled(orders: Sequence[Order]) -> list[Order]:
    """How they stand once all that is due has happened."""
    found = list(orders)
    while due := settle(found, BTC):
        new = {order.order_id: after(order, events) for order, events in due}
        found = [new.get(order.order_id, order) for order in found]
    return found


def filled(order: Order, quantity: str, *, whole: bool = False) -> Order:
    status = "filled" if whole else "partially_filled"
    return replace(order, status=status, filled_quantity=Decimal(quantity), attempt=1)


def fired(order: Order, **changes: Any) -> Order:
    return replace(order, waits_for="rivals", **changes)


def test_ids_and_places_follow_from_the_list():
    first, second, third = links(LIST, "bracket", 3)
    assert (first.parent_id, second.parent_id, third.parent_id) == (None, member_id(LIST, 0), member_id(LIST, 0))
    assert [link.parent_id for link in links(LIST, "oco", 2)] == [None, None]
    assert [link.parent_id for link in links(LIST, "iceberg", 3)][1:] == [member_id(LIST, 0), member_id(LIST, 1)]


def test_only_what_may_be_sent_at_once_reserves():
    limit, stop = command(), command(**STOP)
    assert reserving("bracket", [limit, stop]) == {0}
    assert reserving("iceberg", [limit, limit]) == {0, 1}
    assert reserving("oco", [stop, limit]) == {1}
    assert reserving("oco", [stop, stop]) == {0}


def test_slices_add_up():
    parts = slices(command(quantity="10", display_quantity="4"))
    assert [part.quantity for part in parts] == [4, 4, 2]
    assert {part.display_quantity for part in parts} == {None}


def test_bracket_without_a_fill_waits():
    assert told(members("bracket", {}, STOP, TARGET)) == []


def test_stop_of_a_bracket_follows_every_fill_and_the_target_waits_for_the_end_of_the_entry():
    entry, stop, target = members("bracket", {}, STOP, TARGET)
    assert told([filled(entry, "4"), stop, target]) == [(1, OrderArmed.TYPE, Decimal(4))]
    assert told([filled(entry, "10", whole=True), stop, target]) == [
        (1, OrderArmed.TYPE, Decimal(10)),
        (2, OrderArmed.TYPE, Decimal(10)),
    ]


def test_armed_exits_are_armed_once():
    entry, stop, target = members("bracket", {}, STOP, TARGET)
    rest = settled([filled(entry, "10", whole=True), stop, target])
    assert [order.quantity for order in rest] == [10, 10, 10]
    assert told(rest) == []


def test_entry_that_ends_without_a_fill_takes_its_exits_along():
    entry, stop, target = members("bracket", {}, STOP, TARGET)
    due = told([replace(entry, status="cancelled"), stop, target])
    assert [(number, kind) for number, kind, _ in due] == [
        (1, OrderCancelRequested.TYPE),
        (2, OrderCancelRequested.TYPE),
    ]


def test_too_small_a_fill_leaves_nothing_to_exit_with():
    entry, stop, target = members("bracket", {}, STOP, TARGET)
    due = told([replace(entry, status="cancelled", filled_quantity=Decimal("0.001")), stop, target])
    assert {number for number, _, _ in due} == {1, 2}
    assert {kind for _, kind, _ in due} == {OrderCancelRequested.TYPE}


def test_exit_that_fires_ends_its_entry_and_its_rivals():
    entry, stop, target = settled(
        [filled(one, "10") if not n else one for n, one in enumerate(members("bracket", {}, STOP, TARGET))]
    )
    due = told([entry, fired(stop, quantity=Decimal(10)), replace(target, status="accepted", attempt=1)])
    assert (0, OrderCancelRequested.TYPE) in [(number, kind) for number, kind, _ in due]


def test_fill_of_one_rival_cancels_what_the_venue_holds_of_the_other():
    limit, stop = members("oco", {"side": "sell", "price": "120"}, {**STOP, "reduce_only": False})
    resting = replace(limit, status="accepted", attempt=1)
    assert told([resting, stop]) == []
    due = told([resting, filled(replace(stop, waits_for=""), "10", whole=True)])
    assert due[0][:2] == (0, OrderCancelRequested.TYPE)


def test_stop_that_fires_cancels_its_rival_and_is_released_when_that_is_over():
    limit, stop = members("oco", {"side": "sell", "price": "120"}, {**STOP, "reduce_only": False})
    resting, going = replace(limit, status="accepted", attempt=1), fired(stop)
    assert [(number, kind) for number, kind, _ in told([resting, going])] == [(0, OrderCancelRequested.TYPE)]
    done = replace(resting, status="cancelled", filled_quantity=Decimal(3))
    assert told([done, going]) == [(1, OrderReleased.TYPE, Decimal(7))]


def test_stop_that_fires_after_all_was_done_has_nothing_to_do():
    limit, stop = members("oco", {"side": "sell", "price": "120"}, {**STOP, "reduce_only": False})
    due = told([filled(limit, "10", whole=True), fired(stop)])
    assert due[0][:2] == (1, OrderCancelRequested.TYPE)


def test_slice_goes_when_the_one_before_is_filled_and_never_after_a_cancel():
    first, second, third = members("iceberg", {"quantity": "4"}, {"quantity": "4"}, {"quantity": "2"})
    assert told([filled(first, "4", whole=True), second, third]) == [(1, OrderArmed.TYPE, Decimal(4))]
    due = told([replace(first, status="cancelled"), second, third])
    assert due[0][:2] == (1, OrderCancelRequested.TYPE)


def test_what_is_bought_after_a_purchase_needs_a_reservation_of_its_own():
    first, second = members("oto", {}, {})
    assert needs_reservation(second, first)
    assert not needs_reservation(replace(second, side="sell"), first)
    assert not needs_reservation(replace(second, reduce_only=True), first)


def test_a_spot_purchase_pays_its_fee_in_what_it_buys():
    spot = instrument("spot")
    first, second = members("oto", {}, {"side": "sell", "price": "120"})
    bought = replace(filled(first, "10", whole=True), fees={"BTC": Decimal("0.01")})
    ((order, (event,)),) = settle([bought, second], spot)
    assert order.order_id == second.order_id
    assert isinstance(event, OrderArmed)
    assert event.quantity == Decimal("9.99")
    assert order.account_id == ACCOUNT
