"""The saga of a transfer: at each moment the money is in exactly one place, whatever is told twice or too late."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.account import Account
from patriot.domain.balances import changes_of
from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.ledger import trial_balance
from patriot.domain.transfer import approve, arrive, fold, give_back, reject, request, send

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
ID, ADA, BOB, CY = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
SOURCE = Account(UUID(int=10), ADA, "BINANCE", "paper", "main")
TARGET = Account(UUID(int=11), ADA, "BYBIT", "paper", "other")
GONE = Account(UUID(int=11), ADA, "BYBIT", "paper", "other", active=False)


class Saga:
    """Runs decisions and keeps the events."""

    def __init__(self, kind="withdrawal", target=None, needed=2):
        self.events, self.state = [], None
        options = {"target": target, "destination": "bc1q", "approvals_needed": needed}
        self.take(request(ID, SOURCE, kind, asset="USDT", amount=Decimal(100), **options))

    def take(self, events):
        for event in events:
            self.events.append(event)
            self.state = fold(self.state, event, len(self.events), WHEN)
        return events

    def ledger(self):
        return {(str(key[0])[-2:], key[1]): total for key, total in trial_balance(self.events).items() if total}

    def held(self):
        return sum(delta.reserved for event in self.events for delta in changes_of(event))


@pytest.mark.requirement("B11")
def test_withdrawal_waits_for_two_others():
    saga = Saga()
    assert saga.held() == 100
    assert changes_of(saga.events[0])[0].required == 100
    assert send(saga.state) == []
    with pytest.raises(InvalidTransition, match="cannot approve"):
        approve(saga.state, ADA)
    saga.take(approve(saga.state, BOB))
    assert approve(saga.state, BOB) == []
    assert send(saga.state) == []
    saga.take(approve(saga.state, CY))
    saga.take(send(saga.state))
    assert (saga.ledger(), saga.held()) == ({("0a", "cash"): -100, ("0a", "transit"): 100}, 0)
    saga.take(arrive(saga.state, None))
    assert saga.ledger() == {("0a", "cash"): -100, ("0a", "external"): 100}
    assert saga.state.status == "arrived"


def test_internal_transfer_needs_nobody_and_arrives_in_the_other_account():
    saga = Saga("internal", TARGET)
    saga.take(send(saga.state))
    saga.take(arrive(saga.state, TARGET))
    assert saga.ledger() == {("0a", "cash"): -100, ("0a", "transit"): 100, ("0b", "cash"): 100, ("0b", "transit"): -100}


@pytest.mark.parametrize("target", [GONE, None])
def test_target_that_is_gone_gives_it_back(target):
    saga = Saga("internal", TARGET)
    saga.take(send(saga.state))
    saga.take(arrive(saga.state, target))
    assert (saga.ledger(), saga.held(), saga.state.status) == ({}, 0, "returned")


def test_venue_that_refuses_gives_it_back():
    saga = Saga("internal", TARGET)
    saga.take(send(saga.state))
    saga.take(give_back(saga.state, "margin needs it"))
    assert (saga.ledger(), saga.held(), saga.state.reason) == ({}, 0, "margin needs it")
    assert arrive(saga.state, TARGET) == []


def test_rejected_withdrawal_frees_what_was_held():
    saga = Saga()
    saga.take(reject(saga.state, BOB, "unknown address"))
    assert (saga.ledger(), saga.held(), saga.state.status) == ({}, 0, "rejected")
    assert reject(saga.state, BOB, "again") == []
    with pytest.raises(InvalidTransition):
        approve(saga.state, CY)


def test_approved_withdrawal_cannot_be_taken_back():
    saga = Saga(needed=1)
    saga.take(approve(saga.state, BOB))
    with pytest.raises(InvalidTransition, match="approved"):
        reject(saga.state, ADA, "taken back")


@pytest.mark.parametrize(
    ("account", "kind", "target", "error"),
    [
        (GONE, "withdrawal", None, InvalidTransition),
        (Account(UUID(int=9), ADA, "BINANCE", "live", "real"), "withdrawal", None, InvalidTransition),
        (SOURCE, "internal", GONE, InvalidTransition),
        (SOURCE, "internal", SOURCE, InvalidValue),
        (SOURCE, "internal", None, InvalidValue),
        (SOURCE, "withdrawal", TARGET, InvalidValue),
    ],
)
def test_transfer_that_cannot_be_is_refused(account, kind, target, error):
    with pytest.raises(error):
        request(ID, account, kind, asset="USDT", amount=Decimal(1), target=target)


def test_event_out_of_order_is_refused():
    saga = Saga()
    with pytest.raises(InvalidTransition):
        fold(None, approve(saga.state, BOB)[0], 1, WHEN)
    with pytest.raises(InvalidTransition):
        fold(saga.state, saga.events[0], 2, WHEN)


STEPS = {
    "bob": lambda state: approve(state, BOB),
    "cy": lambda state: approve(state, CY),
    "reject": lambda state: reject(state, BOB, "no"),
    "send": send,
    "arrive": lambda state: arrive(state, TARGET),
    "gone": lambda state: arrive(state, GONE),
    "refused": lambda state: give_back(state, "no"),
}


@pytest.mark.requirement("B11")
@given(st.sampled_from(["withdrawal", "internal"]), st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_money_is_in_one_place_after_any_steps(kind, steps):
    """Repeated, late and forbidden steps included."""
    saga = Saga(kind, TARGET if kind == "internal" else None)
    for step in steps:
        try:
            saga.take(STEPS[step](saga.state))
        except InvalidTransition:
            continue
        sums = trial_balance(saga.events)
        cash = sum(total for (_, ledger, _), total in sums.items() if ledger == "cash")
        transit = sum(total for (_, ledger, _), total in sums.items() if ledger == "transit")
        external = sum(total for (_, ledger, _), total in sums.items() if ledger == "external")
        assert cash + transit + external == 0
        assert transit == (100 if saga.state.status == "sent" else 0)
        assert saga.held() == (100 if saga.state.status in {"requested", "approved"} else 0)
        assert sum(event.TYPE == "account.transfer_sent" for event in saga.events) <= 1
