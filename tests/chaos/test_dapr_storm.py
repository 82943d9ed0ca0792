"""Case 1 on Dapr: SIGKILL of functions, sidecars, feeds, the relay and the broker while orders flow.

The platform runs as `patriot up --dapr` runs it, every part a process beside its sidecar; what is killed is started
again. In the end every acknowledged order has an end or rests, the venue knows each once, and the books balance.
PATRIOT_KILLS and PATRIOT_SEED choose another storm.
"""

import asyncio
import json
import os
import random
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from patriot.runtime.dapr.machine import dapr_platform
from patriot.runtime.settings import Settings
from patriot.store.api import Query, Store
from tests.chaos.books import check_books
from tests.support.servers import broker

SEED = int(os.environ.get("PATRIOT_SEED", "20261121"))
KILLS = int(os.environ.get("PATRIOT_KILLS", "10"))
ORDERS_PER_SECOND, UNDER_WAY_MAX = 50, 100
RECOVERY_SECONDS_MAX = 5.0  # since the part that was killed is ready again
INSTRUMENT = "BINANCE:BTC/USDT:USDT"
PASSWORD = "correct horse battery"
UNSETTLED = {"pending", "submitted", "unknown"}
NEVER_ARRIVED = "the venue does not know the order, and its receive window is over"
NOT_SENT = "not sent; try again"  # the state store was killed: nobody knows what this address has asked
SETTLE_SECONDS_MAX = 150
TARGETS = (
    "order-commands", "order-commands.sidecar", "order-routing", "order-routing.sidecar", "order-execution",
    "order-execution.sidecar", "order-lifecycle", "order-lifecycle.sidecar", "portfolio-projection", "relay", "redis",
    "account-data", "market-data.sidecar",
)  # fmt: skip


class Traffic:
    """Market orders of one user, each sent again under its key until it is answered."""

    def __init__(self, client: httpx.AsyncClient, dice: random.Random) -> None:
        self._client, self._dice = client, dice
        self.acknowledged: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.newest = 0.0
        self._headers: dict[str, str] = {}
        self._account = ""

    async def prepare(self) -> None:
        credentials = {"username": "storm", "password": PASSWORD}
        await self._until_answered("POST", "/users", credentials)
        token = (await self._until_answered("POST", "/auth/token", credentials)).json()["access_token"]
        self._headers = {"authorization": f"Bearer {token}"}
        self._account = (await self._until_answered("POST", "/accounts", {"exchange": "BINANCE"})).json()["account_id"]
        for asset, amount in (("USDT", "1000000"), ("BTC", "10")):
            await self._until_answered("POST", f"/accounts/{self._account}/funds", {"asset": asset, "amount": amount})

    async def place(self) -> None:
        order = {"account_id": self._account, "instrument": INSTRUMENT, "order_type": "market", "quantity": "0.002"}
        answer = await self._until_answered("POST", "/orders", {**order, "side": self._dice.choice(("buy", "sell"))})
        if answer.status_code == 201:
            self.newest = time.monotonic()
            self.acknowledged[answer.json()["order_id"]] = answer.json()["client_order_id"]
        else:
            self.refused[answer.json()["code"]] += 1

    async def _until_answered(self, method: str, path: str, body: Any) -> httpx.Response:
        headers = {**self._headers, "idempotency-key": str(uuid.UUID(int=self._dice.getrandbits(128)))}
        while True:
            try:
                answer = await self._client.request(method, path, json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return answer
            await asyncio.sleep(0.25)


@asynccontextmanager
async def flowing(traffic: Traffic) -> AsyncIterator[None]:
    """Orders at a steady rate while the block runs; at its end every one that is under way gets its answer."""
    under_way: set[asyncio.Task[None]] = set()

    async def flow() -> None:
        while True:
            if len(under_way) < UNDER_WAY_MAX:
                task = asyncio.create_task(traffic.place())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(1 / ORDERS_PER_SECOND)

    job = asyncio.create_task(flow())
    try:
        yield
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        await asyncio.gather(*under_way)


async def orders_of(store: Store) -> dict[str, dict[str, Any]]:
    return {str(row["id"]): dict(row) for row in await store.find(Query("orders", None, limit=100_000))}


async def settled(store: Store, acknowledged: dict[str, str]) -> dict[str, str]:
    """Orders without proof, after all had time to get it."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        rows = await orders_of(store)
        stuck = {one: rows[one]["status"] if one in rows else "missing" for one in acknowledged}
        stuck = {one: status for one, status in stuck.items() if status in {*UNSETTLED, "missing"}}
        if not stuck or time.monotonic() > deadline:
            return stuck
        await asyncio.sleep(1)


def venue_orders(folder: Path) -> Counter[str]:
    """Client order id -> how many orders the venue's own journal knows under it."""
    found: dict[tuple[str, str], str] = {}
    for path in (folder / "venue").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            for order in json.loads(line)["orders"]:
                found[path.stem, order["id"]] = order["client_order_id"]
    return Counter(found.values())


@pytest.mark.dapr
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("B12", "A6", "C3", "C4")
async def test_kills_of_processes_sidecars_and_broker_lose_nothing(capsys):
    broker("redis")  # skips where there is none
    dice = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="patriot-dapr-storm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # noqa: ASYNC240 - before anything runs
        settings = Settings(data_dir=folder, port=0, venue_port=0, demo=False, log_level="error")
        recoveries = []  # until an order was acknowledged again: seconds since the part was ready, and since the kill
        async with (
            dapr_platform(settings) as running,
            httpx.AsyncClient(base_url=running.url + "/api/v1", timeout=15) as client,
        ):
            traffic = Traffic(client, dice)
            await traffic.prepare()
            await traffic.place()
            started = time.monotonic()
            async with flowing(traffic):
                for target in [dice.choice(TARGETS) for _ in range(KILLS)]:
                    await asyncio.sleep(dice.uniform(0.5, 2))
                    victim, at = running.host.processes[target], time.monotonic()
                    victim.kill()
                    async with asyncio.timeout(60):
                        while not at < victim.ready_at < traffic.newest:
                            await asyncio.sleep(0.01)
                    recoveries.append((traffic.newest - victim.ready_at, traffic.newest - at))
            seconds = time.monotonic() - started
            store = running.host.runtime.store
            stuck = await settled(store, traffic.acknowledged)
            rows = await orders_of(store)
            await check_books(store)
            dead = await store.find(Query("dead_letters", None))
            left = await store.outbox_depth()
        known = venue_orders(folder)
    last = int(KILLS * 0.99)
    since_ready, since_kill = (sorted(column) for column in zip(*recoveries, strict=True))
    rate, doubled = len(traffic.acknowledged) / seconds, sum(count > 1 for count in known.values())
    with capsys.disabled():
        print(
            f"\ndapr storm: seed {SEED}, {KILLS} kills, {len(traffic.acknowledged)} orders acknowledged ({rate:.0f} a "
            f"second of {ORDERS_PER_SECOND}), refused {dict(traffic.refused)}, stuck {len(stuck)}, doubled {doubled}, "
            f"dead {len(dead)}, outbox {left}; recovery p50 {since_ready[KILLS // 2]:.2f} p99 {since_ready[last]:.2f} "
            f"s from readiness, p50 {since_kill[KILLS // 2]:.2f} p99 {since_kill[last]:.2f} s from the kill"
        )
    assert stuck == {}
    assert [one for one, count in known.items() if count > 1] == []
    absent = [rows[one] for one, name in traffic.acknowledged.items() if name not in known]
    reasons = {row["reason"] for row in absent}
    assert all(one == NEVER_ARRIVED or one.startswith(NOT_SENT) for one in reasons), (
        f"killed between the decision to send and the first byte: {reasons}"
    )
    assert [row["error"] for row in dead] == []
    assert since_ready[last] <= RECOVERY_SECONDS_MAX
    assert len(traffic.acknowledged) > 5 * KILLS
