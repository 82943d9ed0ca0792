"""What is the in-memory store's alone: it needs no clock but can have one."""

from datetime import timedelta
from uuid import UUID

from patriot.store.api import Query, Row
from patriot.store.memory import MemoryStore
from tests.store_samples import NOW, TENANT, USER, answer, append, commit, stream


async def test_without_a_clock_the_newest_commit_tells_the_time():
    store = MemoryStore()
    await store.commit(commit(idempotency=answer()))
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-1") == answer()
    await store.commit(commit(occurred_at=NOW + timedelta(hours=24)))
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-1") is None


async def test_a_clock_ages_answers_while_nothing_happens():
    now = [NOW]
    store = MemoryStore(clock=lambda: now[0])
    await store.commit(commit(idempotency=answer()))
    now[0] += timedelta(hours=23, minutes=59)
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-1") == answer()
    now[0] += timedelta(minutes=1)
    assert await store.find_answer(TENANT, USER, "POST /orders", "key-1") is None


async def test_two_stores_fed_alike_are_alike():
    commits = [append(stream(), 0, number) for number in range(1, 5)]
    first, second = MemoryStore(), MemoryStore()
    for store in (first, second):
        for made in commits:
            await store.commit(made)
    assert [event async for event in first.read()] == [event async for event in second.read()]


async def test_a_reader_sees_what_is_appended_while_it_reads():
    store = MemoryStore()
    await store.commit(append(stream(), 0, 2))
    seen = []
    async for event in store.read():
        seen.append(event.position)
        if len(seen) == 1:
            await store.commit(append(stream()))
    assert seen == [1, 2]
    assert [event.position async for event in store.read(2)] == [3]


async def test_orders_are_found_by_the_status_they_have_now():
    store = MemoryStore()
    for number in range(4):
        await store.commit(commit(rows=[order(number, "new", 1)]))
    await store.commit(commit(rows=[order(1, "filled", 2), order(2, "accepted", 2)]))
    await store.commit(commit(rows=[order(2, "new", 1)]))  # late: the newer one stays
    assert await found(store, "new") == {0, 3}
    assert await found(store, "filled") == {1}
    assert await found(store, ["new", "accepted", "new"]) == {0, 2, 3}
    assert await found(store, "rejected") == await found(store, []) == set()
    await store.clear_read_models()
    assert await found(store, "new") == set()


def order(number: int, status: str, version: int) -> Row:
    values = {"id": UUID(int=number), "account_id": USER, "status": status, "stream_version": version}
    return Row("orders", values)


async def found(store: MemoryStore, status: object) -> set[int]:
    return {row["id"].int for row in await store.find(Query("orders", TENANT, {"status": status}))}
