"""What a venue lacks the platform does itself, and the order says so."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from patriot.domain import emulation
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
        ("spot", GTD, ("expiry",)),
        ("linear", GTD, ()),
        ("linear", {**GTD, "post_only": True}, ("expiry",)),
        ("linear", {**GTD, **STOP}, ("expiry",)),
        ("spot", {"display_quantity": "2"}, ("iceberg",)),
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


@pytest.mark.parametrize(("distance", "emulated"), [("1", ()), ("0.05", ("trigger",)), ("1.05", ("trigger",))])
def test_trailing_stop_is_native_where_the_venue_takes_its_distance(
    distance: str, emulated: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    spot, taken = ("BINANCE", "spot"), tuple(map(type(instrument().tick_size), ("0.1", "20", "0.1")))
    monkeypatch.setattr(emulation, "NATIVE", {spot: frozenset({"trailing"})})
    monkeypatch.setattr(emulation, "TRAILING_RANGE", {spot: taken})
    wish = command(**{**TRAIL, "trailing": {"rule": "percent", "distance": distance}})
    assert emulations(wish, instrument()) == emulated


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
    shown = as_sent(replace(made(("iceberg",), display_quantity="2"), waits_for=""))
    assert shown.display_quantity is None
