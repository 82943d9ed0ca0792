"""The kill storm: SIGKILL of the whole platform and of PostgreSQL while orders flow. Prints its seed and its zeros.

The platform runs as its users run it, as a process of its own. Orders come at a steady rate with idempotency keys; who
gets no answer sends the same again. In the end every acknowledged order is there, the venue's own journal knows each
exactly once, and the books balance.
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from patriot.domain.balances import changes_of
from patriot.store.api import Query
from patriot.store.open import open_store
from schemas.events import MoneyEvent
from schemas.upcasters import decode_event

SEED = int(os.environ.get("PATRIOT_SEED", "20261121"))
PLATFORM_KILLS = int(os.environ.get("PATRIOT_KILLS", "8"))
DATABASE_KILLS = PLATFORM_KILLS // 4
ORDERS_PER_SECOND = 50
RECOVERY_SECONDS_MAX = 5.0
BTC = "BINANCE:BTC/USDT:USDT"
UNSETTLED = {"pending", "submitted", "unknown"}


class Platform:
    """`patriot up` as a process, started again after each kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PATRIOT_EXECUTION": "in_process", "PATRIOT_LOG_LEVEL": "error"}
        command = [sys.executable, "-m", "patriot.cli.main", "--data-dir", str(self.folder)]
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "up", "--plain", "--port", str(self.port)], env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def database_pid(self) -> int | None:
        with suppress(FileNotFoundError, ValueError, IndexError):
            return int((self.folder / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
        return None

    async def ready(self) -> float:
        """Wait until prices are told; returns the moment."""
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.HTTPError, ValueError, KeyError, FileNotFoundError):
                    prices = (await client.get(f"{self.url}/prices", timeout=2)).json()["prices"]
                    session = json.loads((self.folder / "session.json").read_text())
                    if any(one["instrument"] == BTC for one in prices) and session["account_id"]:
                        return time.monotonic()
                await asyncio.sleep(0.05)


class Trader:
    """Sends orders at a steady rate, each until it is answered."""

    def __init__(self, platform: Platform, dice: random.Random) -> None:
        self._platform, self._dice = platform, dice
        self.acknowledged: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.repeated = 0
        self.first_after: float | None = None
        self._session: dict[str, str] = {}
        self._token = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False

    async def log_in(self, client: httpx.AsyncClient) -> None:
        self._session = json.loads((self._platform.folder / "session.json").read_text())
        body = {"username": self._session["username"], "password": self._session["password"]}
        answer = await client.post(f"{self._platform.url}/auth/token", json=body)
        self._token = answer.json()["access_token"]

    async def run(self, client: httpx.AsyncClient) -> None:
        while not self.stopping:
            task = asyncio.create_task(self._place(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(1 / ORDERS_PER_SECOND)
        await asyncio.gather(*self._tasks)

    async def _place(self, client: httpx.AsyncClient) -> None:
        key, body = str(uuid.UUID(int=self._dice.getrandbits(128))), self._order()
        while True:
            try:
                answer = await self._send(client, "/orders", body, key)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 201:
                self.acknowledged[answer.json()["order_id"]] = answer.json()["client_order_id"]
                self.first_after = self.first_after or time.monotonic()
                return
            if answer is not None and answer.status_code < 500:
                self.refused[answer.json()["code"]] += 1
                return
            self.repeated += 1
            await asyncio.sleep(0.5)

    def _order(self) -> dict[str, Any]:
        order = {"account_id": self._session["account_id"], "instrument": BTC, "quantity": "0.002"}
        if self._dice.random() < 0.97:
            return {**order, "side": self._dice.choice(("buy", "sell")), "order_type": "market"}
        return {**order, "side": "buy", "order_type": "limit", "price": f"{self._dice.randint(57_100, 58_000)}"}

    async def _send(self, client: httpx.AsyncClient, path: str, body: Any, key: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} | ({"Idempotency-Key": key} if key else {})
        return await client.post(self._platform.url + path, json=body, headers=headers, timeout=3)


@pytest.fixture
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="patriot-storm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = Platform(folder)
        running.start()
        try:
            yield running
        finally:
            with suppress(subprocess.TimeoutExpired):
                running.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.requirement("B11", "B12", "A6", "P2")
async def test_kill_storm_loses_nothing_and_doubles_nothing(platform, capsys):
    dice = random.Random(SEED)
    await platform.ready()
    trader = Trader(platform, random.Random(SEED + 1))
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=200)) as client:
        await trader.log_in(client)
        trading = asyncio.create_task(trader.run(client))
        recoveries = await storm(platform, trader, dice)
        trader.stopping = True
        await trading
        lost, unsettled = await settled(platform, trader)
    exit_code = platform.stop()
    journal = client_order_ids(platform.folder)
    doubled = {name: count for name, count in journal.items() if count > 1}
    unbalanced, misbooked = await books(platform.folder)
    with capsys.disabled():
        print(
            f"\nkill storm: seed {SEED}, {PLATFORM_KILLS} kills of the platform, {DATABASE_KILLS} of PostgreSQL, "
            f"{len(trader.acknowledged)} orders acknowledged, {trader.repeated} sent again; "
            f"lost {len(lost)}, unsettled {len(unsettled)}, doubled at the venue {len(doubled)}, "
            f"unbalanced assets {len(unbalanced)}, wrong balances {len(misbooked)}; "
            f"recovery median {sorted(recoveries)[len(recoveries) // 2]:.2f} s, worst {max(recoveries):.2f} s"
        )
    assert len(trader.acknowledged) > 10 * PLATFORM_KILLS
    assert (lost, unsettled, doubled, unbalanced, misbooked) == ([], [], {}, {}, {})
    assert exit_code == 0
    assert max(recoveries) <= RECOVERY_SECONDS_MAX


async def storm(platform: Platform, trader: Trader, dice: random.Random) -> list[float]:
    """Kill at random moments; returns the seconds from readiness to the next acknowledged order."""
    targets = ["platform"] * PLATFORM_KILLS + ["database"] * DATABASE_KILLS
    dice.shuffle(targets)
    recoveries = []
    for target in targets:
        await asyncio.sleep(dice.uniform(0.3, 2.0))
        if target == "platform":
            platform.kill()
            platform.start()
            ready = await platform.ready()
        else:
            pid = platform.database_pid()
            if pid is None:
                continue
            os.kill(pid, signal.SIGKILL)
            ready = time.monotonic()
        trader.first_after = None
        async with asyncio.timeout(60):
            while trader.first_after is None:
                await asyncio.sleep(0.01)
        recoveries.append(max(0.0, trader.first_after - ready))
    return recoveries


async def settled(platform: Platform, trader: Trader) -> tuple[list[str], list[str]]:
    """(acknowledged orders that are not there, those that are still without proof after a while)."""
    missing: list[str] = []
    async with httpx.AsyncClient() as client:
        waiting = list(trader.acknowledged)
        deadline = time.monotonic() + 90
        while waiting and time.monotonic() < deadline:
            still = []
            for order_id in waiting:
                headers = {"Authorization": f"Bearer {trader._token}"}
                answer = await client.get(f"{platform.url}/orders/{order_id}", headers=headers, timeout=10)
                if answer.status_code == 404:
                    missing.append(order_id)
                elif answer.json()["status"] in UNSETTLED:
                    still.append(order_id)
            waiting = still
            await asyncio.sleep(0.5)
    return missing, waiting


def client_order_ids(folder: Path) -> Counter[str]:
    """How many orders the venue has under each client order id."""
    orders = {}
    for line in (folder / "venue" / "BINANCE.jsonl").read_text().splitlines():
        for order in json.loads(line)["orders"]:
            orders[order["id"]] = order["client_order_id"]
    return Counter(orders.values())


async def books(folder: Path) -> tuple[dict[str, Decimal], dict[tuple[Any, str], Any]]:
    """(assets whose ledger does not sum to zero, balances that are not the sum of their events)."""
    async with open_store(folder / "postgres") as store:
        sums: dict[str, Decimal] = {}
        for entry in await store.find(Query("ledger_entries", None, {}, limit=10**7)):
            sums[entry["asset"]] = sums.get(entry["asset"], Decimal(0)) + entry["amount"]
        totals: dict[tuple[Any, str], list[Decimal]] = {}
        async for recorded in store.read():
            event = decode_event(recorded.type, recorded.schema_version, recorded.data)
            if isinstance(event, MoneyEvent):
                for delta in changes_of(event):
                    balance = totals.setdefault((delta.account_id, delta.asset), [Decimal(0)] * 3)
                    for index, amount in enumerate((delta.total, delta.reserved, delta.margin)):
                        balance[index] += amount
        rows = await store.find(Query("buying_power", None, {}, limit=10**6))
    wrong = {
        (row["account_id"], row["asset"]): row
        for row in rows
        if totals.get((row["account_id"], row["asset"]), [Decimal(0)] * 3)
        != [row["total"], row["reserved"], row["margin"]]
    }
    return {asset: total for asset, total in sums.items() if total}, wrong
