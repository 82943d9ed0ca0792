"""Users and their exchange accounts, folded from their events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from patriot.domain.errors import InvalidTransition
from schemas.commands import ManageUser
from schemas.events import (
    AccountBalanceAdjusted,
    AccountCredentialsRotated,
    AccountDeactivated,
    AccountFunded,
    AccountLeverageChanged,
    AccountLinked,
    ComplianceStatusChanged,
    Event,
    Posting,
    UserDeactivated,
    UserProfileChanged,
    UserReactivated,
    UserRegistered,
    UserRoleChanged,
)
from schemas.queries import AccountView, UserView
from schemas.types import AccountMode, ComplianceStatus, Exchange, RoleName, UserStatus


@dataclass(frozen=True, slots=True)
class Account:
    """One account at one exchange, owned by one user. `leverages` are those that were chosen, by instrument."""

    account_id: UUID
    user_id: UUID
    exchange: Exchange
    mode: AccountMode
    label: str
    active: bool = True
    leverages: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class User:
    user_id: UUID
    username: str
    role: RoleName
    base_currency: str = "USDT"
    status: UserStatus = "active"
    compliance: ComplianceStatus = "unverified"


def fold_account(account: Account | None, event: Event, _version: int, _when: datetime) -> Account:
    """Raises InvalidTransition for an event before the account was linked."""
    match event:
        case AccountLinked():
            return Account(event.account_id, event.user_id, event.exchange, event.mode, event.label)
        case _ if account is None:
            raise InvalidTransition(f"{event.TYPE} before account.linked")
        case AccountDeactivated():
            return replace(account, active=False)
        case AccountLeverageChanged():
            chosen = {**account.leverages, event.instrument: event.leverage}
            return replace(account, leverages=MappingProxyType(chosen))
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
        case UserRoleChanged():
            return replace(user, role=event.role)
        case UserDeactivated():
            return replace(user, status="deactivated")
        case UserReactivated():
            return replace(user, status="active")
        case ComplianceStatusChanged():
            return replace(user, compliance=event.status)
        case _:
            return user


def manage_user(user: User, change: ManageUser, by: UUID) -> list[Event]:
    """What an administrator changes; [] where it is so already.

    Raises InvalidTransition where administrators would lock themselves out: another one must do that.
    """
    events: list[Event] = []
    if change.role not in {None, user.role}:
        events.append(UserRoleChanged(user_id=user.user_id, role=change.role))
    if change.status not in {None, user.status}:
        told = UserDeactivated if change.status == "deactivated" else UserReactivated
        events.append(told(user_id=user.user_id, reason=change.reason))
    if events and by == user.user_id:
        raise InvalidTransition("nobody changes their own role or status; ask another administrator")
    if change.compliance not in {None, user.compliance}:
        events.append(ComplianceStatusChanged(user_id=user.user_id, status=change.compliance, reason=change.reason))
    return events


def user_view(user: User) -> UserView:
    return UserView(
        user_id=user.user_id,
        username=user.username,
        role=user.role,
        base_currency=user.base_currency,
        status=user.status,
        compliance=user.compliance,
    )


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
        leverages=dict(account.leverages),
    )


def account_view_of(row: Mapping[str, Any]) -> AccountView:
    """The same from a row of `user_accounts`."""
    return AccountView(
        account_id=row["id"],
        exchange=row["exchange"],
        mode=row["mode"],
        label=row["name"],
        active=row["is_active"],
        leverages=row["leverages"] or {},
    )
