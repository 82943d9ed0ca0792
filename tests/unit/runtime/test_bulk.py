"""Many events in one call: what each entry is told, and what is handled at all."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from patriot.domain.errors import DomainError
from patriot.runtime import asgi
from patriot.runtime.cloudevent import CloudEvent, encode
from patriot.runtime.dapr.bulk import AWAIT_MS_MAX, MESSAGES_MAX
from patriot.runtime.dapr.door import Door, merged
from patriot.runtime.dapr.sidecar import Entry, SidecarUnavailable
from patriot.runtime.dead_letters import DeadLetter
from patriot.runtime.function import Context, Function
from patriot.store.api import Query, StoreUnavailable
from schemas.events import UserProfileChanged
from schemas.topics import USER_EVENTS
from tests.support.host import running_host
from tests.support.messages import changed

ADA, BOB = UUID(int=1), UUID(int=2)
TOKEN = {"dapr-api-token": "secret"}
PATH = f"/events/{USER_EVENTS.name}"


class World:
    """A door before one part; `fails` maps (user, version) to what its handler raises."""

    def __init__(self, runtime: Any, *, newest: bool = False) -> None:
        self.handled: list[tuple[UUID, int]] = []
        self.published: list[tuple[str, str, bytes]] = []
        self.fails: dict[tuple[UUID, int], Exception] = {}
        self.store, self.broker_is_down = runtime.store, False
        self.part = Function("probe", shows=True)
        self.part.on(USER_EVENTS, UserProfileChanged, newest=newest)(self._take)
        self.door = Door([self.part], {}, runtime, self._publish, token="secret")

    async def _take(self, event: UserProfileChanged, context: Context) -> None:
        assert context.event is not None
        await asyncio.sleep(0)
        told = (event.user_id, context.event.streamversion)
        self.handled.append(told)
        if told in self.fails:
            raise self.fails[told]

    async def _publish(self, pubsub: str, topic: str, entries: Sequence[Entry]) -> list[str]:
        if self.broker_is_down:
            raise SidecarUnavailable("down")
        self.published += [(pubsub, topic, entry.body) for entry in entries]
        return []

    async def call(self, *events: CloudEvent | bytes) -> list[str]:
        """The statuses, in the order of the entries."""
        bodies = [event if isinstance(event, bytes) else encode(event) for event in events]
        entries = b",".join(b'{"entryId":"%d","event":%s}' % numbered for numbered in enumerate(bodies))
        answer = await asgi.request(self.door, "POST", PATH, TOKEN, b'{"entries":[%s]}' % entries)
        assert answer.status == 200
        statuses = {one["entryId"]: one["status"] for one in orjson.loads(answer.body)["statuses"]}
        return [statuses[str(number)] for number in range(len(events))]

    async def dead(self) -> list[tuple[str, int]]:
        found = await self.store.find(Query("dead_letters", None))
        return sorted((row["id"], row["attempts"]) for row in found)


Make = Callable[..., World]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with running_host(delivery_attempts_max=2) as host:
        yield lambda **options: World(host.runtime, **options)


async def test_part_that_shows_asks_for_bulk_on_one_way_and_no_other_part_does(make: Make):
    [told] = merged([make().part])
    assert told["bulkSubscribe"] == {
        "enabled": True,
        "maxMessagesCount": MESSAGES_MAX,
        "maxAwaitDurationMs": AWAIT_MS_MAX,
    }
    assert told["routes"] == {"default": PATH}
    assert told["deadLetterTopic"] == "user.events.dead"
    acts = Function("acts")
    acts.on(USER_EVENTS, UserProfileChanged)(make()._take)
    for parts in ([acts], [acts, make().part]):
        [told] = merged(parts)
        assert "bulkSubscribe" not in told
        assert told["routes"]["rules"]


async def test_aggregates_go_side_by_side_and_each_in_order(make: Make):
    world = make()
    events = [changed(version, user) for version in (1, 2, 3) for user in (ADA, BOB)]
    assert await world.call(*events) == ["SUCCESS"] * 6
    assert [version for user, version in world.handled if user == ADA] == [1, 2, 3]
    assert [user for user, _ in world.handled[:2]] == [ADA, BOB]


@pytest.mark.requirement("A6")
async def test_behind_what_must_come_again_everything_of_its_aggregate_comes_again(make: Make):
    world = make()
    world.fails[ADA, 2] = StoreUnavailable("down")
    events = [changed(version, user) for version in (1, 2, 3) for user in (ADA, BOB)]
    assert await world.call(*events) == ["SUCCESS", "SUCCESS", "RETRY", "SUCCESS", "RETRY", "SUCCESS"]
    assert (ADA, 3) not in world.handled
    world.fails.clear()
    assert await world.call(events[2], events[4]) == ["SUCCESS", "SUCCESS"]
    assert [version for user, version in world.handled if user == ADA] == [1, 2, 2, 3]
    assert not await world.dead()


@pytest.mark.requirement("A6", "B10")
async def test_poison_is_dead_at_once_on_the_broker_too_and_the_sidecar_never_hears_drop(make: Make):
    world = make()
    world.fails[ADA, 1] = DomainError("never")
    events: list[Any] = [changed(1, ADA), changed(2, ADA), b'{"no":"event"}', changed(1, BOB)]
    assert await world.call(*events) == ["SUCCESS"] * 4
    assert world.handled == [(ADA, 1), (BOB, 1), (ADA, 2)]
    nameless = DeadLetter("probe", "", "", "", "", b'{"no":"event"}').id
    assert await world.dead() == sorted([(f"probe:{ADA}:1", 1), (nameless, 1)])
    assert {(pubsub, topic) for pubsub, topic, _ in world.published} == {(USER_EVENTS.pubsub, "user.events.dead")}
    assert {body for _, _, body in world.published} == {encode(events[0]), events[2]}


@pytest.mark.requirement("A6")
async def test_what_keeps_failing_is_dead_after_its_attempts_and_frees_what_waits_behind_it(make: Make):
    world = make()
    world.fails[ADA, 1] = ConnectionError("never")
    events = [changed(1, ADA), changed(2, ADA)]
    assert await world.call(*events) == ["RETRY", "RETRY"]
    assert await world.call(*events) == ["SUCCESS", "SUCCESS"]
    assert await world.dead() == [(f"probe:{ADA}:1", 2)]


async def test_dead_letter_that_the_broker_does_not_take_comes_again(make: Make):
    world = make()
    world.fails[ADA, 1], world.broker_is_down = DomainError("never"), True
    assert await world.call(changed(1, ADA)) == ["RETRY"]
    world.broker_is_down = False
    assert await world.call(changed(1, ADA)) == ["SUCCESS"]
    assert len(world.published) == 1


async def test_of_several_only_the_newest_is_handled_where_it_tells_all(make: Make):
    world = make(newest=True)
    versions = [1, 3, 2]
    assert await world.call(*(changed(version, ADA) for version in versions), changed(1, BOB)) == ["SUCCESS"] * 4
    assert sorted(world.handled) == [(ADA, 3), (BOB, 1)]


@pytest.mark.parametrize("error", [ConnectionError("later"), DomainError("never")])
async def test_outdated_events_come_again_unless_the_newest_was_handled(make: Make, error: Exception):
    world = make(newest=True)
    world.fails[ADA, 2] = error
    statuses = await world.call(changed(1, ADA), changed(2, ADA))
    assert statuses == ["RETRY", "RETRY" if isinstance(error, ConnectionError) else "SUCCESS"]
    assert await world.call(changed(1, ADA)) == ["SUCCESS"]
    assert world.handled == [(ADA, 2), (ADA, 1)]


async def test_types_that_nobody_here_takes_are_let_pass(make: Make):
    world = make()
    other = encode(changed(1, ADA)).replace(UserProfileChanged.TYPE.encode(), b"user.something_new")
    assert await world.call(other) == ["SUCCESS"]
    assert not world.handled
    assert not await world.dead()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"entries":[{}]}', b"\xff"])
async def test_what_is_no_bulk_call_is_refused_and_comes_again(make: Make, body: bytes):
    answer = await asgi.request(make().door, "POST", PATH, TOKEN, body)
    assert answer.status == 400


@pytest.mark.requirement("P14")
async def test_bulk_call_needs_the_token_of_the_app(make: Make):
    answer = await asgi.request(make().door, "POST", PATH, {"dapr-api-token": "guessed"}, b'{"entries":[]}')
    assert answer.status == 401
