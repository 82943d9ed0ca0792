"""Bugs that a platform like this one is known to have, to be planted one at a time. Rule: the simulation finds each.

Each entry replaces one small thing of the platform; its name says what is wrong then.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from msgspec import structs

from feeds.strategies.instance import Instance
from feeds.strategies.runner import Runner
from feeds.trading_engine import desk
from functions.account_commands import app as account_commands
from functions.order_commands import closing, placing
from functions.order_execution import app as order_execution
from functions.order_lifecycle import app as order_lifecycle
from functions.portfolio_projection import app as portfolio_projection
from patriot.domain import order_lists, order_reports, reporting
from patriot.domain.algorithm import Algorithm
from patriot.domain.deployment import Deployment
from patriot.domain.money import ZERO
from patriot.domain.order_commands import ids, release
from patriot.domain.venue import NotFound, Unknown
from patriot.runtime.aggregates import ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Decision
from patriot.runtime.embedded import Host
from patriot.runtime.reference import References
from patriot.runtime.states import StateCache
from patriot.store.api import Commit, VersionConflict
from patriot.store.memory import MemoryStore
from patriot.store.plan import Plan
from schemas.events import OrderCancelled, OrderFilled, OrderModified
from tests.simulation.robots import Kind

Bug = Callable[[], AbstractContextManager[object]]

BUGS: Final[dict[str, tuple[Bug, Kind]]] = {}


def bug(function: Callable[[], Iterator[None]], kind: Kind = "clients") -> Bug:
    """To be found by seeds of this kind."""
    planted = contextmanager(function)
    BUGS[function.__name__] = (planted, kind)
    return planted


bug_of_algorithms = partial(bug, kind="algorithms")
bug_of_strategies = partial(bug, kind="strategies")


# --- sending ---
@bug
def redelivery_sends_again() -> Iterator[None]:
    start = order_execution._start

    async def always(order_id: Any, context: Any) -> Any:
        return (await start(order_id, context))[0], True

    with patch.object(order_execution, "_start", always):
        yield


@bug
def sent_before_that_is_durable() -> Iterator[None]:
    async def at_once(order_id: Any, context: Any) -> Any:
        return await order_execution._order(order_id, context), True

    with patch.object(order_execution, "_start", at_once):
        yield


class _Insisting:
    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def create(self, order: Any) -> Any:
        outcome = await self._adapter.create(order)
        return await self._adapter.create(order) if isinstance(outcome, Unknown) else outcome


@bug
def no_answer_is_sent_again() -> Iterator[None]:
    opened = order_execution._opened

    async def insisting(order: Any, context: Any) -> Any:
        return _Insisting(await opened(order, context))

    with patch.object(order_execution, "_opened", insisting):
        yield


# --- believing ---
@bug
def no_answer_means_rejected() -> Iterator[None]:
    of_query = reporting.of_query

    def guessing(order: Any, answer: Any, now: Any) -> Any:
        unproved = isinstance(answer, Unknown | NotFound)
        return [reporting.report(order, "rejected", "query")] if unproved else of_query(order, answer, now)

    with patch.object(reporting, "of_query", guessing):
        yield


@bug
def cancelled_as_soon_as_asked() -> Iterator[None]:
    request = closing.request_cancel

    def believing(order: Any, *reason: Any) -> Any:
        events = request(order, *reason)
        return [*events, OrderCancelled(**ids(order), holds=release(order))] if len(events) == 1 else events

    with patch.object(closing, "request_cancel", believing):
        yield


@bug
def refused_cancel_means_cancelled() -> Iterator[None]:
    of_request = reporting.of_request

    def believing(order: Any, request: Any, outcome: Any, answer: Any) -> Any:
        return (
            [reporting.report(order, "cancelled", "command")]
            if request == "cancel"
            else of_request(order, request, outcome, answer)
        )

    with patch.object(reporting, "of_request", believing):
        yield


@bug
def modified_as_soon_as_asked() -> Iterator[None]:
    request = placing.request_modify

    def believing(order: Any, command: Any, **more: Any) -> Any:
        events = request(order, command, **more)
        if len(events) != 1:
            return events
        return [*events, OrderModified(**ids(order), quantity=events[0].quantity, price=events[0].price)]

    with patch.object(placing, "request_modify", believing):
        yield


@bug
def first_fill_ends_the_order() -> Iterator[None]:
    with patch.object(order_reports, "OrderPartiallyFilled", OrderFilled):
        yield


# --- booking ---
def _fills(change: Callable[[Any, Any], Any]) -> AbstractContextManager[object]:
    fill = order_reports._OUTCOMES["fill"]
    return patch.dict(order_reports._OUTCOMES, {"fill": lambda order, report: change(fill, order)(report)})


@bug
def fill_is_booked_each_time_it_is_told() -> Iterator[None]:
    with _fills(lambda fill, order: lambda report: fill(structs.replace(order, trade_ids=frozenset()), report)):
        yield


@bug
def fill_after_the_end_is_ignored() -> Iterator[None]:
    with _fills(lambda fill, order: lambda report: [] if order.ended else fill(order, report)):
        yield


@bug
def reservation_is_kept_for_ever() -> Iterator[None]:
    with patch.object(order_reports, "release", lambda _: ()):
        yield


def _positions(change: Callable[..., Any]) -> AbstractContextManager[object]:
    apply_fill = order_lifecycle.apply_fill
    return patch.object(
        order_lifecycle, "apply_fill", lambda position, fill, **more: change(apply_fill, position, fill, **more)
    )


@bug
def money_is_a_float() -> Iterator[None]:
    def floating(apply_fill: Any, position: Any, fill: Any, **more: Any) -> Any:
        fee = Decimal(str(float(fill.fee) * 1.1 / 1.1 + 0.1 - 0.1))
        return apply_fill(position, fill.model_copy(update={"fee": fee}), **more)

    with _positions(floating):
        yield


@bug
def sells_are_bought() -> Iterator[None]:
    with _positions(lambda apply_fill, position, fill, **more: apply_fill(position, fill, **{**more, "side": "buy"})):
        yield


@bug
def fee_is_posted_on_one_side() -> Iterator[None]:
    def halved(apply_fill: Any, position: Any, fill: Any, **more: Any) -> Any:
        update = apply_fill(position, fill, **more)
        return update.model_copy(update={"postings": update.postings[:-1]})

    with _positions(halved), patch("patriot.runtime.decision.entries_of", lambda event: event.postings and ()):
        yield


# --- keeping ---
@bug
def acknowledged_before_it_is_durable() -> Iterator[None]:
    decide = RequestContext.decide

    async def hasty(self: RequestContext, propose: Any, turn: Any = None) -> Any:
        if self.service not in {"gateway", "order-commands"}:
            return await decide(self, propose, turn)
        proposal = await propose()

        async def same() -> Any:
            return proposal

        self.runtime.spawn(_written(decide(self, same, turn)), "later")
        return proposal.result

    with patch.object(RequestContext, "decide", hasty):
        yield


async def _written(job: Any) -> None:
    with contextlib.suppress(Exception):
        await job


@bug
def idempotency_key_is_forgotten() -> Iterator[None]:
    with patch.object(RequestContext, "_record_of", lambda *_: None):
        yield


@bug
def versions_are_not_checked() -> Iterator[None]:
    def careless(self: Plan, commit: Commit) -> Any:
        keys = {(one.stream.tenant_id.int, one.stream.id.int): one for one in commit.appends if one.events}
        return {key: one.expected_version + len(one.events) for key, one in keys.items()}, [0] * len(keys)

    with patch.object(Plan, "_heads_after", careless):
        yield


@bug
def lost_race_counts_as_won() -> Iterator[None]:
    decide = RequestContext._decided

    async def careless(self: RequestContext, *arguments: Any) -> Any:
        decision = await decide(self, *arguments)
        if decision.recorded is None:
            return decision

        async def recorded() -> Any:
            try:
                return await decision.recorded  # type: ignore[misc]
            except VersionConflict:
                return ()

        return Decision(decision.proposal, decision.after, recorded())

    with patch.object(RequestContext, "_decided", careless):
        yield


@bug
def known_state_is_never_renewed() -> Iterator[None]:
    put = StateCache.put

    def once(self: StateCache, stream: Any, version: int, state: object) -> None:
        if self.get(stream) is None:
            put(self, stream, version, state)

    with patch.object(StateCache, "put", once):
        yield


# --- telling ---
@bug
def failed_delivery_is_acknowledged() -> Iterator[None]:
    deliver = Host._deliver

    async def polite(self: Host, *message: Any) -> Any:
        await deliver(self, *message)
        return "SUCCESS"

    with patch.object(Host, "_deliver", polite):
        yield


@bug
def outbox_is_not_written() -> Iterator[None]:
    append = MemoryStore._append

    def silent(self: MemoryStore, commit: Commit) -> Any:
        return append(self, structs.replace(commit, publish=False))

    with patch.object(MemoryStore, "_append", silent):
        yield


@bug
def relay_sweeps_nothing() -> Iterator[None]:
    async def nothing(*_: Any, **__: Any) -> Any:
        return ()

    with patch.object(MemoryStore, "unpublished", nothing):
        yield


@bug
def newest_row_is_not_written() -> Iterator[None]:
    def late(version: int, context: Any) -> bool:
        return context.event is not None and context.event.streamversion > version

    with patch.object(portfolio_projection, "_newest", late):
        yield


# --- leverage ---
@bug
def orders_are_made_with_a_leverage_that_is_no_longer_chosen() -> Iterator[None]:
    with patch.object(References, "forget_account", lambda *_: None):
        yield


@bug
def leverage_changes_under_open_orders() -> Iterator[None]:
    with patch.object(account_commands, "in_use", lambda _: ()):
        yield


# --- trading by itself ---
@bug
def all_slices_of_an_iceberg_are_shown() -> Iterator[None]:
    with patch.object(order_lists, "_goes_on", lambda *_: True):
        yield


@bug
def report_is_known_by_a_state_that_may_yet_fail() -> Iterator[None]:
    load = RequestContext.load

    async def hasty(self: Any, aggregate: Any, stream_id: Any, *, in_turn: bool = False) -> Any:
        early = aggregate is ORDER and self.service == order_lifecycle.function.name
        return await load(self, aggregate, stream_id, in_turn=in_turn or early)

    with patch.object(RequestContext, "load", hasty):
        yield


@bug_of_algorithms
def pause_does_not_hold_what_was_told() -> Iterator[None]:
    with patch.object(Algorithm, "held", property(lambda _: False)):
        yield


@bug_of_algorithms
def child_is_counted_before_its_last_fills() -> Iterator[None]:
    async def hasty(*_: Any) -> bool:
        return True

    with patch.object(desk, "_all_fills_told", hasty):
        yield


@bug_of_algorithms
def fills_of_children_are_not_counted() -> Iterator[None]:
    count_child = desk.count_child

    def forgetful(state: Any, order: Any, *refusal: str) -> Any:
        return count_child(state, order and structs.replace(order, filled_quantity=ZERO, filled_value=ZERO), *refusal)

    with patch.object(desk, "count_child", forgetful):
        yield


@bug_of_strategies
def pause_of_a_strategy_does_not_hold_what_is_on_its_way() -> Iterator[None]:
    with patch.object(Deployment, "held", property(lambda _: frozenset())):
        yield


@bug_of_strategies
def strategy_forgets_its_orders_in_a_crash() -> Iterator[None]:
    async def forgetful(_: Instance) -> None:
        return

    with patch.object(Instance, "take_over", forgetful):
        yield


@bug_of_strategies
def strategy_decides_after_the_end_and_before_the_position() -> Iterator[None]:
    async def hasty(self: Instance, order_id: Any) -> None:
        self.runner.on_order_end(order_id)

    with patch.object(Instance, "on_order_end", hasty):
        yield


@bug_of_strategies
def strategy_takes_an_older_position_for_the_newest() -> Iterator[None]:
    def believing(self: Runner, quantity: Any, instrument: str, _version: int) -> None:
        self.strategy.on_position(quantity, instrument)

    with patch.object(Runner, "on_position", believing):
        yield
