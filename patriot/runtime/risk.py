"""Gathers what an order is judged on, and has it judged. Order commands and risk_checks judge by the same facts.

Reference data, prices and positions come from this process's caches. What must hold at the instant of the commit is
trusted to no cache: buying power, open orders, positions, limits' versions and kill switches are checked in the commit.
Every refusal leaves a `risk.denied` event, but for those to be sent again; an approval is `order.created` itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from msgspec.structs import replace

from patriot.domain.instrument import Instrument
from patriot.domain.leverage import leverage_of
from patriot.domain.order import Order
from patriot.domain.position import Position, position_id
from patriot.domain.quotas import OPEN_ORDERS
from patriot.domain.risk.context import Approved, Denied, ReferencePrice, RiskContext, Rule
from patriot.domain.risk.evaluate import discovered, evaluate
from patriot.domain.risk.limits import Limits, merged
from patriot.domain.risk.rules.kill_switch import HELD
from patriot.runtime.aggregates import POSITION
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Proposal
from patriot.runtime.ports import Runtime
from patriot.runtime.problem import ProblemError
from patriot.runtime.standing import Standings
from patriot.store.api import Guard, GuardFailed, GuardState, InsufficientFunds, QuotaExceeded, Refused
from schemas.commands import CreateOrder
from schemas.risk_commands import SetLimits
from schemas.risk_events import RiskDenied

OPEN = ("pending", "submitted", "accepted", "partially_filled", "unknown")
KEPT_SECONDS = 60.0
ACCOUNTS_MAX = 100_000
PLATFORM, TENANT = "platform", "tenant"

COMMIT_ASKS = frozenset({"buying_power", "kill_switch", "open_orders", "position_notional"})
"""These rules are asked by the commit itself, where their answer is atomic."""

AT_COMMIT = tuple(rule for rule in discovered() if rule.code not in COMMIT_ASKS)
"""The others: an order is judged by them on its way to the commit."""

STATUS = {
    "kill_switch": (409, "trading_halted"),
    "buying_power": (422, "insufficient_buying_power"),
    "stale_price": (503, "stale_price"),  # nothing is wrong with the order: it passes with the next price
}
"""Refusals whose problem has a name and status of its own."""

Result = TypeVar("Result")


class Binding(NamedTuple):
    """What binds an order: the limits of all levels above it, the guards under which they hold, and that of who
    places it, which refuses only what is new.
    """

    limits: Limits
    guards: tuple[Guard, ...]
    hold: tuple[Guard, ...] = ()


class Sent(NamedTuple):
    """An order that this process let through, and when."""

    terms: tuple[object, ...]
    at: float


@dataclass(slots=True)
class Activity:
    """What one account has sent through this process in the last seconds. See ADR 18 for the others."""

    orders: deque[Sent] = field(default_factory=deque)
    creates: deque[float] = field(default_factory=deque)
    cancels: deque[float] = field(default_factory=deque)

    def orders_last_second(self, now: float) -> int:
        return _last_second(self.creates, now)

    def cancels_last_second(self, now: float) -> int:
        return _last_second(self.cancels, now)

    def since_same(self, order: CreateOrder, now: float) -> float | None:
        terms = _terms(order)
        return next((now - sent.at for sent in reversed(self.orders) if sent.terms == terms), None)

    def add(self, order: CreateOrder, now: float, kept_seconds: float) -> None:
        while self.orders and self.orders[0].at <= now - kept_seconds:
            self.orders.popleft()
        self.orders.append(Sent(_terms(order), now))
        self.creates.append(now)


def _last_second(times: deque[float], now: float) -> int:
    while times and times[0] <= now - 1:
        times.popleft()
    return len(times)


def _terms(order: CreateOrder) -> tuple[object, ...]:
    return (order.instrument, order.side, order.order_type, order.quantity, order.price, order.stop_price)


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
        self._bindings: dict[UUID, dict[str | None, tuple[float, Binding]]] = {}

    async def facts(
        self, context: RequestContext, command: CreateOrder, modified: Order | None = None
    ) -> tuple[RiskContext, tuple[Guard, ...]]:
        """What `command` is judged on before the commit, and the guards under which the judgement holds.

        For a modification `modified` is the order, and `command` what it will be.
        """
        now = context.runtime.clock.monotonic()
        user_id = modified.user_id if modified else context.user.user_id
        limits, guards, hold = await self.binding(context, command, user_id, now)
        activity, instrument = self._of_account(command.account_id), await context.instrument(command.instrument)
        facts = RiskContext(
            order=command,
            now=context.now(),
            instrument=instrument,
            price=await _reference(command.instrument, context),
            limits=limits,
            leverage=modified.leverage if modified else await _leverage(instrument, context, command.account_id),
            user_id=user_id,
            modifies=modified.order_id if modified else None,
            orders_last_second=activity.orders_last_second(now),
            cancels_last_second=activity.cancels_last_second(now),
            same_order_seconds=activity.since_same(command, now) if limits.duplicate_seconds else None,
            filled_quantity=modified.filled_quantity if modified else Decimal(0),
            reserved=modified.reserved.amount if modified else Decimal(0),
        )
        return await _with_what_is_asked(facts, context), guards if modified else guards + hold

    async def binding(self, context: RequestContext, command: CreateOrder, user_id: UUID, now: float) -> Binding:
        """The limits above the order. Kept a minute: a change raises a guard, and the commit notices."""
        known = self._bindings.setdefault(command.account_id, {})
        kept = known.get(command.strategy_id)
        if kept is None or kept[0] <= now:
            scopes = scopes_of(user_id, command.account_id, command.strategy_id)
            holds = [hold_of(command.account_id, command.strategy_id)] if command.strategy_id else []
            states = dict(await context.runtime.store.guards(context.tenant_id, scopes + holds))
            hold = tuple(Guard(scope, states.pop(scope).version) for scope in holds)
            if states[f"account:{command.account_id}"].version:  # what is kept of the account may be older than that
                context.runtime.references.forget_account(context.tenant_id, command.account_id)
            limits, guards, _ = binding_of(states)
            own = Binding(limits.shared_by(context.runtime.settings.replicas), guards, hold)
            kept = known[command.strategy_id] = (now + KEPT_SECONDS, own)
        return kept[1]

    def count(self, facts: RiskContext, now: float) -> None:
        """An order was let through."""
        seconds = max(1, facts.limits.duplicate_seconds or 1)
        self._of_account(facts.order.account_id).add(facts.order, now, seconds)

    def count_cancel(self, account_id: UUID, now: float) -> None:
        activity = self._of_account(account_id)
        activity.cancels_last_second(now)
        activity.cancels.append(now)

    def forget_limits(self, account_id: UUID) -> None:
        self._bindings.pop(account_id, None)

    def forget_all_limits(self) -> None:
        self._bindings.clear()

    def _of_account(self, account_id: UUID) -> Activity:
        if len(self._activity) > ACCOUNTS_MAX:
            self._activity.clear()
        if len(self._bindings) > ACCOUNTS_MAX:
            self._bindings.clear()
        return self._activity.setdefault(account_id, Activity())


def scopes_of(user_id: UUID, account_id: UUID, strategy_id: str | None) -> list[str]:
    """The levels above an order, the widest first. A strategy has two: for all who run it, and for this user."""
    scopes = [PLATFORM, TENANT, f"user:{user_id}", f"account:{account_id}"]
    return [*scopes, f"strategy:{strategy_id}", f"strategy:{strategy_id}@{user_id}"] if strategy_id else scopes


def hold_of(account_id: UUID, strategy_id: str) -> str:
    """The kill switch of a strategy or an algorithm above its own orders, on while it is paused. Nobody else's."""
    return f"{HELD}{strategy_id}@{account_id}"


def binding_of(states: Mapping[str, GuardState]) -> Binding:
    """What the levels amount to. The versions only grow, so their sum tells one state of the limits from another."""
    levels = [SetLimits.model_validate(limits) for state in states.values() for limits in state.limits.values()]
    guards = tuple(Guard(scope, state.version) for scope, state in states.items())
    return Binding(merged(levels, sum(guard.version for guard in guards)), guards)


def judge(facts: RiskContext, rules: Sequence[Rule] = AT_COMMIT) -> Approved:
    """Raises the problem of the first broken rule; it leaves the event."""
    verdict = evaluate(facts, rules)
    if isinstance(verdict, Denied):
        raise problem_of(facts, verdict)
    return verdict


async def decide_judged(
    context: RequestContext, propose: Callable[[], Awaitable[Proposal[Result]]], judged: Sequence[RiskContext]
) -> Result:
    """Commit orders that were approved; the proposal names guards and maxima. Raises what the commit refuses as the
    problem of the rule that it asked. With GuardFailed the limits are forgotten: judge again.
    """
    risk = Risk.of(context.runtime)
    try:
        result = await context.decide(propose)
    except (GuardFailed, InsufficientFunds, QuotaExceeded) as refusal:
        account_id = judged[0].order.account_id
        risk.forget_limits(account_id)
        context.runtime.references.forget_account(context.tenant_id, account_id)
        if isinstance(refusal, GuardFailed) and not refusal.halted:
            raise
        raise _told_by_commit(judged, refusal) from refusal
    for facts in judged:
        risk.count(facts, context.runtime.clock.monotonic())
    return result


async def with_fresh_limits(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Judge and commit once more where a level was changed in between: who changes limits disturbs no orders."""
    try:
        return await attempt()
    except GuardFailed:
        return await attempt()


def problem_of(facts: RiskContext, denied: Denied) -> ProblemError:
    """The refusal as the client sees it, with the event that it leaves where it is final."""
    order = facts.order
    event = RiskDenied(
        user_id=facts.user_id,
        account_id=order.account_id,
        order_id=facts.modifies,
        instrument=order.instrument,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        price=order.price,
        strategy_id=order.strategy_id,
        limits_version=facts.limits.version,
        code=denied.code,
        reason=denied.reason,
        field=denied.field,
    )
    status, code = STATUS.get(denied.code, (422, denied.code))
    return ProblemError(status, code, denied.reason, [(denied.field, denied.reason)], witness=event)


def _told_by_commit(judged: Sequence[RiskContext], refusal: Refused) -> ProblemError:
    """The rule that the commit asked, in its own words, on the figures that the commit saw."""
    for facts in judged:
        code, seen = _as_seen(facts, refusal)
        denied = next(rule for rule in discovered() if rule.code == code)(seen)
        if denied:
            return problem_of(facts, denied)
    return problem_of(judged[0], Denied(code, str(refusal), "quantity"))


def _as_seen(facts: RiskContext, refusal: Refused) -> tuple[str, RiskContext]:
    match refusal:
        case GuardFailed():
            return "kill_switch", replace(facts, halted=(refusal.scope,))
        case InsufficientFunds():
            return "buying_power", replace(facts, available={refusal.asset: refusal.available})
        case QuotaExceeded() if refusal.change.name == OPEN_ORDERS:
            return "open_orders", replace(facts, open_orders=int(refusal.used))
        case QuotaExceeded():
            return "position_notional", replace(facts, side_quantity=refusal.used)
        case _:
            raise refusal


async def _with_what_is_asked(facts: RiskContext, context: RequestContext) -> RiskContext:
    """Adds what only some orders are judged on."""
    limits, order = facts.limits, facts.order
    asked: dict[str, Any] = {}
    if order.reduce_only or limits.need_position:
        asked["position_quantity"] = await _position(context, order)
    if limits.verified_only:
        asked |= await _compliance(facts, context)
    if limits.need_standing:
        asked["standing"] = await Standings.of(context.runtime).standing(context, order.account_id)
    if limits.prevent_self_trade:
        asked["best_opposite"] = await _best_opposite(context, order)
    return replace(facts, **asked) if asked else facts


async def _leverage(instrument: Instrument, context: RequestContext, account_id: UUID) -> int | None:
    account = await context.account(account_id)
    return leverage_of(account["leverages"], instrument, context.runtime.settings.default_leverage)


async def _compliance(facts: RiskContext, context: RequestContext) -> dict[str, Any]:
    account = await context.account(facts.order.account_id)
    users = await context.find("users", {"id": facts.user_id}, limit=1)
    status = users[0]["compliance_status"] if users else None
    return {"account_mode": account["mode"], "compliance": status or "unverified"}


async def _position(context: RequestContext, order: CreateOrder) -> Decimal:
    loaded = await context.load(POSITION, position_id(order.account_id, order.instrument))
    return loaded.state.quantity if isinstance(loaded.state, Position) else Decimal(0)


async def _best_opposite(context: RequestContext, order: CreateOrder) -> Decimal | None:
    """The account's own price that the order would meet first."""
    where = {"account_id": order.account_id, "status": list(OPEN), "instrument": order.instrument}
    rows = await context.find("orders", where, limit=10_000)
    prices = [row["price"] or row["stop_price"] for row in rows if row["side"] != order.side]
    known = [price for price in prices if price]
    return (min(known) if order.side == "buy" else max(known)) if known else None


async def _reference(instrument: str, context: RequestContext) -> ReferencePrice | None:
    """Without an answer from where prices lie nobody can say what the order costs."""
    try:
        async with asyncio.timeout(context.runtime.settings.call_timeout_seconds):
            price = await context.price(instrument)
    except Exception as error:  # in whatever way it fails: the order is refused
        raise ProblemError(503, "risk_unavailable", "no price can be read now; nothing was sent") from error
    if price is None:
        return None
    return ReferencePrice(price.bid, price.ask, price.last, price.as_of, price.mark, price.stale)
