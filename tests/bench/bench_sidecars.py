"""What an order costs beside real sidecars: `patriot up --dapr` on Redis, the built-in venue at the end of a real wire.

Method: every part is a process beside its sidecar. After a while of rest, whose processor time is the floor, market
orders are sent by a few clients that each wait for the answer, until all are filled. The processor time of an order is
what all processes used meanwhile, less the floor, by who used it; the load client stands outside.
"""

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil

from patriot.runtime.dapr.machine import dapr_platform
from patriot.runtime.platform import Platform
from patriot.runtime.settings import Settings
from patriot.store.api import Query
from tests.bench.load import Load, measure

ACCOUNTS, CLIENTS = 4, 8
WARM, ORDERS = 24, 240
REST_SECONDS = 5.0
FILLED_SECONDS_MAX = 120.0
MEGABYTE = 1_000_000
PASSWORD = "correct horse battery"

Row = dict[str, Any]


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="patriot-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        return asyncio.run(_measured(Settings(data_dir=folder, port=0, venue_port=0, demo=False, log_level="error")))


async def _measured(settings: Settings) -> list[Row]:
    started = time.monotonic()
    async with dapr_platform(settings) as running:
        rows = [_row("start until all parts are ready", time.monotonic() - started, "s")]
        rows += [_row(f"memory: {who}", value / MEGABYTE, "MB") for who, value in _memory(running).items()]
        return rows + await _orders(running)


async def _orders(running: Platform) -> list[Row]:
    tokens, bodies = await _accounts(running.url)
    await _sent(running, tokens, bodies, WARM)
    await asyncio.sleep(REST_SECONDS)
    before, began = _seconds(running), time.monotonic()
    await asyncio.sleep(REST_SECONDS)
    floor = {who: used / (time.monotonic() - began) for who, used in (_seconds(running) - before).items()}
    before, began = _seconds(running), time.monotonic()
    acknowledged = await _sent(running, tokens, bodies, ORDERS)
    took = time.monotonic() - began
    used = _seconds(running)
    costs = {who: 1000 * (used[who] - before[who] - floor.get(who, 0) * took) / ORDERS for who in used}
    return [
        _row("processor at rest, all parts and sidecars", 100 * sum(floor.values()), "% of a core"),
        _row(f"orders acknowledged, {CLIENTS} clients", acknowledged, "orders/s"),
        _row("orders filled and booked", ORDERS / took, "orders/s"),
        _row("an order, all processes", sum(costs.values()), "ms of processor"),
        *(_row(f"an order: {who}", cost, "ms of processor") for who, cost in sorted(costs.items())),
    ]


async def _accounts(url: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Each user's token, and the order that it sends again and again."""
    tokens, bodies = [], []
    async with httpx.AsyncClient(base_url=url + "/api/v1", timeout=30) as client:
        for number in range(ACCOUNTS):
            user = {"username": f"user-{number}", "password": PASSWORD}
            (await client.post("/users", json=user)).raise_for_status()
            tokens.append((await client.post("/auth/token", json=user)).json()["access_token"])
            client.headers["authorization"] = f"Bearer {tokens[-1]}"
            account = (await client.post("/accounts", json={"exchange": "BINANCE"})).json()["account_id"]
            funds = {"asset": "USDT", "amount": "10000000"}
            (await client.post(f"/accounts/{account}/funds", json=funds)).raise_for_status()
            order = {"account_id": account, "instrument": "BINANCE:BTC/USDT:USDT", "order_type": "market"}
            bodies.append({**order, "side": "buy" if number % 2 else "sell", "quantity": "0.002"})
    return tokens, bodies


async def _sent(running: Platform, tokens: list[str], bodies: list[dict[str, Any]], count: int) -> float:
    """Send orders; return once they are filled and their events are published: how many were acknowledged a second."""
    store, port = running.host.runtime.store, httpx.URL(running.url).port or 80
    filled = len(await store.find(Query("orders", None, {"status": "filled"}, limit=100_000)))
    measured = await measure(Load(port, "/api/v1/orders", bodies, tokens, CLIENTS, 120, count))
    assert not measured.refused, measured.sample
    async with asyncio.timeout(FILLED_SECONDS_MAX):
        while len(await store.find(Query("orders", None, {"status": "filled"}, limit=100_000))) < filled + count:
            await asyncio.sleep(0.1)
        while await store.outbox_depth():
            await asyncio.sleep(0.1)
    return measured.per_second


def _seconds(running: Platform) -> Counter[str]:
    """Processor seconds so far, by who used them."""
    found = Counter[str]()
    for who, process in _processes(running):
        times = process.cpu_times()
        found[who] += times.user + times.system
    return found


def _memory(running: Platform) -> Counter[str]:
    """Bytes that only this process holds, or its share of what several do."""
    found = Counter[str]()
    for who, process in _processes(running):
        found[who] += process.memory_full_info().pss
    return found


def _processes(running: Platform) -> list[tuple[str, psutil.Process]]:
    """Every process of the platform, and which kind it is."""
    kinds = {process.pid: _kind(name) for name, process in running.host.processes.items()}
    found = [("the gateway", psutil.Process())]
    for process in psutil.Process().children(recursive=True):
        if process.pid in kinds:
            found.append((kinds[process.pid], process))
        elif process.name().startswith("postgres"):
            found.append(("PostgreSQL", process))
    return found


def _kind(name: str) -> str:
    if name.endswith(".sidecar"):
        return "sidecars"
    return "the broker" if name == "redis" else "functions and feeds"


def _row(name: str, value: float, unit: str) -> Row:
    return {"name": name, "value": value, "unit": unit}
