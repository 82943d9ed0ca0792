"""Gathers what an order is judged on. Order commands and the risk_checks function judge by the same facts.

Reference data, prices and positions come from this process's caches. Open orders are counted at the read model every
half second, plus what this process has let through since: never less than the truth. Buying power, limits version and
kill switches are not trusted to any cache: the commit checks them.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO
from patriot.domain.order import Order
from patriot.domain.position import position_id
from patriot.domain.risk.context import Approved, Denied, Limits, ReferencePrice, RiskContext
from patriot.domain.risk.evaluate import discovered, evaluate
from patriot.domain.risk.reservation import quote_value
from patriot.runtime.aggregates import POSITION
from patriot.runtime.context import RequestContext
from patriot.runtime.ports import Runtime
from patriot.runtime.problem import ProblemError
from patriot.store.api import Guard
from schemas.commands import CreateOrder
from schemas.reports import PriceReport

OPEN = ("pending", "submitted", "accepted", "partially_filled", "unknown")
ACTIVITY_SECONDS = 0.5
ACCOUNTS_MAX = 100_000
PLATFORM = "platform"

AT_COMMIT = tuple(rule for rule in discovered() if rule.code not in {"buying_power", "kill_switch"})
"""The rules that order_commands evaluates; the other two are checked in the commit itself, where they are atomic."""


@dataclass(slots=True)
class Activity:
    """One account's open orders, as counted at `counted_at`, and its recent creations."""

    counted_at: float = float("-inf")
    open_orders: int = 0
    open_notional: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    created_at: deque[float] = field(default_factory=deque)

    def rate(self, now: float) -> int:
        """Orders let through in the last second."""
        while self.created_at and self.created_at[0] <= now - 1:
            self.created_at.popleft()
        return len(self.created_at)

    def add(self, order: CreateOrder, notional: Decimal, now: float) -> None:
        self.open_orders += 1
        key = (order.instrument, order.side)
        self.open_notional[key] = self.open_notional.get(key, ZERO) + notional
        self.created_at.append(now)


class Risk:
    """The gatherer of one process: `Risk.of(runtime)`."""

    @classmethod
    def of(cls, runtime: Runtime) -> "Risk":
        """The one of this runtime, made at first use."""
        found = runtime.local.get("risk")
        if not isinstance(found, Risk):
            found = runtime.local["risk"] = cls()
        return found

    def __init__(self) -> None:
        self._activity: dict[UUID, Activity] = {}
        self._limits: dict[UUID, tuple[float, Limits, tuple[Guard, ...]]] = {}

    async def facts(
        self, context: RequestContext, command: CreateOrder, modified: Order | None = None
    ) -> tuple[RiskContext, tuple[Guard, ...]]:
        """What `command` is judged on, and the guards under which the judgement holds.

        For a modification `modified` is the order, and `command` what it will be.
        """
        now = context.runtime.clock.monotonic()
        instrument = await context.instrument(command.instrument)
        limits, guards = await self._account_limits(context, command.account_id, now)
        activity = await self._account_activity(context, command.account_id, now)
        own = _notional(instrument, modified.open_quantity, modified.price or modified.stop_price) if modified else ZERO
        position = await context.load(POSITION, position_id(command.account_id, command.instrument))
        facts = RiskContext(
            order=command,
            now=context.now(),
            instrument=instrument,
            price=_reference(await context.price(command.instrument)),
            limits=limits,
            position_quantity=position.state.quantity if position.state else ZERO,
            open_orders=activity.open_orders - (modified is not None),
            open_notional=activity.open_notional.get((command.instrument, command.side), ZERO) - own,
            orders_last_second=activity.rate(now),
            filled_quantity=modified.filled_quantity if modified else ZERO,
            reserved=modified.reserved.amount if modified else ZERO,
        )
        return facts, guards

    def count(self, facts: RiskContext, now: float) -> None:
        """An order was let through: until the next count at the read model it is counted here."""
        price = facts.order.price or facts.known_price.fair
        notional = quote_value(facts.known_instrument, facts.order.quantity, price)
        self._activity[facts.order.account_id].add(facts.order, notional, now)

    def forget_limits(self, account_id: UUID) -> None:
        self._limits.pop(account_id, None)

    async def _account_limits(
        self, context: RequestContext, account_id: UUID, now: float
    ) -> tuple[Limits, tuple[Guard, ...]]:
        known = self._limits.get(account_id)
        if known is not None and known[0] > now:
            return known[1], known[2]
        scopes = [PLATFORM, f"account:{account_id}"]
        versions = await context.runtime.store.guards(context.tenant_id, scopes)
        guards = tuple(Guard(scope, versions[scope][0]) for scope in scopes)
        rows = await context.find("risk_limits", {"scope": scopes})
        limits = _merged({row["scope"]: row["limits"] for row in rows}, scopes, version=guards[-1].version)
        self._limits[account_id] = (now + 60, limits, guards)
        return limits, guards

    async def _account_activity(self, context: RequestContext, account_id: UUID, now: float) -> Activity:
        if len(self._activity) > ACCOUNTS_MAX:
            self._activity.clear()
        activity = self._activity.setdefault(account_id, Activity())
        if activity.counted_at + ACTIVITY_SECONDS <= now:
            activity.counted_at = now
            rows = await context.find("orders", {"account_id": account_id, "status": list(OPEN)}, limit=10_000)
            activity.open_orders = len(rows)
            activity.open_notional = await _open_notional(context, rows)
        return activity


def judge(facts: RiskContext) -> Approved:
    """Raises the 422 problem of the first broken rule."""
    verdict = evaluate(facts, AT_COMMIT)
    if isinstance(verdict, Denied):
        raise ProblemError(422, verdict.code, verdict.reason, [(verdict.field, verdict.reason)])
    return verdict


def _reference(price: PriceReport | None) -> ReferencePrice | None:
    if price is None:
        return None
    return ReferencePrice(price.bid, price.ask, price.last, price.as_of, price.mark, price.stale)


async def _open_notional(context: RequestContext, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Decimal]:
    totals: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        key = (row["instrument"], row["side"])
        instrument = await context.instrument(row["instrument"])
        value = _notional(instrument, row["quantity"] - row["filled_quantity"], row["price"] or row["stop_price"])
        totals[key] = totals.get(key, ZERO) + value
    return totals


def _notional(instrument: Instrument, quantity: Decimal, price: Decimal | None) -> Decimal:
    """An order without a price of its own executes at once: it is open for a moment only."""
    return quote_value(instrument, quantity, price) if price else ZERO


def _merged(stored: dict[str, dict[str, Any]], scopes: list[str], version: int) -> Limits:
    """Defaults, overridden by the platform's limits; the account's own replace defaults, but never loosen those."""
    platform, account = (_numbers(stored.get(scope, {})) for scope in scopes)
    own = {name: min(value, platform.get(name, value)) for name, value in account.items()}
    return Limits(**{**platform, **own}, version=version)


def _numbers(limits: dict[str, Any]) -> dict[str, Any]:
    return {name: _number(value) for name, value in limits.items()}


def _number(value: Any) -> Any:
    return Decimal(value) if isinstance(value, str) else value
