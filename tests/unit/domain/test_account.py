"""Users and accounts: folds, paper funding, differences to the venue."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from patriot.domain.account import Account, User, adjust, fold_account, fold_user, fund, manage_user
from patriot.domain.errors import InvalidTransition
from patriot.domain.ledger import check
from schemas.commands import ManageUser
from schemas.events import (
    AccountCredentialsRotated,
    AccountDeactivated,
    AccountLinked,
    UserProfileChanged,
    UserRegistered,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = {"account_id": UUID(int=1), "user_id": UUID(int=2)}
LINKED = AccountLinked(**IDS, exchange="BINANCE", mode="paper", label="main")


def paper(**changes) -> Account:
    return fold_account(None, LINKED.model_copy(update=changes), 1, NOW)


def test_account_is_linked_active():
    assert paper() == Account(UUID(int=1), UUID(int=2), "BINANCE", "paper", "main", active=True)


def test_account_deactivated_stays_known():
    account = fold_account(paper(), AccountDeactivated(**IDS), 2, NOW)
    assert not account.active


def test_account_other_events_change_nothing():
    assert fold_account(paper(), AccountCredentialsRotated(**IDS), 2, NOW) == paper()


def test_account_event_before_the_link_is_refused():
    with pytest.raises(InvalidTransition, match=r"before account\.linked"):
        fold_account(None, AccountDeactivated(**IDS), 1, NOW)


@pytest.mark.requirement("B11")
def test_fund_posts_from_external_and_balances():
    (event,) = fund(paper(), "USDT", Decimal(100))
    check(event.postings)
    assert [(line.ledger, line.amount) for line in event.postings] == [
        ("cash", Decimal(100)),
        ("external", Decimal(-100)),
    ]


def test_fund_live_account_is_refused():
    with pytest.raises(InvalidTransition, match="at its exchange"):
        fund(paper(mode="live"), "USDT", Decimal(1))


def test_fund_deactivated_account_is_refused():
    account = fold_account(paper(), AccountDeactivated(**IDS), 2, NOW)
    with pytest.raises(InvalidTransition, match="deactivated"):
        fund(account, "USDT", Decimal(1))


def test_adjust_equal_balances_gives_nothing():
    assert adjust(paper(), "USDT", Decimal(5), Decimal("5.0"), "reconciliation") == []


@pytest.mark.parametrize(("booked", "at_venue"), [("5", "7.5"), ("7.5", "5")])
def test_adjust_posts_the_difference(booked, at_venue):
    (event,) = adjust(paper(), "USDT", Decimal(booked), Decimal(at_venue), "reconciliation")
    check(event.postings)
    assert event.difference == Decimal(at_venue) - Decimal(booked)
    assert event.postings[0].amount == event.difference


def test_user_registers_and_changes():
    user = fold_user(None, UserRegistered(user_id=UUID(int=2), username="ada", role="user"), 1, NOW)
    assert user == User(UUID(int=2), "ada", "user")
    changed = fold_user(user, UserProfileChanged(user_id=UUID(int=2), base_currency="EUR"), 2, NOW)
    assert changed.base_currency == "EUR"


def test_user_event_before_the_registration_is_refused():
    with pytest.raises(InvalidTransition, match=r"before user\.registered"):
        fold_user(None, UserProfileChanged(user_id=UUID(int=2)), 1, NOW)


def test_user_other_events_change_nothing():
    user = User(UUID(int=2), "ada", "user")
    assert fold_user(user, LINKED, 2, NOW) == user


ADA = User(UUID(int=2), "ada", "user")


def managed(user: User, by: int = 9, **changes: str) -> User:
    for event in manage_user(user, ManageUser(**changes), UUID(int=by)):
        user = fold_user(user, event, 2, NOW)
    return user


@pytest.mark.requirement("P1", "P14")
def test_administrator_changes_role_status_and_compliance():
    changed = managed(ADA, role="fund_manager", status="deactivated", compliance="verified")
    assert (changed.role, changed.status, changed.compliance) == ("fund_manager", "deactivated", "verified")
    assert managed(changed, role="user", status="active", compliance="unverified") == ADA


def test_what_is_so_already_leaves_no_event():
    assert manage_user(ADA, ManageUser(role="user", status="active", compliance="unverified"), UUID(int=9)) == []
    assert manage_user(ADA, ManageUser(), UUID(int=9)) == []


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("change", [{"role": "admin"}, {"status": "deactivated"}])
def test_nobody_changes_their_own_role_or_status(change: dict[str, str]):
    with pytest.raises(InvalidTransition, match="another administrator"):
        managed(ADA, by=2, **change)
    assert managed(ADA, by=2, compliance="pending").compliance == "pending"
