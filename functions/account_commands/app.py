"""Link and deactivate exchange accounts, rotate their credentials, choose their leverage.

Rule: credentials go into the vault, never into an event or a log.
"""

import secrets
from decimal import Decimal
from uuid import UUID

from patriot.domain.account import account_view, rotate_credentials
from patriot.domain.leverage import choose_leverage, in_use
from patriot.runtime.aggregates import ACCOUNT
from patriot.runtime.credentials import seal
from patriot.runtime.decision import Change, Proposal, after
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError
from patriot.runtime.risk import Risk, binding_of, scopes_of
from patriot.store.api import GuardChange, QuotaChange, QuotaExceeded, Row
from schemas.commands import ChooseLeverage, LinkAccount, RotateCredentials
from schemas.events import AccountCredentialsRotated, AccountDeactivated, AccountLeverageChanged, AccountLinked
from schemas.queries import AccountView

function = Function(
    "account-commands",
    publishes=(AccountLinked, AccountCredentialsRotated, AccountDeactivated, AccountLeverageChanged),
)


@function.post("/accounts", status_code=201, needs="accounts:manage", idempotent=True)
async def link(command: LinkAccount, context: Context) -> AccountView:
    """Link an exchange account of the caller. A paper account gets credentials for the built-in venue."""
    account_id, user_id = context.uuid(), context.user.user_id
    key = command.api_key or "paper-" + secrets.token_hex(16)
    secret = command.api_secret or secrets.token_hex(32)
    row = _row(command, account_id, context)
    row |= seal(context, account_id, key, secret)

    async def propose() -> Proposal[AccountView]:
        loaded = await context.load(ACCOUNT, account_id)
        event = AccountLinked(
            account_id=account_id,
            user_id=user_id,
            exchange=command.exchange,
            mode=command.mode,
            label=command.label,
        )
        return Proposal([Change(loaded, [event])], _view(command, account_id), rows=[Row("user_accounts", row)])

    return await context.decide(propose)


@function.post("/accounts/{account_id}/credentials", needs="accounts:manage", idempotent=True)
async def rotate(account_id: UUID, command: RotateCredentials, context: Context) -> AccountView:
    """Take other credentials for a live account. Its connections are opened anew with them."""
    sealed = seal(context, account_id, command.api_key, command.api_secret)

    async def propose() -> Proposal[AccountView]:
        loaded = await context.own(ACCOUNT, account_id)
        account = loaded.found
        events = rotate_credentials(account)
        row = {"id": account_id, **sealed, "updated_at": context.now(), "stream_version": loaded.version + 1}
        return Proposal([Change(loaded, events)], account_view(account), rows=[Row("user_accounts", row)])

    answer = await context.decide(propose)
    context.runtime.references.forget_account(context.tenant_id, account_id)
    return answer


@function.post("/accounts/{account_id}/leverage", needs="accounts:manage", idempotent=True)
async def choose(account_id: UUID, command: ChooseLeverage, context: Context) -> AccountView:
    """Trade an instrument with another leverage, from the next order on. Refused while anything is open in it.

    The venue is told before the first order that opens with it.
    """
    own = (await context.own(ACCOUNT, account_id)).found
    instrument = await context.instrument(command.instrument)
    scopes = scopes_of(own.user_id, account_id, None)
    limits = binding_of(await context.runtime.store.guards(context.tenant_id, scopes)).limits

    async def propose() -> Proposal[AccountView]:
        loaded = await context.own(ACCOUNT, account_id)
        change = Change(loaded, choose_leverage(loaded.found, instrument, command.leverage, limits.maximum_leverage))
        ((_, version, account),) = after([change], context.now())
        if not change.events:
            return Proposal([change], account_view(account))
        row = {"id": account_id, "leverages": dict(account.leverages), "stream_version": version}
        nothing = Decimal(0)
        asks = [QuotaChange(account_id, name, nothing, maximum=nothing) for name in in_use(instrument.id)]
        raises = [GuardChange(f"account:{account_id}")]  # orders judged on another leverage are judged again
        return Proposal([change], account_view(account), rows=[Row("user_accounts", row)], raises=raises, asks=asks)

    try:
        answer = await context.decide(propose)
    except QuotaExceeded as open_there:
        raise _in_use(instrument.id) from open_there
    context.runtime.references.forget_account(context.tenant_id, account_id)
    Risk.of(context.runtime).forget_limits(account_id)
    return answer


@function.delete("/accounts/{account_id}", needs="accounts:manage", idempotent=True)
async def deactivate(account_id: UUID, context: Context) -> AccountView:
    """Stop trading on an account. Its history stays."""

    async def propose() -> Proposal[AccountView]:
        loaded = await context.own(ACCOUNT, account_id)
        account = loaded.found
        event = AccountDeactivated(account_id=account_id, user_id=account.user_id)
        events = [event] if account.active else []
        row = {"id": account_id, "is_active": False, "stream_version": loaded.version + 1}
        view = account_view(account).model_copy(update={"active": False})
        # every process keeps the account for a while; orders judged on what it keeps now fail in their commit
        raises = [GuardChange(f"account:{account_id}")]
        return Proposal(
            [Change(loaded, events)], view, rows=[Row("user_accounts", row)] if events else [], raises=raises
        )

    answer = await context.decide(propose)
    context.runtime.references.forget_account(context.tenant_id, account_id)
    return answer


def _in_use(instrument: str) -> ProblemError:
    rule = f"something is open in {instrument}: cancel its orders and close its position, then choose the leverage"
    return ProblemError(409, "leverage_in_use", rule, [("leverage", rule)])


def _row(command: LinkAccount, account_id: UUID, context: Context) -> dict[str, object]:
    return {
        "id": account_id,
        "user_id": context.user.user_id,
        "exchange": command.exchange,
        "mode": command.mode,
        "name": command.label,
        "is_active": True,
        "created_at": context.now(),
        "updated_at": context.now(),
        "stream_version": 1,
    }


def _view(command: LinkAccount, account_id: UUID) -> AccountView:
    return AccountView(
        account_id=account_id, exchange=command.exchange, mode=command.mode, label=command.label, active=True
    )


app = function.app
