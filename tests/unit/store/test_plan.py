"""The plan of a batch: who gets in, in which order, and why the others do not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patriot.domain.errors import InvalidValue
from patriot.store.api import (
    PUBLIC_TENANT,
    AlreadyProcessed,
    Append,
    BalanceChange,
    Commit,
    DuplicateRequest,
    Guard,
    GuardFailed,
    GuardState,
    Inbox,
    InsufficientFunds,
    LeaseCheck,
    LeaseLost,
    VersionConflict,
)
from patriot.store.plan import Balance, Facts, Plan, answer_key, lock_keys, stream_key
from tests.store_samples import (
    ACCOUNT,
    OTHER_TENANT,
    TENANT,
    answer,
    append,
    commit,
    deposit,
    events,
    origin,
    reservation,
    stream,
)

USDT = (TENANT, ACCOUNT, "USDT")


def everything() -> Commit:
    """A commit that uses every check."""
    return append(
        stream(),
        balances=[reservation("5")],
        guards=[Guard("platform", 2)],
        inbox=Inbox("portfolio", "event-1"),
        idempotency=answer(),
        lease=LeaseCheck("relay", 3),
    )


def facts_for(made: Commit) -> Facts:
    """Facts under which `made` passes."""
    return Facts(
        complete=True,
        balances={USDT: Balance(Decimal(5))},
        guards={(PUBLIC_TENANT, "platform"): GuardState(2)},
        leases={"relay": 3},
    )


def test_admit_takes_a_commit_that_every_fact_allows():
    made = everything()
    plan = Plan(facts_for(made))
    plan.admit(made)
    assert plan.heads == {stream_key(made.appends[0].stream): 1}
    assert plan.balances == {USDT: Balance(Decimal(5), Decimal(5))}
    assert plan.balances[USDT].available == 0


def test_admit_refuses_in_one_order_whatever_else_is_wrong():
    made = everything()
    facts = Facts(complete=True, heads={stream_key(made.appends[0].stream): 1})
    facts.answers[answer_key(made, answer())] = answer()
    facts.inbox[(TENANT, "portfolio", "event-1")] = True
    mended = facts_for(made)
    for refusal, mend in (
        (DuplicateRequest, facts.answers.clear),
        (AlreadyProcessed, facts.inbox.clear),
        (LeaseLost, lambda: facts.leases.update(mended.leases)),
        (GuardFailed, lambda: facts.guards.update(mended.guards)),
        (VersionConflict, facts.heads.clear),
        (InsufficientFunds, lambda: facts.balances.update(mended.balances)),
    ):
        plan = Plan(facts)
        with pytest.raises(refusal):
            plan.admit(made)
        assert (plan.heads, plan.inbox, plan.answers, plan.balances, plan.follows) == ({}, {}, {}, {}, [])
        mend()
    Plan(facts).admit(made)


def test_admit_counts_what_came_before_in_the_batch():
    plan = Plan(Facts(complete=True))
    first = append(stream(), inbox=Inbox("a", "1"), idempotency=answer(), balances=[deposit("3")])
    plan.admit(first)
    with pytest.raises(DuplicateRequest):
        plan.admit(append(stream(), idempotency=answer()))
    with pytest.raises(AlreadyProcessed):
        plan.admit(append(stream(), inbox=Inbox("a", "1")))
    with pytest.raises(VersionConflict):
        plan.admit(append(first.appends[0].stream))
    plan.admit(append(first.appends[0].stream, 1, balances=[reservation("3")]))
    with pytest.raises(InsufficientFunds):
        plan.admit(append(stream(), balances=[reservation("1")]))


def test_admit_assumes_what_is_unknown_and_says_what_must_be_so():
    known, unknown, new = stream(), stream(), stream()
    plan = Plan(Facts(heads={stream_key(known): 2}))
    for to, version in ((known, 2), (unknown, 7), (unknown, 8), (new, 0)):
        plan.admit(append(to, version))
    assert plan.follows == [2, 7, 0, 0]  # 8 builds on 7, which is in the batch
    with pytest.raises(VersionConflict):
        plan.admit(append(known, 2))


def test_admit_lets_two_appends_of_one_commit_build_on_each_other():
    to = stream()
    plan = Plan(Facts(complete=True))
    plan.admit(commit(appends=[Append(to, 0, events(2)), Append(to, 2, events()), Append(stream(), 9, [])]))
    assert plan.heads == {stream_key(to): 3}
    assert plan.follows == [0, 0]


@pytest.mark.parametrize(("version", "halted"), [(1, False), (0, False), (2, True)])
def test_a_guard_fails_on_another_version_or_a_halt(version: int, halted: bool):  # noqa: FBT001
    facts = Facts(guards={(TENANT, "user:1"): GuardState(2, halted)})
    with pytest.raises(GuardFailed) as refused:
        Plan(facts).admit(commit(guards=[Guard("user:1", version)]))
    assert refused.value.halted is halted


def test_a_halted_guard_lets_those_pass_who_do_not_ask():
    facts = Facts(guards={(PUBLIC_TENANT, "platform"): GuardState(1, halted=True)})
    Plan(facts).admit(append(stream()))  # cancels get through


def test_a_tenants_balances_are_its_own():
    facts = Facts(balances={USDT: Balance(Decimal(9))})
    with pytest.raises(InsufficientFunds):
        Plan(facts).admit(commit(origin(OTHER_TENANT), balances=[reservation("1")]))


def test_a_balance_keeps_every_digit():
    plan = Plan(Facts())
    plan.admit(commit(balances=[deposit("999999999999999999"), deposit("0.000000000000000001")]))
    assert plan.balances[USDT].total == Decimal("999999999999999999.000000000000000001")
    with pytest.raises(InvalidValue):
        plan.admit(commit(balances=[deposit("1")]))
    with pytest.raises(InvalidValue):
        plan.admit(commit(balances=[BalanceChange(ACCOUNT, "USDT", margin=Decimal("-1000000000000000000.1"))]))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=30))
@pytest.mark.requirement("B3")
def test_reservations_never_exceed_the_deposits(steps: list[tuple[int, int]]):
    plan, deposited, reserved = Plan(Facts(complete=True)), 0, 0
    for put, take in steps:
        plan.admit(commit(balances=[deposit(str(put))]))
        deposited += put
        try:
            plan.admit(commit(balances=[reservation(str(take))]))
            reserved += take
        except InsufficientFunds as refused:
            assert refused.available == deposited - reserved < take  # noqa: PT017 (only some of them are refused)
        assert plan.balances[USDT] == (deposited, reserved, 0)
        assert reserved <= deposited


def test_lock_keys_are_what_the_plan_looks_at():
    made = everything()
    theirs = replace(made, origin=origin(OTHER_TENANT), guards=[Guard("user:1", 0)], lease=None, appends=())
    keys = lock_keys([made, theirs, append(stream())])
    assert keys.guards == {(PUBLIC_TENANT, "platform"), (OTHER_TENANT, "user:1")}
    assert keys.leases == {"relay"}
    assert keys.balances == {USDT, (OTHER_TENANT, ACCOUNT, "USDT")}
