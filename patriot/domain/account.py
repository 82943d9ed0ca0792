"""Users and their exchange accounts, folded from their events."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from patriot.domain.errors import InvalidTransition
from schemas.events import (
    AccountBalanceAdjusted,
    AccountCredentialsRotated,
    AccountDeactivated,
    AccountFunded,
    AccountLinked,
    Event,
    Posting,
    UserProfileChanged,
    UserRegistered,
)
from schemas.queries import AccountView
from schemas.types import AccountMode, Exchange


@dataclass(frozen=True, slots=True)
class Account:
    """One account at one exchange, owned by one user."""

    account_id: UUID
    user_id: UUID
    exchange: Exchange
    mode: AccountMode
    label: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class User:
    user_id: UUID
    username: str
    role: str
    base_currency: str = "USDT"


def fold_account(account: Account | None, event: Event, _version: int, _when: datetime) -> Account:
    """Raises InvalidTransition for an event before the account was linked."""
    match event:
        case AccountLinked():
            return Account(event.account_id, event.user_id, event.exchange, event.mode, event.label)
        case _ if account is None:
            raise InvalidTransition(f"{event.TYPE} before account.linked")
        case AccountDeactivated():
            return replace(account, active=False)
        case _:
            return account


def fold_user(user: User | None, event: Event, _version: int, _when: datetime) -> User:
    """Raises InvalidTransition for an event before the user was registered."""
    match event:
        case UserRegistered():
            return User(event.user_id, event.username, event.role)
        case _ if user is None:
            raise InvalidTransition(f"{event.TYPE} before user.registered")
        case UserProfileChanged():
            return replace(user, base_currency=event.base_currency)
        case _:
            return user


def rotate_credentials(account: Account) -> list[Event]:
    """Raises InvalidTransition for paper or inactive accounts."""
    if account.mode == "paper":
        raise InvalidTransition("a paper account has no credentials of an exchange")
    if not account.active:
        raise InvalidTransition("the account is not active")
    return [AccountCredentialsRotated(account_id=account.account_id, user_id=account.user_id)]


def fund(account: Account, asset: str, amount: Decimal) -> list[Event]:
    """Paper money comes from `external`. Raises InvalidTransition for live or inactive accounts."""
    if account.mode != "paper":
        raise InvalidTransition("a live account is funded at its exchange, not here")
    if not account.active:
        raise InvalidTransition("the account is deactivated")
    return [
        AccountFunded(
            account_id=account.account_id,
            user_id=account.user_id,
            asset=asset,
            amount=amount,
            source="paper",
            postings=_from_external(asset, amount),
        )
    ]


def adjust(account: Account, asset: str, booked: Decimal, at_venue: Decimal, reason: str) -> list[Event]:
    """Post the difference between the venue's balance and ours; nothing where they agree."""
    if booked == at_venue:
        return []
    return [
        AccountBalanceAdjusted(
            account_id=account.account_id,
            user_id=account.user_id,
            asset=asset,
            venue_balance=at_venue,
            difference=at_venue - booked,
            reason=reason,
            postings=_from_external(asset, at_venue - booked),
        )
    ]


def _from_external(asset: str, amount: Decimal) -> tuple[Posting, ...]:
    return (
        Posting(ledger="cash", asset=asset, amount=amount),
        Posting(ledger="external", asset=asset, amount=-amount),
    )


def account_view(account: Account) -> AccountView:
    """What a command about the account answers."""
    return AccountView(
        account_id=account.account_id,
        exchange=account.exchange,
        mode=account.mode,
        label=account.label,
        active=account.active,
    )
