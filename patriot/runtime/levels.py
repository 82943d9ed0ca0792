"""Who may change which level. Rule: an owner their own, a manager the tenant's, the installation's admin all of it.

Another's account is not told from a missing one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from patriot.domain.risk.level import Level, halt, level_id, resume, set_limits
from patriot.runtime.aggregates import LEVEL
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal, after
from patriot.runtime.problem import not_found
from patriot.runtime.risk import PLATFORM, Risk
from patriot.runtime.users import require_installation
from patriot.store.api import GuardChange
from schemas.risk_commands import Authority, SetLimits
from schemas.risk_events import LevelEvent
from schemas.risk_queries import LevelView

_ID, _NAME = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[A-Za-z0-9 ._@-]{1,64}"
OWN = f"^(user|(account:)?{_ID}|strategy:{_NAME})$"
MANAGED = f"^(tenant|(user|account):{_ID}|strategy:{_NAME})$"


class Named(NamedTuple):
    """A level, on whose word it is changed, and the user whom it concerns, if it is one."""

    scope: str
    authority: Authority
    user_id: UUID | None


async def own(scope: str, context: RequestContext) -> Named:
    """The caller's own: "user", "account:ID" or the account's id alone, "strategy:NAME" for their orders of it."""
    user_id = context.user.user_id
    kind, _, name = scope.rpartition(":") if ":" in scope or scope == "user" else ("account", "", scope)
    if scope == "user":
        return Named(f"user:{user_id}", "owner", user_id)
    if kind == "strategy":
        return Named(f"strategy:{name}@{user_id}", "owner", user_id)
    account = await context.own_account(UUID(name))
    return Named(f"account:{account['id']}", "owner", user_id)


async def managed(scope: str, context: RequestContext) -> Named:
    """A level of the manager's tenant: "tenant", "user:ID", "account:ID", "strategy:NAME" for all who run it."""
    kind, _, name = scope.partition(":")
    if kind == "account":
        account = await context.account(UUID(name))
        return Named(scope, "manager", account["user_id"])
    if kind == "user":
        if not await context.find("users", {"id": UUID(name)}, limit=1):
            raise not_found("user", name)
        return Named(scope, "manager", UUID(name))
    return Named(scope, "manager", None)


def platform(context: RequestContext) -> Named:
    """Binds every tenant, so an administrator of another tenant than the installation's own has no say."""
    require_installation(context, "broker:manage")
    return Named(PLATFORM, "manager", None)


async def limit(named: Named, limits: SetLimits, context: RequestContext) -> LevelView:
    """Replace what the authority has set there."""
    return await _change(named, lambda level: set_limits(level, *named[:2], limits, named.user_id), context)


async def stop(named: Named, reason: str, context: RequestContext) -> LevelView:
    return await _change(named, lambda level: halt(level, *named[:2], reason, named.user_id), context)


async def go_on(named: Named, reason: str, context: RequestContext) -> LevelView:
    return await _change(named, lambda level: resume(level, *named[:2], reason, named.user_id), context)


async def _change(
    named: Named, decide: Callable[[Level | None], Sequence[LevelEvent]], context: RequestContext
) -> LevelView:
    """Events, guard and answer in one commit."""

    async def propose() -> Proposal[LevelView]:
        loaded = await context.load(LEVEL, level_id(named.scope))
        change = Change(loaded, decide(loaded.state))
        ((_, _, state),) = after([change], context.now())
        level = state or Level(named.scope)
        raises = [GuardChange(named.scope, level.halted, level.settings)] if change.events else []
        return Proposal([change], view(level), raises=raises)

    answer = await context.decide(propose)
    Risk.of(context.runtime).forget_all_limits()
    return answer


async def shown(named: Named, context: RequestContext) -> LevelView:
    loaded = await context.load(LEVEL, level_id(named.scope))
    return view(loaded.state or Level(named.scope))


def view(level: Level) -> LevelView:
    return LevelView(scope=level.scope, halted=level.halted, halts=dict(level.halts), limits=dict(level.limits))
