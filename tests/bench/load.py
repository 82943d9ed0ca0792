"""The load client, in a process of its own. Rule: an answer's time counts from when its request was due.

Closed loop (`rate` 0): a connection sends again as soon as it has its answer. Open loop: requests are due at a fixed
rate and go out on whichever connection is free; the wait for a free one is part of the latency. Plain HTTP/1.1 with
keep-alive, written by hand, so that the client takes little of the processor that it shares with the server.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

GRACE_SECONDS = 30.0
PACE_SECONDS = 0.001
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Load:
    """What to send: `bodies` in turn, each with its own bearer token; until `seconds` are over or `count` are sent."""

    port: int
    path: str
    bodies: Sequence[dict[str, Any]]
    tokens: Sequence[str] = ("",)
    connections: int = 32
    seconds: float = 2.0
    count: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Measured:
    """Latencies in milliseconds. `refused` counts answers that were neither 200 nor 201; `sample` is one of them."""

    answered: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int = 0
    sample: str = ""


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._received = bytearray()
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = bytes(self._received).partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._received.clear()
        self._client.answered(self, head[9:12], body, time.perf_counter() - self._due)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.lost(error)


@dataclass
class Client:
    load: Load
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    sample: str = ""

    async def run(self) -> Measured:
        loop = asyncio.get_running_loop()
        self._requests = [
            _request(self.load.path, body, self.load.tokens[index % len(self.load.tokens)])
            for index, body in enumerate(self.load.bodies)
        ]
        self._sent = 0
        self._finished = loop.create_future()
        connections = [
            (await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.load.port))[1]
            for _ in range(self.load.connections)
        ]
        self._free, self._due = deque(connections), deque[float]()
        started = time.perf_counter()
        self._end = started + self.load.seconds
        await (self._paced(started) if self.load.rate else self._at_once())
        self._stop_if_done()
        async with asyncio.timeout(GRACE_SECONDS):
            await self._finished
        return self._measured(time.perf_counter() - started)

    async def _at_once(self) -> None:
        while self._free and not self._over:
            self._send(self._free.popleft(), time.perf_counter())

    async def _paced(self, started: float) -> None:
        planned = 0
        while not self._over:
            now = time.perf_counter()
            while (due := started + planned / self.load.rate) <= min(now, self._end):
                planned += 1
                self._due.append(due)
            while self._due and self._free:
                self._send(self._free.popleft(), self._due.popleft())
            await asyncio.sleep(PACE_SECONDS)

    @property
    def _over(self) -> bool:
        if self.load.count:
            return self._sent >= self.load.count
        return time.perf_counter() >= self._end

    def _send(self, connection: Connection, due: float) -> None:
        connection.send(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1

    def answered(self, connection: Connection, status: bytes, body: bytes, seconds: float) -> None:
        self.latencies.append(seconds)
        if status not in {b"200", b"201"}:
            self.refused += 1
            self.sample = self.sample or body.decode()
        if self._due:
            self._send(connection, self._due.popleft())
        elif self.load.rate or self._over:
            self._free.append(connection)
            self._stop_if_done()
        else:
            self._send(connection, time.perf_counter())

    def lost(self, error: Exception | None) -> None:
        if not self._finished.done():
            self._finished.set_exception(error or ConnectionResetError("the server closed a connection"))

    def _stop_if_done(self) -> None:
        if self._over and len(self.latencies) == self._sent and not self._due and not self._finished.done():
            self._finished.set_result(None)

    def _measured(self, seconds: float) -> Measured:
        ordered = sorted(self.latencies)
        count = len(ordered)
        p50, p99, worst = (ordered[min(count - 1, int(count * share))] * 1000 for share in (0.5, 0.99, 1.0))
        return Measured(count, count / seconds, p50, p99, worst, self.refused, self.sample)


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


def _request(path: str, body: dict[str, Any], token: str) -> bytes:
    content = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}", *([f"Authorization: Bearer {token}"] if token else []), "", ""]
    return "\r\n".join(lines).encode() + content


async def measure(load: Load) -> Measured:
    """Run the load in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.load", cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate(json.dumps(asdict(load)).encode())
    assert process.returncode == 0, "the load client failed, see above"
    return Measured(**json.loads(output))


if __name__ == "__main__":
    uvloop.install()
    print(json.dumps(asdict(asyncio.run(Client(Load(**json.load(sys.stdin))).run()))))
