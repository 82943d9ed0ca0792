"""Balances: what each event does to the buying power, and that the sum over a life is what the ledger says."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.balances import BalanceDelta, changes_of
from patriot.domain.ledger import transfer
from patriot.domain.money import exact
from patriot.domain.order import Reservation
from patriot.domain.order_commands import create, request_cancel, request_modify
from patriot.domain.order_reports import apply_report
from patriot.domain.position import Position, apply_fill
from patriot.domain.position import fold as fold_position
from schemas.commands import ModifyOrder
from schemas.events import AccountFunded, Filled, Hold, MoneyEvent
from tests.unit.domain.examples import (
    ACCOUNT,
    NOW,
    ORDER,
    USER,
    accepted,
    after,
    command,
    fill,
    instrument,
    report,
    submitted,
)

EVENT = {"account_id": ACCOUNT, "user_id": USER, "asset": "USDT", "amount": Decimal(5), "source": "paper"}


def test_funding_adds_to_the_total():
    event = AccountFunded(**EVENT, postings=transfer("USDT", Decimal(5), "external", "cash"))
    assert changes_of(event) == [BalanceDelta(ACCOUNT, "USDT", total=Decimal(5))]


def test_created_order_requires_what_it_reserves():
    [event] = create(command(), order_id=ORDER, user_id=USER, reservation=Reservation("USDT", Decimal(1001)))
    assert changes_of(event) == [BalanceDelta(ACCOUNT, "USDT", reserved=Decimal(1001), required=Decimal(1001))]


def test_requested_modification_requires_what_is_missing():
    change, reservation = ModifyOrder(quantity=Decimal(12)), Reservation("USDT", Decimal(1200))
    [event] = request_modify(accepted(), change, request_id=ORDER, reservation=reservation)
    assert changes_of(event) == [BalanceDelta(ACCOUNT, "USDT", reserved=Decimal(200), required=Decimal(200))]


def test_facts_require_nothing():
    event = MoneyEvent(account_id=ACCOUNT, holds=(Hold(asset="USDT", reserved=Decimal(3)),))
    assert changes_of(event)[0].required is None
    [event] = apply_report(accepted(), report("cancelled"))
    assert changes_of(event) == [BalanceDelta(ACCOUNT, "USDT", reserved=Decimal(-1000))]


def test_events_without_money_change_nothing():
    assert changes_of(request_cancel(accepted())[0]) == []


def test_changes_are_one_per_asset_sorted_and_without_zeros():
    postings = (
        *transfer("USDT", Decimal(-7), "position", "cash"),
        *transfer("USDT", Decimal(-1), "fees", "cash"),
        *transfer("BTC", Decimal(2), "position", "cash"),
        *transfer("ETH", Decimal(2), "position", "realised"),
    )
    holds = (Hold(asset="USDT", reserved=Decimal(-8)), Hold(asset="USDT", reserved=Decimal(1), margin=Decimal(3)))
    assert changes_of(MoneyEvent(account_id=ACCOUNT, postings=postings, holds=holds)) == [
        BalanceDelta(ACCOUNT, "BTC", total=Decimal(2)),
        BalanceDelta(ACCOUNT, "USDT", total=Decimal(-8), reserved=Decimal(-7), margin=Decimal(3)),
    ]


@given(
    parts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    fee_asset=st.sampled_from(["USDT", "BTC", "BNB"]),
    kind=st.sampled_from(["spot", "linear"]),
)
@pytest.mark.requirement("B11")
@exact
def test_a_whole_life_leaves_nothing_reserved_and_cash_as_traded(parts, fee_asset, kind):
    """What is left of the holds is the position's margin, what is left of cash is the trade."""
    [created] = create(command(), order_id=ORDER, user_id=USER, reservation=Reservation("USDT", Decimal(1001)))
    order, position, events = submitted(reserved="1001"), Position(ACCOUNT, "BINANCE:BTC/USDT"), [created]
    reports = [fill(f"T{number}", str(part), "99", fee_asset=fee_asset) for number, part in enumerate(parts)]
    for each in [*reports, report("cancelled")]:
        for event in apply_report(order, each):
            order = after(order, [event])
            events.append(event)
            if isinstance(event, Filled):
                moved = apply_fill(position, event, side="buy", instrument=instrument(kind), leverage=2)
                position = fold_position(position, moved, position.version + 1, NOW)
                events.append(moved)
    deltas = [delta for event in events for delta in changes_of(event)]
    assert order.ended
    assert sum(delta.reserved for delta in deltas) == 0
    assert sum(delta.margin for delta in deltas) == position.margin
    usdt = sum(delta.total for delta in deltas if delta.asset == "USDT")
    fees = Decimal("0.1") * len(parts) if fee_asset == "USDT" else 0
    paid = 99 * sum(parts) if kind == "spot" else 0
    assert usdt == -paid - fees
