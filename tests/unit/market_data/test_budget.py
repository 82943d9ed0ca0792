from datetime import timedelta

import pytest

from feeds.market_data.budget import BudgetExhausted, ConnectionBudget
from patriot.runtime.clock import VirtualClock
from tests.unit.market_data.world import START


@pytest.mark.requirement("P6")
def test_budget_refuses_one_too_many():
    budget = ConnectionBudget("stream.example", 2, VirtualClock(START))
    budget.take()
    budget.take()
    with pytest.raises(BudgetExhausted, match="all 2 connections"):
        budget.take()
    budget.give_back()
    budget.take()


def test_budget_place_is_given_back_once():
    budget = ConnectionBudget("stream.example", 2, VirtualClock(START))
    with pytest.raises(AssertionError):
        budget.give_back()


def test_budget_spreads_attempts_over_five_minutes():
    clock = VirtualClock(START)
    budget = ConnectionBudget("stream.example", 3, clock)
    assert [budget.attempt() for _ in range(3)] == [0, 0, 0]
    clock.advance_to(START + timedelta(seconds=100))
    assert budget.attempt() == 200
    clock.advance_to(START + timedelta(seconds=300))
    assert budget.attempt() == 0
