"""Making and checking topics on the brokers themselves. Rule: a topic exists, as the table says, before it is used.

Kafka       topics with the table's partitions and retention, two replicas in sync; a lone broker flushes each message
NATS        one stream per topic, on disk, so that each app's durable consumer has a name of its own
RabbitMQ    each consumer's queue, bound before the first message; else a fan-out reaches nobody
Redis       nothing: the first message or reader makes the stream
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its own way of re-exporting
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from patriot.runtime.dapr.components import ComponentsError
from patriot.runtime.dapr.documents import read
from schemas.topics import DEAD_LETTER_SUFFIX, TOPICS, Topic

REPLICAS, IN_SYNC = 3, 2
CALL_SECONDS_MAX = 10
DEAD_LETTER_DAYS = 90
"""Dead letters wait for a person."""


class TopicsWrong(ComponentsError):
    """A broker does not answer, or has a topic otherwise than the table says; one line each."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One topic as a broker should have it."""

    name: str
    partitions: int
    retention_ms: int
    consumers: tuple[str, ...]
    durable: bool = True


def wanted(pubsub: str) -> Iterator[Wanted]:
    """The topics of one component, each with its dead-letter topic."""
    for topic in TOPICS.values():
        if topic.pubsub == pubsub:
            yield Wanted(topic.name, topic.partitions, topic.retention_ms, topic.consumers, topic.durable)
            yield _dead(topic)


def _dead(topic: Topic) -> Wanted:
    return Wanted(topic.name + DEAD_LETTER_SUFFIX, 1, DEAD_LETTER_DAYS * 86_400_000, (DEAD_LETTERS,))


DEAD_LETTERS = "dead-letters"
"""Nobody's app id: its queue keeps dead letters on brokers that keep only what has a queue."""


async def prepare(resources: Path, environment: Mapping[str, str]) -> None:
    """Make what is missing on every broker of the components. Raises TopicsWrong."""
    for kind, place, topics in _by_broker(resources, environment):
        make = MAKERS.get(kind)
        if make is not None:
            await make(place, topics)


async def check(resources: Path, environment: Mapping[str, str]) -> Sequence[str]:
    """What is missing or otherwise than the table says, one line each."""
    found: list[str] = []
    for kind, place, topics in _by_broker(resources, environment):
        look = CHECKERS.get(kind)
        if look is not None:
            found += await look(place, topics)
    return found


def _by_broker(resources: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, str, list[Wanted]]]:
    """(type of component, where the broker is, its topics)."""
    for document in read(resources)[0]:
        topics = list(wanted(document.name))
        kind = document.value["spec"]["type"] if topics and document.kind == "Component" else ""
        if kind in PLACES:
            yield kind, _place(document.value["spec"]["metadata"], PLACES[kind], environment), topics


PLACES = {"pubsub.kafka": "brokers", "pubsub.jetstream": "natsURL", "pubsub.rabbitmq": "connectionString"}


def _place(metadata: Sequence[Mapping[str, Any]], setting: str, environment: Mapping[str, str]) -> str:
    entry: Mapping[str, Any] = next((one for one in metadata if one["name"] == setting), {})
    place = str(entry["value"]) if "value" in entry else environment.get(entry.get("envRef", ""), "")
    if not place:
        raise TopicsWrong(f"{setting} is not known here: set {entry.get('envRef', 'it')}")
    return place


def _server(place: str) -> str:
    """Host and port, without the credentials."""
    return place.rpartition("@")[2].rpartition("//")[2]


# --- Kafka ---
def _kafka(place: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": place, "log_level": 2})  # what fails is raised anyway


async def _make_kafka(place: str, topics: Sequence[Wanted]) -> None:
    await asyncio.to_thread(_make_kafka_topics, place, topics)


def _make_kafka_topics(place: str, topics: Sequence[Wanted]) -> None:
    client = _kafka(place)
    try:
        cluster = client.list_topics(timeout=CALL_SECONDS_MAX)
        replicas = min(REPLICAS, len(cluster.brokers))
        missing = [topic for topic in topics if topic.name not in cluster.topics]
        new = [
            NewTopic(topic.name, topic.partitions, replicas, config=_kafka_settings(topic, replicas))
            for topic in missing
        ]
        for future in client.create_topics(new).values() if new else ():
            future.result(CALL_SECONDS_MAX)
    except KafkaException as error:
        raise TopicsWrong(f"Kafka at {place}: {error.args[0].str()}") from error


def _kafka_settings(topic: Wanted, replicas: int) -> dict[str, str]:
    in_sync = min(IN_SYNC, replicas)
    settings = {"retention.ms": str(topic.retention_ms), "min.insync.replicas": str(in_sync)}
    if replicas == 1 and topic.durable:
        settings["flush.messages"] = "1"  # nobody else has a copy
    return settings


async def _check_kafka(place: str, topics: Sequence[Wanted]) -> list[str]:
    return await asyncio.to_thread(_check_kafka_topics, place, topics)


def _check_kafka_topics(place: str, topics: Sequence[Wanted]) -> list[str]:
    client = _kafka(place)
    try:
        known = client.list_topics(timeout=CALL_SECONDS_MAX).topics
        found = [f"Kafka: no topic {topic.name}" for topic in topics if topic.name not in known]
        there = [topic for topic in topics if topic.name in known]
        asked = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in there]
        told = client.describe_configs(asked) if asked else {}
        settings = {one.name: future.result(CALL_SECONDS_MAX) for one, future in told.items()}
    except KafkaException as error:
        raise TopicsWrong(f"Kafka at {place}: {error.args[0].str()}") from error
    for topic in there:
        if (has := len(known[topic.name].partitions)) < topic.partitions:  # more of them is how it grows
            found.append(f"Kafka: {topic.name} has {has} partitions, not {topic.partitions} or more")
        if (kept := _value(settings[topic.name], "retention.ms")) != str(topic.retention_ms):
            found.append(f"Kafka: {topic.name} keeps messages {kept} ms, not {topic.retention_ms}")
    return found


def _value(settings: Mapping[str, Any], name: str) -> str:
    return str(settings[name].value)


# --- NATS ---
async def _nats(place: str) -> Any:
    """A connection, or an answer at once: the client's own way is to try for minutes, with a stack trace each time."""
    import nats
    from nats.errors import Error

    async def quiet(_: Exception) -> None:
        """The last error is raised anyway."""

    once = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.1}
    try:
        return await nats.connect(place, connect_timeout=CALL_SECONDS_MAX, error_cb=quiet, **once)
    except (Error, OSError, TimeoutError) as error:
        raise TopicsWrong(f"NATS at {_server(place)}: {error}") from error


async def _make_nats(place: str, topics: Sequence[Wanted]) -> None:
    from nats.js.api import StorageType, StreamConfig

    client = await _nats(place)
    try:
        for topic in topics:
            config = StreamConfig(
                name=_stream(topic), subjects=[topic.name], max_age=topic.retention_ms / 1000, storage=StorageType.FILE
            )
            await client.jetstream().add_stream(config)
    finally:
        await client.close()


async def _check_nats(place: str, topics: Sequence[Wanted]) -> list[str]:
    client = await _nats(place)
    try:
        there = {one.config.name: one.config for one in await client.jetstream().streams_info()}
    finally:
        await client.close()
    found = [f"NATS: no stream for {topic.name}" for topic in topics if _stream(topic) not in there]
    for topic in topics:
        stream = there.get(_stream(topic))
        if stream is not None and int((stream.max_age or 0) * 1000) != topic.retention_ms:
            found.append(f"NATS: {topic.name} keeps messages {stream.max_age} s, not {topic.retention_ms / 1000:g}")
    return found


def _stream(topic: Wanted) -> str:
    return topic.name.replace(".", "_")


# --- RabbitMQ ---
async def _make_rabbitmq(place: str, topics: Sequence[Wanted]) -> None:
    await asyncio.to_thread(_make_queues, place, topics)


def _make_queues(place: str, topics: Sequence[Wanted]) -> None:
    """As Dapr's component declares them, so that both may come first."""
    with _rabbitmq(place) as connection:
        channel = connection.channel()
        for topic in topics:
            channel.exchange_declare(topic.name, "fanout", durable=True)
            for consumer in topic.consumers:
                queue = f"{consumer}-{topic.name}"
                channel.exchange_declare(f"dlx-{queue}", "fanout", durable=True)
                lazy = {"x-queue-mode": "lazy"}
                channel.queue_declare(f"dlq-{queue}", durable=True, arguments=lazy)
                channel.queue_bind(f"dlq-{queue}", f"dlx-{queue}")
                known = {"x-dead-letter-exchange": f"dlx-{queue}", "x-queue-type": "classic"}
                channel.queue_declare(queue, durable=True, arguments=known)
                channel.queue_bind(queue, topic.name)


async def _check_rabbitmq(place: str, topics: Sequence[Wanted]) -> list[str]:
    return await asyncio.to_thread(_check_queues, place, topics)


def _check_queues(place: str, topics: Sequence[Wanted]) -> list[str]:
    from pika.exceptions import ChannelClosedByBroker

    found: list[str] = []
    with _rabbitmq(place) as connection:
        for queue in [f"{consumer}-{topic.name}" for topic in topics for consumer in topic.consumers]:
            try:
                connection.channel().queue_declare(queue, passive=True)
            except ChannelClosedByBroker:
                found.append(f"RabbitMQ: no queue {queue}")
    return found


@contextmanager
def _rabbitmq(place: str) -> Iterator[Any]:
    """A connection. Raises TopicsWrong, and only that: the client would log every attempt, too."""
    import pika
    from pika.exceptions import AMQPError

    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        with pika.BlockingConnection(pika.URLParameters(place)) as connection:
            yield connection
    except (AMQPError, OSError) as error:
        raise TopicsWrong(f"RabbitMQ at {_server(place)}: {str(error) or 'no connection'}") from error


MAKERS: Mapping[str, Callable[[str, Sequence[Wanted]], Awaitable[None]]] = {
    "pubsub.kafka": _make_kafka,
    "pubsub.jetstream": _make_nats,
    "pubsub.rabbitmq": _make_rabbitmq,
}
CHECKERS: Mapping[str, Callable[[str, Sequence[Wanted]], Awaitable[list[str]]]] = {
    "pubsub.kafka": _check_kafka,
    "pubsub.jetstream": _check_nats,
    "pubsub.rabbitmq": _check_rabbitmq,
}
