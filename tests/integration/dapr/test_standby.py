"""Who stands by is left alone by its sidecar, and hears again when it leads: the health check of the chart's feeds."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from patriot.runtime.dapr.daprd import Beside
from patriot.runtime.function import WORK_PATH, Context, Function
from patriot.store.api import Query
from patriot.store.memory import MemoryStore
from schemas.events import UserProfileChanged
from schemas.topics import USER_EVENTS
from tests.support.messages import changed
from tests.support.servers import components
from tests.support.sidecars import beside_sidecars

pytestmark = [pytest.mark.dapr, pytest.mark.timeout(120)]
CHECK = (
    "--enable-app-health-check",
    *("--app-health-check-path", WORK_PATH),
    *("--app-health-threshold", "1"),
    *("--app-health-probe-interval", "1"),
    *("--app-health-probe-timeout", "1000"),
)
NOTICED_SECONDS = 2.5
SENT = range(1, 21)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sidecars that ask their app whether it works."""
    command = Beside._command

    def asks(beside: Beside) -> Sequence[str]:
        return [*command(beside), *CHECK]

    monkeypatch.setattr(Beside, "_command", asks)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.requirement("A6", "C4", "B12")
@pytest.mark.parametrize("broker", ["redis", "kafka"])
@pytest.mark.usefixtures("asking")
async def test_who_stands_by_gets_no_events_and_all_of_them_when_it_leads(broker: str) -> None:
    folder, environment = components(broker)
    store, part, took = MemoryStore(), Function(f"standby-{broker}"), set[int]()

    @part.on(USER_EVENTS, UserProfileChanged)
    async def take(event: UserProfileChanged, _: Context) -> None:
        took.add(event.telegram_id or 0)

    async with beside_sidecars(dict(environment), store, part, resources=[folder]) as hosts:
        publish = hosts.runtime.publisher.publish
        hosts.runtime.waits_for.add("the lease")
        await asyncio.sleep(NOTICED_SECONDS)
        await publish(USER_EVENTS.name, *map(changed, SENT))
        await asyncio.sleep(0.5)
        assert not took, "they belong to who leads"
        hosts.runtime.waits_for.clear()
        await until(lambda: took == set(SENT))
        assert not await store.find(Query("dead_letters", None))
