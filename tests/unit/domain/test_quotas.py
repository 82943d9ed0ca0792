"""Quotas are what orders and positions say: taken when an order is created, given back exactly when it is over."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patriot.domain.order import Order, fold
from patriot.domain.order_commands import request_cancel
from patriot.domain.order_reports import apply_report
from patriot.domain.position import Position, apply_fill
from patriot.domain.position import fold as fold_position
from patriot.domain.quotas import difference, of
from schemas.events import Filled
from tests.unit.domain.examples import NOW, accepted, after, fill, instrument, pending, report

BUY, SELL = "buy BINANCE:BTC/USDT", "sell BINANCE:BTC/USDT"


@pytest.mark.requirement("P11")
def test_new_order_uses_one_order_and_its_quantity():
    assert difference(None, pending()) == {"orders": 1, BUY: 10}
    assert difference(None, pending(side="sell")) == {"orders": 1, SELL: 10}


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("outcome", ["cancelled", "expired", "rejected"])
def test_what_ends_gives_back_exactly_what_it_used(outcome: str):
    order = accepted()
    ended = after(order, apply_report(order, report(outcome, code="x", reason="y")))
    assert difference(order, ended) == {"orders": -1, BUY: -10}


def test_unsent_order_that_is_cancelled_gives_back_everything():
    order = pending()
    assert difference(order, after(order, request_cancel(order))) == {"orders": -1, BUY: -10}


def test_what_changes_nothing_uses_nothing():
    assert difference(pending(), pending()) == difference(None, None) == difference("a", "b") == {}


@pytest.mark.requirement("P11")
def test_position_counts_on_both_sides_until_it_is_flat():
    [filled] = [e for e in apply_report(accepted(), fill("T1", "4")) if isinstance(e, Filled)]
    opened = apply_fill(None, filled, side="buy", instrument=instrument())
    position = fold_position(None, opened, 1, NOW)
    assert of(position) == {BUY: position.quantity, SELL: -position.quantity}
    assert of(replace(position, quantity=Decimal(0))) == {}


@given(
    parts=st.lists(st.integers(1, 4), max_size=4),
    ends=st.booleans(),
    side=st.sampled_from(["buy", "sell"]),
)
@pytest.mark.requirement("P11")
def test_sum_of_all_changes_is_the_position_alone_once_the_order_is_over(*, parts: list[int], ends: bool, side: str):
    """A fill moves quantity from the order to the position, whichever way it goes."""
    used: Counter[str] = Counter()
    order: Order | None = None
    position: Position | None = None

    def take(before: object, now: object) -> None:
        for name, change in difference(before, now).items():
            used[name] += change  # type: ignore[assignment]

    created = accepted(side=side)
    take(None, created)
    order = created
    for number, quantity in enumerate(parts):
        for event in apply_report(order, fill(f"T{number}", str(quantity))):
            before, order = order, fold(order, event, order.version + 1, NOW)
            take(before, order)
            if isinstance(event, Filled):
                update = apply_fill(position, event, side=side, instrument=instrument(taker_fee=Decimal(0)))
                held, position = (
                    position,
                    fold_position(position, update, (position.version if position else 0) + 1, NOW),
                )
                take(held, position)
    if ends and not order.ended:
        for event in apply_report(order, report("cancelled")):
            before, order = order, fold(order, event, order.version + 1, NOW)
            take(before, order)
    expected = Counter(of(order))
    expected.update(of(position))
    assert {name: value for name, value in used.items() if value} == {n: v for n, v in expected.items() if v}
