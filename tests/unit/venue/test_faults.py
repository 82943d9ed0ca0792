"""A plan decides the same for the same calls, and says what each fault means."""

import pytest

from feeds.venue.faults import Decision, Fault, FaultPlan, Rule


def strikes(plan: FaultPlan, calls: int, operation: str = "create", account: str = "a") -> list[int]:
    return [number for number in range(1, calls + 1) if plan.decide(operation, account)]


def test_a_rule_skips_counts_and_repeats():
    assert strikes(FaultPlan([Rule(Fault.TIMEOUT_AFTER)]), 5) == [1]
    assert strikes(FaultPlan([Rule(Fault.TIMEOUT_AFTER, skip=2, count=2)]), 6) == [3, 4]
    assert strikes(FaultPlan([Rule(Fault.TIMEOUT_AFTER, every=3, count=0)]), 8) == [1, 4, 7]
    assert strikes(FaultPlan([Rule(Fault.TIMEOUT_AFTER, skip=1, every=2, count=2)]), 9) == [2, 4]


def test_a_rule_matches_operation_prefix_and_account():
    plan = FaultPlan([Rule(Fault.ERROR_BEFORE, operation="cancel", account="a", count=0)])
    assert plan.decide("create", "a") is None
    assert plan.decide("cancel", "b") is None
    assert plan.decide("cancel", "a") is not None
    gap = FaultPlan([Rule(Fault.GAP, operation="stream:depth*", count=0)])
    assert gap.decide("stream:trade") is None
    assert gap.decide("stream:depth.BTCUSDT") is not None


def test_stream_faults_strike_streams_only_and_skew_the_clock_only():
    plan = FaultPlan([Rule(Fault.GAP, count=0), Rule(Fault.SKEW, count=0, skew_ms=-5000)])
    assert plan.decide("create") is None
    assert plan.decide("stream:trades").fault is Fault.GAP
    assert plan.skew_ms() == -5000
    plan = FaultPlan([Rule(Fault.TIMEOUT_BEFORE, count=0), Rule(Fault.DISCONNECT, operation="stream:*", count=0)])
    assert plan.skew_ms() == 0
    assert plan.decide("stream:trades").closes


@pytest.mark.parametrize(
    ("fault", "runs", "silent", "closes", "status"),
    [
        (Fault.TIMEOUT_BEFORE, False, True, False, 0),
        (Fault.TIMEOUT_AFTER, True, True, False, 0),
        (Fault.ERROR_BEFORE, False, False, False, 503),
        (Fault.ERROR_AFTER, True, False, False, 503),
        (Fault.RATE_LIMITED, False, False, False, 429),
        (Fault.BANNED, False, False, False, 418),
        (Fault.DISCONNECT, False, False, True, 0),
        (Fault.DISCONNECT_AFTER, True, False, True, 0),
    ],
)
def test_what_each_fault_means(fault, runs, silent, closes, status):
    decision = Decision(Rule(fault))
    assert (decision.runs, decision.is_silent, decision.closes, decision.status) == (runs, silent, closes, status)
    assert decision.headers == ({"Retry-After": "1"} if status in {418, 429} else {})


def test_the_first_rule_that_is_due_wins_all_count_and_the_plan_remembers():
    plan = FaultPlan([Rule(Fault.ERROR_AFTER, skip=1), Rule(Fault.TIMEOUT_AFTER, count=0)])
    faults = [plan.decide("create", "a").fault for _ in range(3)]
    assert faults == [Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER]
    assert plan.struck == [("create", "a", fault) for fault in faults]
    plan.clear()
    assert plan.decide("create", "a") is None
    plan.add(Rule(Fault.BANNED))
    assert plan.decide("create", "a").status == 418
