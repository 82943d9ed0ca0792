"""Market data straight into Kafka, behind the publish port. Rule: bulk goes around the sidecar, all else through.

The producer is idempotent, waits for all in-sync replicas, compresses with snappy and gathers for 10 ms: Dapr's Kafka
component has no switch for the first and the third. What it sends, a subscriber behind a sidecar reads as usual.
"""

import asyncio
from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, Message, Producer

from patriot.runtime.dapr.sidecar import CLOUD_EVENT, Entry

PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "snappy",
    "linger.ms": 10,
    "batch.num.messages": 10_000,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 500_000,
    "delivery.timeout.ms": 30_000,
    "delivery.report.only.error": True,
    "log_level": 3,  # errors
}
FULL_SECONDS = 0.005
FLUSH_SECONDS_MAX = 5.0
HEADERS: list[tuple[str, str | bytes | None]] = [("content-type", CLOUD_EVENT.encode())]

log = structlog.get_logger()


class DirectKafka:
    """`send` has the shape of `Sidecar.publish`. A message counts as sent once the producer has it."""

    def __init__(self, place: str) -> None:
        self._producer = Producer({**PRODUCER, "bootstrap.servers": place})
        self.lost = 0

    async def send(self, pubsub: str, topic: str, entries: Sequence[Entry]) -> Sequence[str]:
        """Wait while the producer's queue is full; nothing is left over."""
        del pubsub
        produce, told = self._producer.produce, self._told
        for entry in entries:
            while True:
                try:
                    produce(topic, entry.body, entry.key or None, on_delivery=told, headers=HEADERS)
                    break
                except BufferError:  # the C library has no event to wait for
                    self._producer.poll(0)
                    await asyncio.sleep(FULL_SECONDS)
        self._producer.poll(0)
        return ()

    async def close(self) -> None:
        """Send what waits."""
        left = await asyncio.to_thread(self._producer.flush, FLUSH_SECONDS_MAX)
        if left:
            log.warning("market data not sent", messages=left)

    def _told(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.lost += 1
            log.warning("market data not sent", reason=str(error))
