"""The store's contract. Every implementation passes every test: in memory and on PostgreSQL."""

import asyncio
import json
import random
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import pytest

from patriot.domain.errors import InvalidValue
from patriot.store.api import (
    PUBLIC_TENANT,
    AlreadyProcessed,
    Append,
    BalanceChange,
    DuplicateRequest,
    Guard,
    GuardChange,
    GuardFailed,
    Inbox,
    InsufficientFunds,
    Lease,
    LeaseCheck,
    LeaseLost,
    NewEvent,
    Query,
    QuotaExceeded,
    Refused,
    Row,
    Snapshot,
    Store,
    StreamId,
    Ticket,
    VersionConflict,
)
from tests.store_samples import (
    ACCOUNT,
    NOW,
    OTHER_TENANT,
    TENANT,
    USER,
    answer,
    append,
    commit,
    deposit,
    events,
    origin,
    quota,
    raise_guard,
    reservation,
    stream,
)

AFTERWARDS = NOW + timedelta(seconds=1)


async def balance(store: Store, asset: str = "USDT", tenant: UUID = TENANT) -> tuple[Decimal, Decimal, Decimal]:
    (row,) = await store.find(Query("buying_power", tenant, {"account_id": ACCOUNT, "asset": asset}))
    return row["total"], row["reserved"], row["margin"]


# Events


async def test_stream_of_another_kind_under_the_same_id_is_empty(store: Store):
    to = stream()
    await store.commit(append(to, 0, 2))
    assert await store.load(to._replace(kind="account")) == []


@pytest.mark.requirement("P2")
async def test_commit_returns_the_events_as_load_gives_them(store: Store):
    to = stream()
    recorded = await store.commit(append(to, 0, 2))
    loaded = await store.load(to)
    assert [event.version for event in loaded] == [1, 2]
    assert [event.id for event in recorded] == [f"{to.id}:1", f"{to.id}:2"]
    for given, kept in zip(recorded, loaded, strict=True):
        assert json.loads(given.data) == json.loads(kept.data) == {"quantity": "0.25"}
        assert (given.stream, given.version, given.type, given.schema_version, given.occurred_at, given.position) == (
            kept.stream, kept.version, kept.type, kept.schema_version, kept.occurred_at, kept.position,
        )  # fmt: skip
        assert given.origin == kept.origin == origin()


async def test_load_leaves_out_what_the_caller_has(store: Store):
    to = stream()
    await store.commit(append(to, 0, 3))
    assert [event.version for event in await store.load(to, after_version=2)] == [3]
    assert await store.load(to, after_version=3) == []
    assert await store.load(stream()) == []


async def test_commit_appends_to_several_streams_whole_or_not_at_all(store: Store):
    order, position, taken = stream(), stream("position"), stream()
    await store.commit(append(taken))
    both = [Append(order, 0, events()), Append(position, 0, events(2, "position.changed"))]
    recorded = await store.commit(commit(appends=both))
    assert [(event.stream, event.version) for event in recorded] == [(order, 1), (position, 1), (position, 2)]
    late = stream()
    with pytest.raises(VersionConflict):
        await store.commit(commit(appends=[Append(late, 0, events()), Append(taken, 0, events())]))
    assert await store.load(late) == []


async def test_commit_may_append_twice_to_one_stream(store: Store):
    to = stream()
    await store.commit(commit(appends=[Append(to, 0, events()), Append(to, 1, events())]))
    with pytest.raises(VersionConflict):
        await store.commit(commit(appends=[Append(to, 2, events()), Append(to, 2, events())]))
    assert len(await store.load(to)) == 2


@pytest.mark.requirement("P2")
@pytest.mark.parametrize("expected", [0, 1, 3, 7])
async def test_commit_refuses_any_version_but_the_newest(store: Store, expected: int):
    to = stream()
    await store.commit(append(to, 0, 2))
    with pytest.raises(VersionConflict) as refused:
        await store.commit(append(to, expected))
    assert (refused.value.stream, refused.value.expected_version) == (to, expected)
    assert len(await store.load(to)) == 2


@pytest.mark.requirement("P2")
async def test_commit_on_top_of_a_refused_one_is_refused_though_its_version_fits(store: Store):
    """Another process took the version that the first wanted: the second knows a state that never was."""
    to, first = stream(), Ticket()
    await store.commit(append(to))
    await store.commit(append(to, 1))
    late, on_top = (
        store.commit(append(to, 1, ticket=first)),
        store.commit(append(to, 2, ticket=Ticket(), builds_on=[first])),
    )
    outcomes = await asyncio.gather(late, on_top, return_exceptions=True)
    assert [type(one) for one in outcomes] == [VersionConflict, VersionConflict]
    assert len(await store.load(to)) == 2


async def test_commit_on_top_of_one_that_is_on_its_way_follows_it(store: Store):
    to, first = stream(), Ticket()
    both = (append(to, ticket=first), append(to, 1, ticket=Ticket(), builds_on=[first]))
    await asyncio.gather(*map(store.commit, both))
    assert first.durable
    await store.commit(append(to, 2, builds_on=[first]))
    assert len(await store.load(to)) == 3


async def test_commit_refuses_a_gap_in_a_new_stream(store: Store):
    with pytest.raises(VersionConflict):
        await store.commit(append(stream(), 1))


@pytest.mark.requirement("P2", "A5")
async def test_concurrent_appends_let_exactly_one_win_each_version(store: Store):
    to = stream()
    for version in range(5):
        attempts = [store.commit(append(to, version)) for _ in range(20)]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        assert sum(isinstance(result, VersionConflict) for result in results) == 19
        assert sum(isinstance(result, list) for result in results) == 1
    assert [event.version for event in await store.load(to)] == [1, 2, 3, 4, 5]


async def test_concurrent_appends_may_build_on_each_other(store: Store):
    to = stream()
    await asyncio.gather(*(store.commit(append(to, version)) for version in range(10)))
    assert len(await store.load(to)) == 10


async def test_losers_do_not_take_their_neighbours_along(store: Store):
    taken = stream()
    await store.commit(append(taken))
    commits = [append(taken if number % 3 == 0 else stream()) for number in range(30)]
    results = await asyncio.gather(*map(store.commit, commits), return_exceptions=True)
    assert [isinstance(result, VersionConflict) for result in results] == [number % 3 == 0 for number in range(30)]


async def test_a_winner_that_is_refused_leaves_its_place_to_the_next(store: Store):
    to = stream()
    poor = append(to, 0, balances=[reservation("1")])
    results = await asyncio.gather(store.commit(poor), store.commit(append(to)), return_exceptions=True)
    assert isinstance(results[0], InsufficientFunds)
    assert [event.version for event in await store.load(to)] == [1]


async def test_read_gives_everything_in_order_of_position(store: Store):
    orders = [stream() for _ in range(7)]
    for to in orders:
        await store.commit(append(to, 0, 2))
    await store.commit(append(stream("position", OTHER_TENANT)))
    found = [event async for event in store.read(limit=4)]
    assert [event.position for event in found] == sorted({event.position for event in found})
    assert [event.stream for event in found if event.stream.kind == "order"] == [to for to in orders for _ in range(2)]
    assert len(found) == 15
    assert [event.stream.kind for event in found][-1] == "position"
    assert [event async for event in store.read(found[4].position)] == found[5:]
    assert [event async for event in store.read(kinds=["position"])] == found[-1:]


@pytest.mark.requirement("A5")
async def test_commit_refuses_a_stream_of_another_tenant(store: Store):
    with pytest.raises(InvalidValue, match="tenant_id"):
        await store.commit(commit(appends=[Append(stream(tenant=OTHER_TENANT), 0, events())]))


async def test_commit_refuses_text_that_no_database_can_hold(store: Store):
    bad = NewEvent("order.created", 1, b'{"note": "\\u0000"}')
    with pytest.raises(InvalidValue, match="NUL"):
        await store.commit(commit(appends=[Append(stream(), 0, [bad])]))


# Idempotency and inbox


@pytest.mark.requirement("A5", "P8")
async def test_a_repeated_request_is_answered_with_the_first_answer(store: Store):
    first = append(stream(), idempotency=answer())
    await store.commit(first)
    with pytest.raises(DuplicateRequest) as refused:
        await store.commit(append(stream(), idempotency=answer(response=b"another")))
    assert refused.value.record == answer()
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-1") == answer()
    with pytest.raises(DuplicateRequest):  # though its stream exists too
        await store.commit(first)


@pytest.mark.requirement("A5", "P8")
async def test_a_repeated_request_is_recognised_though_it_could_not_be_made_again(store: Store):
    scope = f"account:{ACCOUNT}"
    request = append(
        stream(),
        balances=[deposit("5"), reservation("5"), BalanceChange(ACCOUNT, "USDT", required=Decimal(0))],
        guards=[Guard(scope, 0)],
        idempotency=answer(),
    )
    spent = append(stream(), balances=[reservation("5")], inbox=Inbox("c", "e"))
    await store.commit(commit(balances=[deposit("5")]))
    await store.commit(spent)
    await store.commit(request)
    await raise_guard(store, origin(), scope, halted=True)
    with pytest.raises(DuplicateRequest):  # not GuardFailed, not VersionConflict
        await store.commit(request)
    with pytest.raises(AlreadyProcessed):  # not InsufficientFunds
        await store.commit(spent)


@pytest.mark.requirement("A5")
async def test_an_idempotency_key_belongs_to_tenant_user_and_route(store: Store):
    await store.commit(commit(idempotency=answer()))
    await store.commit(commit(origin(OTHER_TENANT), idempotency=answer()))
    assert await store.find_answer(TENANT, UUID(int=9), "POST /orders", "key-1") is None
    assert await store.find_answer(TENANT, USER, "DELETE /orders", "key-1") is None
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-2") is None


@pytest.mark.requirement("A5")
async def test_concurrent_requests_with_one_key_have_one_winner(store: Store):
    streams = [stream() for _ in range(20)]
    attempts = [store.commit(append(to, idempotency=answer(response=str(to.id).encode()))) for to in streams]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    refusals = [result for result in results if isinstance(result, DuplicateRequest)]
    assert len(refusals) == 19
    (winner,) = [to for to in streams if await store.load(to)]
    assert {refusal.record.response for refusal in refusals} == {str(winner.id).encode()}


async def test_a_refused_commit_leaves_its_idempotency_key_free(store: Store):
    with pytest.raises(InsufficientFunds):
        await store.commit(commit(balances=[reservation("1")], idempotency=answer()))
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-1") is None
    await store.commit(commit(idempotency=answer()))


async def test_an_idempotency_key_is_free_again_after_a_day(store: Store):
    await store.commit(commit(idempotency=answer()))
    later = NOW + timedelta(hours=24)
    with pytest.raises(DuplicateRequest):
        await store.commit(commit(idempotency=answer(), occurred_at=later - timedelta(seconds=1)))
    await store.commit(commit(idempotency=answer(response=b"new"), occurred_at=later))
    with pytest.raises(DuplicateRequest) as refused:
        await store.commit(commit(idempotency=answer(), occurred_at=later))
    assert refused.value.record.response == b"new"


@pytest.mark.requirement("A5")
async def test_the_inbox_lets_each_event_take_effect_once_per_consumer(store: Store):
    chosen = random.Random(12)
    deliveries = [f"event-{number}" for number in range(40) for _ in range(chosen.randint(1, 5))]
    chosen.shuffle(deliveries)
    attempts = [
        store.commit(append(stream(), inbox=Inbox("portfolio", event), balances=[deposit("1")])) for event in deliveries
    ]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, AlreadyProcessed) for result in results) == len(deliveries) - 40
    assert await balance(store) == (40, 0, 0)
    await store.commit(commit(inbox=Inbox("another", "event-1")))


# Balances


@pytest.mark.requirement("P3", "B3")
async def test_a_reservation_needs_enough_available(store: Store):
    await store.commit(commit(balances=[deposit("100")]))
    await store.commit(commit(balances=[reservation("60")]))
    with pytest.raises(InsufficientFunds) as refused:
        await store.commit(append(stream(), balances=[reservation("40.000000000000000001")]))
    assert (refused.value.account_id, refused.value.asset) == (ACCOUNT, "USDT")
    assert (refused.value.available, refused.value.required) == (40, Decimal("40.000000000000000001"))
    await store.commit(commit(balances=[BalanceChange(ACCOUNT, "USDT", reserved=Decimal(-10), margin=Decimal(10))]))
    assert await balance(store) == (100, 50, 10)
    with pytest.raises(InsufficientFunds) as refused:
        await store.commit(commit(balances=[reservation("41")]))
    assert refused.value.available == 40  # what is reserved and what is margin are both taken


@pytest.mark.requirement("B3")
async def test_an_unknown_account_has_nothing(store: Store):
    with pytest.raises(InsufficientFunds):
        await store.commit(commit(balances=[reservation("0.1", "BTC")]))
    await store.commit(commit(balances=[BalanceChange(ACCOUNT, "BTC", required=Decimal(0))]))
    assert await balance(store, "BTC") == (0, 0, 0)


async def test_the_changes_of_a_commit_apply_one_after_the_other(store: Store):
    await store.commit(commit(balances=[deposit("10"), reservation("6"), reservation("4")]))
    with pytest.raises(InsufficientFunds):
        await store.commit(commit(balances=[deposit("1"), reservation("1"), reservation("1")]))
    assert await balance(store) == (10, 10, 0)


@pytest.mark.requirement("B3", "P3")
async def test_a_thousand_concurrent_reservations_never_exceed_what_there_is(store: Store):
    await store.commit(commit(balances=[deposit("100"), deposit("50", "BTC")]))
    chosen = random.Random(3)
    wanted = [(chosen.choice(["USDT", "BTC"]), chosen.randint(1, 9)) for _ in range(1000)]
    attempts = [store.commit(append(stream(), balances=[reservation(str(size), asset)])) for asset, size in wanted]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    for asset, total in (("USDT", 100), ("BTC", 50)):
        taken = sum(
            size for (of, size), result in zip(wanted, results, strict=True) if of == asset and isinstance(result, list)
        )
        assert await balance(store, asset) == (total, taken, 0)
        assert taken == total  # with sizes from 1 on everything is taken
    assert all(isinstance(result, (list, InsufficientFunds)) for result in results)
    assert len([event async for event in store.read()]) == sum(isinstance(result, list) for result in results)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), 0.1, Decimal("1E-19"), Decimal("1E+19")])
async def test_balances_refuse_what_cannot_be_represented(store: Store, value: Decimal):
    with pytest.raises(InvalidValue, match="total"):
        await store.commit(commit(balances=[BalanceChange(ACCOUNT, "USDT", total=value)]))


async def test_a_balance_never_grows_out_of_range(store: Store):
    most = deposit("1000000000000000000")
    await store.commit(commit(balances=[most]))
    with pytest.raises(InvalidValue, match="balance"):
        await store.commit(commit(balances=[deposit("0.000000000000000001")]))
    assert await balance(store) == (Decimal(10) ** 18, 0, 0)


async def test_balances_are_exact_to_the_last_decimal(store: Store):
    for amount in ("999999999999999999", "0.000000000000000001", "0.999999999999999998"):
        await store.commit(commit(balances=[deposit(amount)]))
    assert await balance(store) == (Decimal("999999999999999999.999999999999999999"), 0, 0)


# Guards and leases


@pytest.mark.requirement("B3")
async def test_a_guard_refuses_after_limits_changed_and_while_halted(store: Store):
    scope = f"account:{ACCOUNT}"
    await store.commit(commit(guards=[Guard(scope, 0), Guard("platform", 0)]))
    assert await raise_guard(store, origin(), scope) == 1
    with pytest.raises(GuardFailed) as refused:
        await store.commit(append(stream(), guards=[Guard(scope, 0)]))
    assert (refused.value.scope, refused.value.halted) == (scope, False)
    await store.commit(commit(guards=[Guard(scope, 1)]))
    assert await raise_guard(store, origin(), scope, halted=True) == 2
    with pytest.raises(GuardFailed) as refused:
        await store.commit(commit(guards=[Guard(scope, 2)]))
    assert refused.value.halted
    assert await raise_guard(store, origin(), scope) == 3
    assert await store.guards(TENANT, [scope, "platform"]) == {scope: (3, True, {}), "platform": (0, False, {})}
    await raise_guard(store, origin(), scope, halted=False)
    await store.commit(commit(guards=[Guard(scope, 4)]))


@pytest.mark.requirement("P14")
async def test_withdrawn_tokens_are_told_from_a_moment_on(store: Store):
    moments = {UUID(int=number): NOW + timedelta(minutes=number) for number in range(1, 4)}
    for user_id, moment in moments.items():
        await store.commit(commit(rows=[Row("users", {"id": user_id, "signed_out_at": moment, "stream_version": 1})]))
    await store.commit(commit(rows=[Row("users", {"id": UUID(int=9), "stream_version": 1})]))
    assert await store.signed_out(NOW) == moments
    assert set(await store.signed_out(NOW + timedelta(minutes=2))) == {UUID(int=2), UUID(int=3)}


@pytest.mark.requirement("P11")
async def test_a_raised_guard_keeps_what_it_is_not_told(store: Store):
    scope = f"account:{ACCOUNT}"
    await store.commit(commit(raises=[GuardChange(scope, limits={"owner": {"maximum_open_orders": 3}})]))
    await store.commit(commit(raises=[GuardChange(scope, halted=True), GuardChange("platform")]))
    assert await store.guards(TENANT, [scope]) == {scope: (2, True, {"owner": {"maximum_open_orders": 3}})}
    assert set(await store.halted()) == {(TENANT, scope)}
    await store.commit(commit(raises=[GuardChange(scope, halted=False, limits={})]))
    assert await store.guards(TENANT, [scope]) == {scope: (3, False, {})}
    assert not await store.halted()


@pytest.mark.requirement("P11")
async def test_a_refused_commit_raises_no_guard(store: Store):
    taken = stream()
    await store.commit(append(taken))
    with pytest.raises(VersionConflict):
        await store.commit(append(taken, raises=[GuardChange("user:1", halted=True)]))
    assert not await store.halted()


@pytest.mark.requirement("P11")
async def test_orders_in_the_batch_behind_a_kill_switch_are_refused(store: Store):
    orders = [append(stream(), guards=[Guard("user:1", 0)]) for _ in range(2)]
    halt = commit(raises=[GuardChange("user:1", halted=True)])
    results = await asyncio.gather(*map(store.commit, (orders[0], halt, orders[1])), return_exceptions=True)
    assert isinstance(results[2], GuardFailed)
    assert results[2].halted


# Quotas


async def used(store: Store, name: str = "orders") -> Decimal:
    rows = await store.find(Query("quotas", TENANT, {"account_id": ACCOUNT, "name": name}))
    return sum((row["used"] for row in rows), Decimal(0))


@pytest.mark.requirement("P11")
async def test_a_quota_is_taken_up_to_its_maximum_and_given_back(store: Store):
    for _ in range(3):
        await store.commit(append(stream(), quotas=[quota(1, 3)]))
    with pytest.raises(QuotaExceeded) as refused:
        await store.commit(append(stream(), quotas=[quota(1, 3)]))
    assert (refused.value.used, refused.value.change.name) == (3, "orders")
    await store.commit(append(stream(), quotas=[quota(-1)]))
    await store.commit(append(stream(), quotas=[quota(1, 3)]))
    assert await used(store) == 3


@pytest.mark.requirement("P11")
async def test_quotas_of_a_refused_commit_are_not_used(store: Store):
    taken = stream()
    await store.commit(append(taken))
    commits = [
        append(taken if number % 2 else stream(), quotas=[quota(1, 4), quota(1, name="buy")]) for number in range(10)
    ]
    results = await asyncio.gather(*map(store.commit, commits), return_exceptions=True)
    assert [type(result) for result in results[1::2]] == [VersionConflict] * 5
    assert [type(result) for result in results[::2]] == [list] * 4 + [QuotaExceeded]
    assert (await used(store), await used(store, "buy")) == (4, 4)


@pytest.mark.requirement("P11")
async def test_a_refused_commit_makes_no_quota(store: Store):
    commits = [append(stream(), quotas=[quota(5, 4, "buy")]), append(stream(), quotas=[quota(1, 4)])]
    results = await asyncio.gather(*map(store.commit, commits), return_exceptions=True)
    assert isinstance(results[0], QuotaExceeded)
    assert [row["name"] for row in await store.find(Query("quotas", TENANT))] == ["orders"]


@pytest.mark.requirement("P11")
async def test_a_commit_may_pass_a_maximum_that_it_does_not_name(store: Store):
    await store.commit(append(stream(), quotas=[quota(5)]))
    with pytest.raises(QuotaExceeded):
        await store.commit(append(stream(), quotas=[quota(0, 3)]))
    await store.commit(append(stream(), quotas=[quota(-4), quota(2, 3)]))
    assert await used(store) == 3


@pytest.mark.requirement("B3")
async def test_the_platforms_guard_binds_every_tenant_and_an_accounts_only_its_own(store: Store):
    await raise_guard(store, origin(), "user:1", halted=True)
    await store.commit(commit(origin(OTHER_TENANT), guards=[Guard("user:1", 0)]))
    await raise_guard(store, origin(PUBLIC_TENANT), "platform", halted=True)
    for tenant in (TENANT, OTHER_TENANT):
        assert await store.guards(tenant, ["platform"]) == {"platform": (1, True, {})}
        with pytest.raises(GuardFailed):
            await store.commit(commit(origin(tenant), guards=[Guard("platform", 1)]))


async def test_a_kill_switch_that_has_answered_lets_nothing_pass(store: Store):
    async def trade(number: int) -> None:
        await asyncio.sleep(0.001 * (number % 40))
        await store.commit(append(stream(), guards=[Guard("platform", 0)]))

    trades = [asyncio.create_task(trade(number)) for number in range(200)]
    await asyncio.sleep(0.02)
    await raise_guard(store, origin(), "platform", halted=True)
    after_halt = len([event async for event in store.read()])
    results = await asyncio.gather(*trades, return_exceptions=True)
    assert len([event async for event in store.read()]) == after_halt
    assert sum(isinstance(result, GuardFailed) for result in results) == 200 - after_halt > 0


async def test_a_lease_passes_on_only_after_expiry_at_a_higher_epoch(store: Store):
    first = await store.acquire_lease("venue-0", "a", NOW, 10)
    assert first == Lease("venue-0", "a", 1, NOW + timedelta(seconds=10))
    assert await store.acquire_lease("venue-0", "b", NOW + timedelta(seconds=9), 10) is None
    renewed = await store.acquire_lease("venue-0", "a", NOW + timedelta(seconds=9), 10)
    assert renewed == Lease("venue-0", "a", 1, NOW + timedelta(seconds=19))
    taken = await store.acquire_lease("venue-0", "b", NOW + timedelta(seconds=19), 10)
    assert taken == Lease("venue-0", "b", 2, NOW + timedelta(seconds=29))
    assert await store.acquire_lease("venue-0", "a", NOW + timedelta(seconds=20), 10) is None


async def test_a_commit_checks_the_epoch_of_its_lease(store: Store):
    with pytest.raises(LeaseLost):
        await store.commit(append(stream(), lease=LeaseCheck("triggers-0", 1)))
    await store.acquire_lease("triggers-0", "a", NOW, 10)
    await store.commit(append(stream(), lease=LeaseCheck("triggers-0", 1)))
    await store.acquire_lease("triggers-0", "b", NOW + timedelta(seconds=11), 10)
    with pytest.raises(LeaseLost):
        await store.commit(append(stream(), lease=LeaseCheck("triggers-0", 1)))
    await store.commit(append(stream(), lease=LeaseCheck("triggers-0", 2)))


async def test_a_released_lease_is_free_and_its_epoch_is_spent(store: Store):
    lease = await store.acquire_lease("relay", "a", NOW, 10)
    assert lease is not None
    await store.release_lease(lease)
    with pytest.raises(LeaseLost):
        await store.commit(commit(lease=LeaseCheck("relay", 1)))
    again = await store.acquire_lease("relay", "b", NOW, 10)
    assert again is not None
    assert again.epoch == 2
    await store.release_lease(lease)  # an old owner's release changes nothing
    await store.commit(commit(lease=LeaseCheck("relay", 2)))


# Outbox and snapshots


@pytest.mark.requirement("A5")
async def test_the_outbox_holds_events_until_they_are_published(store: Store):
    recorded = await store.commit(append(stream(), 0, 3))
    await store.commit(append(stream(), publish=False))
    assert await store.outbox_depth() == 3
    assert await store.unpublished(NOW) == []
    waiting = await store.unpublished(AFTERWARDS)
    assert [(event.id, event.position) for event in waiting] == [(event.id, event.position) for event in recorded]
    assert len(await store.unpublished(AFTERWARDS, limit=2)) == 2
    await store.published(waiting[:2])
    await store.published(waiting[:2])  # unknown by now: ignored
    assert [event.id for event in await store.unpublished(AFTERWARDS)] == [recorded[2].id]
    await store.published([])
    assert await store.outbox_depth() == 1


async def test_the_newest_snapshot_of_a_stream_is_kept(store: Store):
    to = stream()
    assert await store.load_snapshot(to) is None
    for version in (5, 9, 7):
        await store.save_snapshot(Snapshot(to, version, b'{"version": %d}' % version))
    kept = await store.load_snapshot(to)
    assert kept is not None
    assert (kept.stream, kept.version, json.loads(kept.data)) == (to, 9, {"version": 9})


# Rows


def order_row(order: UUID, version: int, **values: object) -> Row:
    return Row("orders", {"id": order, "stream_version": version, **values})


@pytest.mark.requirement("P3")
async def test_rows_are_found_by_their_columns(store: Store):
    for number in range(5):
        row = order_row(
            UUID(int=number), 1, account_id=ACCOUNT, instrument="BINANCE:BTC/USDT", quantity=Decimal("0.5"),
            status="filled" if number % 2 else "accepted", created_at=NOW + timedelta(seconds=number),
        )  # fmt: skip
        await store.commit(commit(rows=[row]))
    found = await store.find(Query("orders", TENANT, {"status": "accepted"}, ("-created_at",)))
    assert [row["id"] for row in found] == [UUID(int=4), UUID(int=2), UUID(int=0)]
    assert (found[0]["quantity"], found[0]["created_at"]) == (Decimal("0.5"), NOW + timedelta(seconds=4))
    assert (found[0]["tenant_id"], found[0]["correlation_id"]) == (TENANT, origin().correlation_id)
    assert found[0]["venue_order_id"] is None
    both = Query("orders", TENANT, {"status": ["filled", "accepted"], "reason": None}, ("id",), limit=2)
    assert [row["id"] for row in await store.find(both)] == [UUID(int=0), UUID(int=1)]


@pytest.mark.requirement("P2")
async def test_rows_that_arrive_late_or_twice_change_nothing(store: Store):
    order = UUID(int=1)
    for version in (2, 1, 4, 3, 4):
        await store.commit(commit(rows=[order_row(order, version, status=f"v{version}")]))
    (row,) = await store.find(Query("orders", TENANT, {"id": order}))
    assert (row["status"], row["stream_version"]) == ("v4", 4)


async def test_concurrent_rows_end_as_if_written_one_after_the_other(store: Store):
    chosen = random.Random(7)
    rows = [
        order_row(UUID(int=number), version, status=f"v{version}") for number in range(10) for version in range(1, 9)
    ]
    chosen.shuffle(rows)
    await asyncio.gather(*(store.commit(commit(rows=[row])) for row in rows))
    found = await store.find(Query("orders", TENANT))
    assert {(row["status"], row["stream_version"]) for row in found} == {("v8", 8)}
    assert len(found) == 10


async def test_a_row_leaves_columns_alone_that_it_does_not_name(store: Store):
    order = UUID(int=1)
    rows = [
        order_row(order, 1, status="pending", quantity=1),
        order_row(order, 2, status="filled"),
        order_row(order, 1, reason="late"),
        order_row(order, 3, reason="done"),
    ]
    await store.commit(commit(rows=rows))
    (row,) = await store.find(Query("orders", TENANT))
    assert (row["status"], row["quantity"], row["reason"], row["stream_version"]) == ("filled", 1, "done", 3)


async def test_a_row_without_a_version_is_replaced(store: Store):
    for value in (b"1", b"2"):
        await store.commit(commit(rows=[Row("state", {"store": "cache", "key": "k", "value": value, "etag": "e"})]))
    (row,) = await store.find(Query("state", TENANT, {"store": "cache"}))
    assert row["value"] == b"2"


async def test_json_columns_come_back_as_they_went_in(store: Store):
    parameters = {"fast": 12, "slow": [26, None], "name": "é"}
    values = {"id": UUID(int=1), "stream_version": 1, "parameters": parameters}
    await store.commit(commit(rows=[Row("strategies", values)]))
    (row,) = await store.find(Query("strategies", TENANT))
    assert row["parameters"] == parameters


async def test_public_tables_have_no_tenant(store: Store):
    values = {"id": "BINANCE:BTC/USDT", "version": 2, "tick_size": Decimal("0.01"), "trading": True}
    await store.commit(commit(rows=[Row("instruments", values)]))
    await store.commit(
        commit(origin(OTHER_TENANT), rows=[Row("instruments", {**values, "version": 1, "trading": False})])
    )
    for tenant in (TENANT, OTHER_TENANT, None):
        (row,) = await store.find(Query("instruments", tenant, {"id": "BINANCE:BTC/USDT"}))
        assert (row["version"], row["trading"]) == (2, True)


async def test_averages_are_rounded_and_amounts_are_exact(store: Store):
    third = Decimal(1) / Decimal(3)
    key = {"account_id": ACCOUNT, "instrument": "BINANCE:BTC/USDT", "stream_version": 1}
    await store.commit(commit(rows=[Row("positions", {**key, "average_price": third})]))
    (row,) = await store.find(Query("positions", TENANT))
    assert row["average_price"] == Decimal("0.333333333333333333")
    with pytest.raises(InvalidValue, match="quantity"):
        await store.commit(commit(rows=[Row("positions", {**key, "quantity": third})]))


@pytest.mark.parametrize(
    ("table", "values", "field"),
    [
        ("nothing", {}, "table"),
        ("buying_power", {"account_id": ACCOUNT, "asset": "BTC"}, "table"),
        ("orders", {"stream_version": 1}, "id"),
        ("orders", {"id": ACCOUNT}, "stream_version"),
        ("orders", {"id": "1", "stream_version": 1}, "id"),
        ("orders", {"id": ACCOUNT, "stream_version": 1, "tenant_id": OTHER_TENANT}, "tenant_id"),
        ("orders", {"id": ACCOUNT, "stream_version": 2**31}, "stream_version"),
        ("orders", {"id": ACCOUNT, "stream_version": 1, "price": 0.1}, "price"),
        ("orders", {"id": ACCOUNT, "stream_version": 1, "price": Decimal("NaN")}, "price"),
        ("orders", {"id": ACCOUNT, "stream_version": 1, "status": "a\0b"}, "status"),
        ("orders", {"id": ACCOUNT, "stream_version": 1, "created_at": NOW.replace(tzinfo=None)}, "created_at"),
        ("orders", {"id": ACCOUNT, "stream_version": 1, "reduce_only": 1}, "reduce_only"),
        ("strategies", {"id": ACCOUNT, "stream_version": 1, "parameters": {"a": Decimal(1)}}, "parameters"),
        ("state", {"store": "a", "key": "b", "value": "text"}, "value"),
    ],
)
async def test_bad_rows_name_the_field_and_change_nothing(
    store: Store, table: str, values: dict[str, object], field: str
):
    to = stream()
    with pytest.raises(InvalidValue) as refused:
        await store.commit(append(to, rows=[Row(table, values)]))
    assert refused.value.field == field
    assert await store.load(to) == []


async def test_a_taken_email_is_refused_without_harm_to_neighbours(store: Store):
    def user(number: int, email: str) -> Row:
        return Row("users", {"id": UUID(int=number), "email": email, "stream_version": 1})

    await store.commit(commit(rows=[user(1, "a@example.com")]))
    commits = [append(stream(), rows=[user(number, f"{number}@example.com")]) for number in range(2, 6)]
    commits.insert(2, append(stream(), rows=[user(9, "a@example.com")]))
    results = await asyncio.gather(*map(store.commit, commits), return_exceptions=True)
    assert [isinstance(result, list) for result in results] == [True, True, False, True, True]
    assert isinstance(results[2], InvalidValue)
    assert results[2].field == "email"


@pytest.mark.parametrize(
    ("where", "order"), [({"nonsense": 1}, ()), ({}, ("nonsense",)), ({}, ("-id; drop table users",))]
)
async def test_find_refuses_columns_that_do_not_exist(store: Store, where: dict[str, object], order: tuple[str, ...]):
    with pytest.raises(InvalidValue):
        await store.find(Query("orders", TENANT, where, order))


# Tenants


@pytest.mark.requirement("P3", "A4")
async def test_a_tenant_sees_its_own_rows_and_no_others(store: Store):
    for tenant in (TENANT, OTHER_TENANT):
        rows = [order_row(UUID(int=1), 1, status=str(tenant))]
        await store.commit(commit(origin(tenant), rows=rows, balances=[deposit("1")], idempotency=answer()))
    (row,) = await store.find(Query("orders", TENANT))
    assert row["status"] == str(TENANT)
    assert await store.find(Query("orders", UUID(int=99))) == []
    assert len(await store.find(Query("orders", None))) == 2
    assert await balance(store, tenant=OTHER_TENANT) == (1, 0, 0)


@pytest.mark.requirement("A4")
async def test_streams_of_two_tenants_are_two_streams(store: Store):
    mine = stream()
    theirs = StreamId(OTHER_TENANT, mine.kind, mine.id)
    await store.commit(append(mine))
    assert await store.load(theirs) == []
    await store.commit(append(theirs))
    assert [event.stream for event in await store.load(mine)] == [mine]


@pytest.mark.requirement("P2")
async def test_clearing_read_models_keeps_the_truth(store: Store):
    to = stream()
    rows = [order_row(UUID(int=1), 1), Row("users", {"id": USER, "password_hash": "x", "stream_version": 1})]
    await store.commit(append(to, rows=rows, balances=[deposit("5")]))
    await store.clear_read_models()
    assert await store.find(Query("orders", TENANT)) == await store.find(Query("buying_power", TENANT)) == []
    assert len(await store.find(Query("users", TENANT))) == 1  # holds what no event carries
    assert len(await store.load(to)) == 1
    with pytest.raises(InsufficientFunds):
        await store.commit(commit(balances=[reservation("1")]))


# Everything at once


@pytest.mark.requirement("P3", "B3")
async def test_a_refused_commit_leaves_no_trace_whatever_the_reason(store: Store):
    await store.commit(append(taken := stream(), balances=[deposit("1")], inbox=Inbox("c", "seen")))
    await raise_guard(store, origin(), "user:1")
    reasons: dict[type[Refused], dict[str, object]] = {
        VersionConflict: {"appends": [Append(stream(), 0, events()), Append(taken, 0, events())]},
        InsufficientFunds: {"balances": [deposit("1"), reservation("5")]},
        GuardFailed: {"guards": [Guard("user:1", 0)]},
        AlreadyProcessed: {"inbox": Inbox("c", "seen")},
        LeaseLost: {"lease": LeaseCheck("nobody", 1)},
    }
    whole = {
        "appends": [Append(stream(), 0, events())],
        "balances": [deposit("1")],
        "rows": [order_row(uuid5(TENANT, "x"), 1)],
        "inbox": Inbox("c", "new"),
        "idempotency": answer(),
    }
    for refusal, part in reasons.items():
        with pytest.raises(refusal):
            await store.commit(commit(**{**whole, **part}))
    assert len([event async for event in store.read()]) == await store.outbox_depth() == 1
    assert await balance(store) == (1, 0, 0)
    assert await store.find(Query("orders", TENANT)) == []
    assert len(await store.commit(commit(**whole))) == 1


async def test_a_closed_store_may_be_closed_again(store: Store):
    await store.close()
    await store.close()
