"""A parent order: one child at a time, told before it is placed, counted when it is over."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from patriot.domain import algorithm as decide
from patriot.domain.algorithm import Algorithm, child_id, fold, slippage
from patriot.domain.errors import InvalidTransition
from schemas.algorithm_events import AlgorithmEvent, AlgorithmPaused, AlgorithmStarted
from tests.unit.domain.examples import ACCOUNT, NOW, USER, pending

PARENT = UUID(int=8)

pytestmark = pytest.mark.requirement("P10")


def after(state: Algorithm | None, events: Sequence[AlgorithmEvent], seconds: int = 0) -> Algorithm:
    for event in events:
        state = fold(state, event, state.version + 1 if state else 1, NOW + timedelta(seconds=seconds))
    assert state is not None
    return state


@pytest.fixture
def started() -> Algorithm:
    event = AlgorithmStarted(
        algorithm_id=PARENT, account_id=ACCOUNT, user_id=USER, algorithm="twap", instrument="BINANCE:BTC/USDT",
        side="buy", quantity=Decimal(10), limit_price=None, parameters={}, arrival_price=Decimal(100),
        reduce_only=False,
    )  # fmt: skip
    return after(None, [event])


def over(filled: str, value: str, status: str = "filled") -> Any:
    return structs.replace(pending(), status=status, filled_quantity=Decimal(filled), filled_value=Decimal(value))


def test_children_are_counted_once_and_add_up(started: Algorithm):
    placed = after(started, decide.place_child(started, Decimal(4), None))
    assert (placed.child, placed.placed) == (1, 1)
    assert decide.place_child(placed, Decimal(4), None) == [], "one at a time"
    assert decide.count_child(placed, over("4", "404", "accepted")) == [], "not over yet"
    counted = after(placed, decide.count_child(placed, over("4", "404")))
    assert (counted.child, counted.filled_quantity, counted.average_price) == (0, 4, 101)
    assert counted.slippage == 100, "one percent worse than at its arrival"
    assert decide.count_child(counted, over("4", "404")) == []
    assert child_id(PARENT, 1) != child_id(PARENT, 2)


def test_refused_children_are_counted_until_one_fills(started: Algorithm):
    refused = after(started, decide.place_child(started, Decimal(4), Decimal(99)))
    refused = after(refused, decide.count_child(refused, None, "no funds"))
    assert (refused.refusals, refused.reason) == (1, "no funds")
    again = after(refused, decide.place_child(refused, Decimal(4), None))
    assert after(again, decide.count_child(again, over("4", "400"))).refusals == 0


def test_pauses_do_not_count_as_time(started: Algorithm):
    paused = after(started, decide.pause(started, "lunch"), seconds=10)
    assert (paused.status, decide.pause(paused), decide.place_child(paused, Decimal(1), None)) == ("paused", [], [])
    assert paused.active_seconds(NOW + timedelta(seconds=60)) == 10
    running = after(paused, decide.resume(paused), seconds=70)
    assert (decide.resume(running), running.active_seconds(NOW + timedelta(seconds=80))) == ([], 20)


def test_end_waits_for_the_open_child(started: Algorithm):
    placed = after(started, decide.place_child(started, Decimal(4), None))
    assert decide.finish(placed) == []
    done = after(started, decide.finish(started))
    assert (done.status, decide.finish(done), decide.request_cancel(done)) == ("completed", [], [])
    with pytest.raises(InvalidTransition):
        after(done, [AlgorithmPaused(algorithm_id=PARENT, account_id=ACCOUNT, user_id=USER, reason="")])


def test_cancel_ends_it_with_its_reason(started: Algorithm):
    asked = after(started, decide.request_cancel(started))
    assert (asked.cancelling, decide.request_cancel(asked)) == (True, [])
    ended = after(asked, decide.finish(asked))
    assert (ended.status, ended.reason, ended.average_price, ended.slippage) == (
        "cancelled", "asked by the user", None, None
    )  # fmt: skip


def test_slippage_of_a_sale_is_positive_when_it_was_worse():
    assert slippage("sell", Decimal(100), Decimal(99)) == 100
    assert slippage("buy", Decimal(100), Decimal(99)) == -100
