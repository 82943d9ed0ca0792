"""Event store: durable events/s of `Store.commit`, against a bare asyncpg `unnest` batch and the eventsourcing library.

    python tests/bench/bench_event_store.py            the table
    PATRIOT_PEERS=/path/to/python                      an interpreter that has eventsourcing[postgres]

Method: one embedded PostgreSQL with fsync on; the limit and the store run in this process on uvloop, the peer in its
own; the rounds of all are interleaved; wall-clock time; the median round counts, the worst is shown. Every writer
waits for its event to be durable before it sends the next one; a stream gets four events. The limit is the least that
can be done: the same group commit, one table with two indexes, no outbox, no checks but the version's, one statement
per batch.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))  # run as a script

WRITERS = (1, 16, 256)
ROUNDS = 5
SECONDS = 1.0
EVENTS_PER_STREAM = 4
DATA = json.dumps(
    {
        "order_id": "0" * 32, "instrument": "BINANCE:BTC/USDT", "side": "buy", "quantity": "0.25000000",
        "price": "67123.45000000", "time_in_force": "GTC", "account": "ACC00017", "strategy": "ema-cross-3",
        "risk": {"ok": True, "checks": ["size", "notional", "rate", "collar"]},
    }
)  # fmt: skip
TARGETS = {("limit", 256): 0.6, ("eventsourcing", 256): 20.0}
Append = Callable[[UUID, int], Awaitable[Any]]


async def rate(append: Append, writers: int) -> float:
    """Events per second that `writers` get through, each waiting for its own."""
    count, end = 0, time.perf_counter() + SECONDS

    async def write() -> None:
        nonlocal count
        while time.perf_counter() < end:
            stream = uuid4()
            for version in range(EVENTS_PER_STREAM):
                await append(stream, version)
                count += 1

    start = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    return count / (time.perf_counter() - start)


# --- the limit -------------------------------------------------------------------------------------------------------

BARE_TABLE = """
create table bare_events (
    id bigint generated always as identity primary key, stream uuid not null, version int not null, type text not null,
    data jsonb not null, recorded_at timestamptz not null default clock_timestamp(), unique (stream, version)
)
"""
BARE_INSERT = """
insert into bare_events (stream, version, type, data)
select * from unnest($1::uuid[], $2::int[], $3::text[], $4::jsonb[])
on conflict (stream, version) do nothing returning stream, version
"""


class Bare:
    """Group commit and nothing else."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._queue: list[tuple[UUID, int, str, str, asyncio.Future[bool]]] = []
        self._work = asyncio.Event()
        self._task = asyncio.create_task(self._write())

    async def append(self, stream: UUID, version: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self._queue.append((stream, version + 1, "order.created", DATA, future))
        self._work.set()
        assert await future

    async def _write(self) -> None:
        insert = await self._connection.prepare(BARE_INSERT)
        while True:
            await self._work.wait()
            await asyncio.sleep(0)
            self._work.clear()
            batch, self._queue = self._queue, []
            rows = await insert.fetch(*([entry[column] for entry in batch] for column in range(4)))
            kept = None if len(rows) == len(batch) else {(row[0], row[1]) for row in rows}
            for entry in batch:
                entry[4].set_result(kept is None or (entry[0], entry[1]) in kept)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._connection.close()


# --- the store -------------------------------------------------------------------------------------------------------


def store_append(store: Any) -> Append:
    """One event per commit, published: it goes through the outbox."""
    from patriot.store import api

    tenant = UUID(int=1)
    origin = api.Origin(tenant, "user:1", "req_1700000000000_deadbeef", "command:1")
    event, now = api.NewEvent("order.created", 1, DATA.encode()), datetime.now(UTC)

    async def append(stream: UUID, version: int) -> None:
        to = api.Append(api.StreamId(tenant, "order", stream), version, (event,))
        await store.commit(api.Commit(origin, now, (to,)))

    return append


def order_append(store: Any) -> Append:
    """What an order costs: event, reservation, idempotency record, guards, one row; then taken off the outbox."""
    from patriot.store import api

    tenant, accounts = UUID(int=2), [UUID(int=number) for number in range(100, 200)]
    event, now = api.NewEvent("order.created", 1, DATA.encode()), datetime.now(UTC)

    async def append(stream: UUID, version: int) -> None:
        account = accounts[stream.int % 100]
        origin = api.Origin(tenant, "user:1", "req_1700000000000_deadbeef", "command:1")
        change = api.BalanceChange(account, "USDT", Decimal(1), Decimal(1), required=Decimal(0))
        guards = (api.Guard("platform", 0), api.Guard(f"account:{account}", 0))
        answer = api.IdempotencyRecord(account, "POST /orders", f"{stream.hex}{version}", b"hash" * 8, 201, b"{}")
        values = {"id": stream, "account_id": account, "status": "pending", "stream_version": version + 1}
        to = api.Append(api.StreamId(tenant, "order", stream), version, (event,))
        events = await store.commit(
            api.Commit(origin, now, (to,), (change,), (api.Row("orders", values),), guards, idempotency=answer)
        )
        waiting.append(asyncio.ensure_future(store.published(events)))
        if len(waiting) > 2000:
            await waiting.popleft()

    from collections import deque

    waiting: deque[asyncio.Future[None]] = deque()
    return append


# --- the peer --------------------------------------------------------------------------------------------------------


def work(socket_folder: str) -> None:
    """The peer's process: a line with the number of writers in, one round, its events per second out."""
    os.environ.update(
        PERSISTENCE_MODULE="eventsourcing.postgres", POSTGRES_DBNAME="peer", POSTGRES_HOST=socket_folder,
        POSTGRES_PORT="5432", POSTGRES_USER="postgres", POSTGRES_PASSWORD="none", POSTGRES_POOL_SIZE="16",
    )  # fmt: skip
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class Order(Aggregate):
        @event("Created")
        def __init__(self, data: dict[str, Any]) -> None:
            self.data = data

        @event("Changed")
        def change(self, data: dict[str, Any]) -> None:
            self.data = data

    application, data = Application[UUID](), json.loads(DATA)

    def write(end: float, counts: list[int]) -> None:
        while time.perf_counter() < end:
            order = Order(data=data)
            application.save(order)
            for _ in range(EVENTS_PER_STREAM - 1):
                order.change(data=data)
                application.save(order)
            counts.append(EVENTS_PER_STREAM)

    for line in sys.stdin:
        start, counts = time.perf_counter(), list[int]()
        threads = [threading.Thread(target=write, args=(start + SECONDS, counts)) for _ in range(int(line))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(sum(counts) / (time.perf_counter() - start), flush=True)


class Peer:
    """The other end of `work`."""

    def __init__(self, python: str, socket_folder: str) -> None:
        command, pipe = [python, str(HERE), "--worker", socket_folder], subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    async def rate(self, writers: int) -> float:
        return await asyncio.to_thread(self._rate, min(writers, 16))  # more threads make it slower

    def _rate(self, threads: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(threads, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline() or "nan")

    def close(self) -> None:
        self._process.communicate()


# --- controller ------------------------------------------------------------------------------------------------------


async def measure(folder: Path, rounds: int) -> dict[tuple[str, int], list[float]]:
    """Rates of every candidate at every number of writers, one per round."""
    import asyncpg

    from patriot.store.open import open_store

    results: dict[tuple[str, int], list[float]] = {}
    async with open_store(folder) as store:
        socket = str(folder / "socket")
        admin = await asyncpg.connect(host=socket, user="postgres", database="postgres")
        await admin.execute("create database bare")
        await admin.execute("create database peer")
        connection = await asyncpg.connect(host=socket, user="postgres", database="bare")
        await connection.execute(BARE_TABLE)
        bare = Bare(connection)
        peer = Peer(os.environ["PATRIOT_PEERS"], socket) if "PATRIOT_PEERS" in os.environ else None
        candidates: dict[str, Callable[[int], Awaitable[float]]] = {
            "limit": lambda writers: rate(bare.append, writers),
            "patriot": lambda writers: rate(store_append(store), writers),
            "patriot, whole order": lambda writers: rate(order_append(store), writers),
        }
        if peer is not None:
            candidates["eventsourcing"] = peer.rate
        for number in range(rounds + 1):
            for writers in WRITERS:
                for name in list(candidates)[:: 1 if number % 2 else -1]:
                    events_per_second = await candidates[name](writers)
                    if number:  # the first round warms up
                        results.setdefault((name, writers), []).append(events_per_second)
        await bare.close()
        await admin.close()
        if peer is not None:
            await asyncio.to_thread(peer.close)
    return results


def rows_of(results: dict[tuple[str, int], list[float]]) -> list[dict[str, Any]]:
    rows = []
    for writers in WRITERS:
        ours = results["patriot", writers]
        for name in dict.fromkeys(name for name, _ in results):
            theirs = results[name, writers]
            other = name in ("limit", "eventsourcing")
            ratio = statistics.median(mine / its for mine, its in zip(ours, theirs, strict=True)) if other else None
            target = TARGETS.get((name, writers)) if other else 5000 if writers == 256 else None
            rows.append(_row(f"{name}, {writers} writers", theirs, ratio, name if other else "", target))
    return rows


def _row(name: str, rates: list[float], ratio: float | None, peer: str, target: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(statistics.median(rates)),
        "worst": round(min(rates)),
        "unit": "events/s",
        "ratio": None if ratio is None else round(ratio, 2),  # our speed / theirs
        "peer": peer,
        "target": target,
    }


def run(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Rows (name, value, worst, unit, ratio, peer, target) for the table of all benchmarks."""
    import uvloop

    with tempfile.TemporaryDirectory(prefix="patriot-bench-") as folder:
        Path(folder).chmod(0o755)
        return rows_of(uvloop.run(measure(Path(folder) / "postgres", rounds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", metavar="SOCKET_FOLDER")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return
    if "PATRIOT_PEERS" not in os.environ:
        print("PATRIOT_PEERS is not set: eventsourcing's rows are left out", file=sys.stderr)
    print(f"{'':38}{'median':>12}{'worst':>12}  {'unit':12}{'ours / it':>10}{'target':>8}")
    for row in run(arguments.rounds):
        ratio, target = (row[key] if row[key] is not None else "" for key in ("ratio", "target"))
        print(f"{row['name']:38}{row['value']:>12}{row['worst']:>12}  {row['unit']:12}{ratio:>10}{target:>8}")


if __name__ == "__main__":
    main()
