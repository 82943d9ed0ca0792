"""A broker between processes, as Dapr promises it: at least once, in no order, for as long as it takes.

Rule: what it has taken it keeps, whoever dies. It loses deliveries and acknowledgements, never messages.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from patriot.runtime.cloudevent import CloudEvent, from_recorded
from patriot.store.api import RecordedEvent
from schemas.topics import TOPIC_OF, TOPICS, Topic
from tests.simulation.odds import Dice

if TYPE_CHECKING:
    from tests.simulation.process import Process

AGAIN_SECONDS = 0.2
ATTEMPTS_MAX = 200


class Undeliverable(Exception):
    """A good message was refused for good."""


class Network:
    """`processes` are asked anew for every delivery: who lives, and hears the consumer's name."""

    def __init__(self, dice: Dice, processes: Callable[[], Sequence["Process"]]) -> None:
        self._dice = dice
        self._processes = processes
        self._routes: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused: list[str] = []

    def subscribe(self, parts: Sequence[Any]) -> None:
        for part in parts:
            for subscription in part.dapr_subscriptions():
                for rule in subscription["routes"]["rules"]:
                    kind = rule["match"].split('"')[1]
                    self._routes.setdefault((subscription["topic"], kind), []).append((part.name, rule["path"]))

    @property
    def idle(self) -> bool:
        return not self._tasks

    async def publish(self, topic: str, messages: Sequence[CloudEvent]) -> None:
        """Return when the broker has them."""
        await self._dice.pause()
        if self._dice.happens(self._dice.odds.lost):
            raise ConnectionError("the broker does not answer")
        for message in messages:
            self._take(TOPICS[topic], message)

    async def publish_recorded(self, events: Sequence[RecordedEvent], store: Any) -> None:
        """Hand them over, then take them off the outbox. What fails half way goes out again by the relay."""
        await self._dice.pause()
        for event in events:
            if self._dice.happens(self._dice.odds.lost):
                return
            self._take(TOPIC_OF[event.type], from_recorded(event, ""))
        await store.published(events)

    def _take(self, topic: Topic, message: CloudEvent) -> None:
        for consumer, path in self._routes.get((topic.name, message.type), ()):
            for _ in range(1 + self._dice.happens(self._dice.odds.twice)):
                task = asyncio.get_running_loop().create_task(self._bring(consumer, path, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _bring(self, consumer: str, path: str, message: CloudEvent) -> None:
        """Again and again, to whoever lives, until somebody has acknowledged."""
        for _ in range(ATTEMPTS_MAX):
            await self._dice.pause()
            listeners = [process for process in self._processes() if consumer in process.hears]
            if listeners and not self._dice.happens(self._dice.odds.lost):
                process = self._dice.rng.choice(listeners)
                status = await process.answer(process.deliver(consumer, path, message))
                if status == "DROP":
                    self.refused.append(f"{consumer} refused {message.type}")
                    return
                if status == "SUCCESS" and not self._dice.happens(self._dice.odds.lost):
                    return
            await asyncio.sleep(AGAIN_SECONDS)
        self.refused.append(f"{consumer} never took {message.type}")
