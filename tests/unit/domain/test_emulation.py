"""What a venue lacks the platform does itself, and the order says so."""

from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from patriot.domain.emulation import as_sent, emulations
from patriot.domain.order import Reservation
from patriot.domain.order_commands import create
from patriot.domain.order_lists import links
from tests.unit.domain.examples import NOW, ORDER, USER, after, command, instrument

STOP = {"order_type": "stop", "price": None, "stop_price": "110"}
TRAIL: dict[str, Any] = {"order_type": "trailing_stop", "price": None, "trailing": {"rule": "percent", "distance": "1"}}
GTD = {"time_in_force": "GTD", "expire_at": NOW.isoformat()}

pytestmark = pytest.mark.requirement("P9", "B3")


@pytest.mark.parametrize(
    ("kind", "wish", "emulated"),
    [
        ("spot", {}, ()),
        ("spot", STOP, ()),
        ("spot", {**STOP, "order_type": "stop_limit", "price": "111"}, ()),
        ("spot", TRAIL, ("trigger",)),
        ("linear", TRAIL, ()),
        ("linear", {**TRAIL, "stop_price": "90"}, ("trigger",)),
        ("linear", {**TRAIL, "trailing": {"rule": "offset", "distance": "5"}}, ("trigger",)),
        ("linear", {**TRAIL, "trailing": {"rule": "80/80/50", "entry_price": "5"}}, ("trigger",)),
        ("linear", {**TRAIL, **GTD}, ("expiry",)),
        ("spot", GTD, ("expiry",)),
        ("linear", GTD, ()),
        ("linear", {**GTD, "post_only": True}, ("expiry",)),
        ("linear", {**GTD, **STOP}, ("expiry",)),
        ("spot", {"display_quantity": "2"}, ()),
        ("spot", {"display_quantity": "2", **GTD}, ("expiry",)),
        ("spot", {"display_quantity": "2", "post_only": True}, ("iceberg",)),
        ("linear", {"display_quantity": "2"}, ("iceberg",)),
    ],
)
def test_platform_does_what_the_venue_does_not(kind: str, wish: dict[str, Any], emulated: tuple[str, ...]):
    listed = instrument(kind)
    assert emulations(command(instrument=listed.id, **wish), listed) == emulated


def test_venue_that_nobody_knows_has_neither_stops_nor_expiries():
    odd = instrument("spot", id="ODD:BTC/USDT")
    assert emulations(command(instrument=odd.id, **STOP, **GTD), odd) == ("trigger", "expiry")


def test_conditional_members_of_a_list_are_always_held():
    link = links(UUID(int=9), "oco", 2)[1]
    assert emulations(command(**STOP), instrument(), link) == ("trigger",)
    assert emulations(command(), instrument(), links(UUID(int=9), "iceberg", 2)[0]) == ("iceberg",)


@pytest.mark.parametrize(
    ("distance", "activation", "emulated"),
    [
        ("1", None, ()),
        ("0.1", "110", ()),
        ("10", None, ()),
        ("0.05", None, ("trigger",)),
        ("1.05", None, ("trigger",)),
        ("10.1", None, ("trigger",)),
        ("1", "110.001", ("trigger",)),  # between two ticks
    ],
)
def test_trailing_stop_is_native_where_the_venue_takes_its_figures(
    distance: str, activation: str | None, emulated: tuple[str, ...]
):
    trailing = {"rule": "percent", "distance": distance, "activation_price": activation}
    listed = instrument("linear")
    assert emulations(command(instrument=listed.id, **{**TRAIL, "trailing": trailing}), listed) == emulated


@pytest.mark.parametrize(
    ("quantity", "shown", "emulated"),
    [("2", "0.2", ()), ("2.001", "0.2", ("iceberg",)), ("2", "0.3000001", ("iceberg",))],
)
def test_iceberg_is_native_where_the_venue_takes_its_parts(quantity: str, shown: str, emulated: tuple[str, ...]):
    """Ten parts at most, each of whole lots."""
    assert emulations(command(quantity=quantity, display_quantity=shown), instrument("spot")) == emulated


def test_iceberg_of_bybit_is_kept_by_the_platform():
    listed = instrument("spot", id="BYBIT:BTC/USDT")
    assert emulations(command(instrument=listed.id, display_quantity="2"), listed) == ("iceberg",)


def test_trailing_stop_of_bybit_belongs_to_a_position_and_is_kept_by_the_platform():
    listed = instrument("linear", id="BYBIT:BTC/USDT:USDT")
    assert emulations(command(instrument=listed.id, **TRAIL), listed) == ("trigger",)


def made(emulated: tuple[Any, ...], **wish: Any) -> Any:
    reservation = Reservation("USDT", instrument().tick_size)
    return after(
        None, create(command(**wish), order_id=ORDER, user_id=USER, reservation=reservation, emulated=emulated)
    )


def test_what_the_platform_keeps_does_not_reach_the_venue():
    fired = as_sent(made(("trigger", "expiry"), **STOP, **GTD))
    assert (fired.order_type, fired.stop_price, fired.time_in_force, fired.expire_at) == ("market", None, "GTC", None)
    native = as_sent(made((), **STOP))
    assert (native.order_type, native.stop_price) == ("stop", 110)
    trails = as_sent(made((), **TRAIL))
    assert (trails.order_type, trails.trailing and trails.trailing.distance) == ("trailing_stop", 1)
    shown = as_sent(structs.replace(made(("iceberg",), display_quantity="2"), waits_for=""))
    assert shown.display_quantity is None
