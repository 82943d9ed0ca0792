"""The leverage of an account in one instrument. Rule: it changes only while nothing is open there.

It says which part of a linear perpetual's value is bound as margin. Margin is cross: the whole account answers for each
position, so leverage decides what can be opened, and nothing about when the venue liquidates.
"""

from collections.abc import Mapping
from decimal import Decimal

from patriot.domain.account import Account
from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, plain
from patriot.domain.quotas import side_quota
from schemas.events import AccountLeverageChanged


def leverage_of(chosen: Mapping[str, int] | None, instrument: Instrument, default: int) -> int | None:
    """What an order is made with; None where nobody has chosen any: its whole value is bound then.

    `chosen` are the account's, `default` that of the installation, where 1 is no choice.
    """
    if instrument.kind != "linear":
        return None
    found = chosen.get(instrument.id) if chosen else None
    if found is None and default > 1:
        found = min(default, instrument.maximum_leverage)
    return found


def choose_leverage(
    account: Account, instrument: Instrument, leverage: int, limit: Decimal | None
) -> list[AccountLeverageChanged]:
    """`limit` is the lowest maximum leverage of the levels above the account; [] where it is chosen already.

    Raises:
        InvalidTransition: the account is not active.
        InvalidValue: not traded at the account's venue, no linear perpetual, or more than instrument or limit allow.

    """
    if not account.active:
        raise InvalidTransition("the account is deactivated")
    if instrument.venue != account.exchange:
        raise InvalidValue("instrument", f"is traded at {instrument.venue}, the account is at {account.exchange}")
    if instrument.kind != "linear":
        rule = f"{instrument.id} is {instrument.kind}: only linear perpetuals (BTC/USDT:USDT) have a leverage"
        raise InvalidValue("instrument", rule)
    if leverage > instrument.maximum_leverage:
        raise InvalidValue("leverage", f"{instrument.id} allows at most {instrument.maximum_leverage}")
    if is_above(leverage, limit):
        raise InvalidValue("leverage", f"the risk limits above this account allow at most {plain(limit or ZERO)}")
    if account.leverages.get(instrument.id) == leverage:
        return []
    names = {"account_id": account.account_id, "user_id": account.user_id}
    return [AccountLeverageChanged(**names, instrument=instrument.id, leverage=leverage)]


def is_above(leverage: int, limit: Decimal | None) -> bool:
    """Whether a leverage breaks the limit. 1 breaks none: a limit below 1 bounds the account's exposure."""
    return limit is not None and leverage > 1 and leverage > limit


def in_use(instrument: str) -> tuple[str, str]:
    """The quotas that say whether anything is open: at most zero on both sides means nothing is."""
    return side_quota("buy", instrument), side_quota("sell", instrument)
