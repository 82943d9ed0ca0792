"""`decide`: load, decide, commit; who loses the race decides again on the newest state, at most five times."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.runtime.aggregates import ACCOUNT, USER
from patriot.runtime.context import DECIDE_ATTEMPTS_MAX, INTERNAL, SIGNED_IN, RequestContext
from patriot.runtime.decision import Change, Loaded, Proposal
from patriot.runtime.edge import system_context, user_context
from patriot.runtime.embedded import Host
from patriot.runtime.problem import ProblemError
from patriot.security.errors import PermissionDenied
from patriot.store.api import Append, Commit, InsufficientFunds, NewEvent, Query, StoreUnavailable, VersionConflict
from patriot.store.memory import MemoryStore
from schemas.events import (
    AccountFunded,
    AccountLinked,
    Hold,
    OrderAccepted,
    Posting,
    UserProfileChanged,
    UserRegistered,
)
from tests.support.host import PERPETUAL, TENANT, define, running_host, set_price, until_idle

USER_ID, ACCOUNT_ID = UUID(int=2), UUID(int=3)


class Racing(MemoryStore):
    """Before each of the next `races` commits somebody else appends first; `failures` are raised instead."""

    def __init__(self) -> None:
        super().__init__()
        self.races = 0
        self.failures: list[Exception] = []
        self.attempts = 0

    async def commit(self, commit: Commit) -> Any:
        if commit.appends:
            self.attempts += 1
            if self.failures:
                raise self.failures.pop(0)
            if self.races:
                self.races -= 1
                first = commit.appends[0]
                raced = first.__class__(first.stream, first.expected_version, [PROFILE])
                await super().commit(Commit(commit.origin, commit.occurred_at, [raced]))
        return await super().commit(commit)


def _profile() -> NewEvent:
    event = UserProfileChanged(user_id=USER_ID, telegram_id=999)
    return NewEvent(event.TYPE, event.SCHEMA, event.model_dump_json().encode())


PROFILE = _profile()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host(Racing()) as running:
        yield running


@pytest.fixture
def store(host: Host) -> Racing:
    assert isinstance(host.runtime.store, Racing)
    return host.runtime.store


@pytest.fixture
async def context(host: Host) -> RequestContext:
    made = system_context(host.runtime, "user-commands", TENANT)
    await made.decide(lambda: register(made))
    return made


async def register(context: RequestContext) -> Proposal[str]:
    loaded = await context.load(USER, USER_ID)
    return Proposal([Change(loaded, [UserRegistered(user_id=USER_ID, username="ada", role="user")])], "registered")


async def change(context: RequestContext, seen: list[int] | None = None) -> Proposal[int]:
    loaded = await context.load(USER, USER_ID)
    if seen is not None:
        seen.append(loaded.version)
    event = UserProfileChanged(user_id=USER_ID, telegram_id=loaded.version)
    return Proposal([Change(loaded, [event])], loaded.version + 1)


@pytest.mark.requirement("P2")
@pytest.mark.parametrize("races", range(DECIDE_ATTEMPTS_MAX))
async def test_loser_of_a_race_decides_again_on_the_newest_state(context: RequestContext, store: Racing, races: int):
    store.races, seen = races, list[int]()
    assert await context.decide(lambda: change(context, seen)) == races + 2
    assert seen == list(range(1, races + 2))
    assert len(await store.load((await context.load(USER, USER_ID)).stream)) == races + 2


async def test_what_another_process_wrote_is_read_where_there_are_others(context: RequestContext, store: Racing):
    stream = (await context.load(USER, USER_ID)).stream
    await store.commit(Commit(context.origin, context.now(), [Append(stream, 1, [PROFILE])]))
    assert (await context.load(USER, USER_ID)).version == 1
    context.runtime.states.alone = False
    assert (await context.load(USER, USER_ID)).version == 2


async def test_loser_of_five_races_gives_up(context: RequestContext, store: Racing):
    store.races, store.attempts = DECIDE_ATTEMPTS_MAX, 0
    with pytest.raises(VersionConflict):
        await context.decide(lambda: change(context))
    assert store.attempts == DECIDE_ATTEMPTS_MAX
    assert (await context.load(USER, USER_ID)).version == 1 + DECIDE_ATTEMPTS_MAX, "the others' events, none of ours"


@pytest.mark.parametrize(
    "error", [StoreUnavailable("down"), InsufficientFunds(ACCOUNT_ID, "USDT", Decimal(1), Decimal(2))]
)
async def test_other_refusals_are_not_tried_again(context: RequestContext, store: Racing, error: Exception):
    store.failures, store.attempts = [error], 0
    with pytest.raises(type(error)):
        await context.decide(lambda: change(context))
    assert store.attempts == 1
    assert (await context.load(USER, USER_ID)).version == 1, "what failed must not stay in the cache"
    assert await context.decide(lambda: change(context)) == 2


async def test_refusal_of_the_decision_itself_writes_nothing(context: RequestContext, store: Racing):
    async def refuse() -> Proposal[None]:
        raise ProblemError(409, "no", "not now")

    store.attempts = 0
    with pytest.raises(ProblemError):
        await context.decide(refuse)
    assert store.attempts == 0


async def test_concurrent_decisions_lose_no_event(context: RequestContext):
    await asyncio.gather(*(context.decide(lambda: change(context)) for _ in range(5)))
    loaded = await context.load(USER, USER_ID)
    assert loaded.version == 6


async def test_cached_state_equals_the_folded_one(context: RequestContext, host: Host):
    await context.decide(lambda: change(context))
    cached = await context.load(USER, USER_ID)
    host.runtime.states.drop(cached.stream)
    assert await context.load(USER, USER_ID) == cached


async def test_missing_aggregate_is_version_zero_and_not_cached(context: RequestContext, host: Host):
    loaded = await context.load(USER, UUID(int=77))
    assert (loaded.version, loaded.state) == (0, None)
    assert host.runtime.states.get(loaded.stream) is None
    assert context.new(USER, UUID(int=77)) == loaded


async def test_money_event_moves_balances_and_ledger_in_its_commit(context: RequestContext, store: Racing):
    def linked(loaded: Loaded[Any]) -> Change:
        link = AccountLinked(account_id=ACCOUNT_ID, user_id=USER_ID, exchange="BINANCE", mode="paper", label="main")
        fund = AccountFunded(
            account_id=ACCOUNT_ID,
            user_id=USER_ID,
            asset="USDT",
            amount=Decimal(10),
            source="paper",
            postings=(
                Posting(ledger="cash", asset="USDT", amount=Decimal(10)),
                Posting(ledger="external", asset="USDT", amount=Decimal(-10)),
            ),
            holds=(Hold(asset="USDT", reserved=Decimal(4)),),
        )
        return Change(loaded, [link, fund])

    async def propose() -> Proposal[None]:
        return Proposal([linked(await context.load(ACCOUNT, ACCOUNT_ID))], None)

    await context.decide(propose)
    (balance,) = await store.find(Query("buying_power", TENANT, {"account_id": ACCOUNT_ID}))
    assert (str(balance["total"]), str(balance["reserved"])) == ("10", "4")
    lines = await store.find(Query("ledger_entries", TENANT, {}, ["entry_no"]))
    assert sum(line["amount"] for line in lines) == 0
    assert {line["posting_id"] for line in lines} == {uuid5(ACCOUNT_ID, "2")}
    recorded = await store.load((await context.load(ACCOUNT, ACCOUNT_ID)).stream)
    assert {line["posted_at"] for line in lines} == {recorded[1].occurred_at}


async def test_anonymous_caller_is_asked_for_a_token_and_user_for_a_permission(host: Host):
    system = system_context(host.runtime, "auth")
    for permission in ("orders:create", SIGNED_IN):
        with pytest.raises(ProblemError) as refusal:
            system.require(permission)
        assert refusal.value.status == 401
    user = user_context(host.runtime, "auth", TENANT, USER_ID)
    user.require("orders:create")
    user.require(SIGNED_IN)
    for permission in ("users:manage", INTERNAL):
        with pytest.raises((ProblemError, PermissionDenied)):
            user.require(permission)
    user.caller = "order-commands"
    user.require(INTERNAL)


async def test_fresh_context_has_an_id_of_its_own(host: Host):
    user = user_context(host.runtime, "strategies", TENANT, USER_ID)
    fresh = user.fresh()
    assert fresh.origin.correlation_id != user.origin.correlation_id
    assert (fresh.identity, fresh.tenant_id, fresh.origin.actor) == (user.identity, TENANT, user.origin.actor)


async def test_missing_references_are_problems(host: Host):
    user = user_context(host.runtime, "order-commands", TENANT, USER_ID)
    with pytest.raises(ProblemError) as missing:
        await user.own_account(ACCOUNT_ID)
    assert missing.value.status == 404
    with pytest.raises(ProblemError) as unknown:
        await user.instrument(PERPETUAL.id)
    assert (unknown.value.status, unknown.value.errors[0][0]) == (422, "instrument")
    assert await user.price(PERPETUAL.id) is None
    await define(host.runtime.store, PERPETUAL)
    await set_price(host, PERPETUAL.id, "1", "2")
    assert await user.instrument(PERPETUAL.id) == PERPETUAL
    price = await user.price(PERPETUAL.id)
    assert price is not None
    assert price.ask == 2


async def test_decision_publishes_what_it_committed(context: RequestContext, host: Host):
    await until_idle(host)
    assert await host.runtime.store.outbox_depth() == 0


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_survives_an_event(moment: datetime):
    event = OrderAccepted(account_id=TENANT, order_id=TENANT, user_id=TENANT, venue_order_id="1", venue_time=moment)
    assert OrderAccepted.model_validate_json(event.model_dump_json()) == event
