"""1,000 orders at once from one account, over four processes on one real PostgreSQL. Prints its figures.

Each process is a whole platform without a market; its venue refuses, cancels or lets rest what comes, so that every way
in which an order can end gives back what it held.
"""

import asyncio
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from patriot.store.api import Query
from patriot.store.postgres import PostgresStore
from tests.integration.risk.crowd import INSTRUMENTS
from tests.support.host import Client, define, running_host

ROOT = Path(__file__).parents[3]
PROCESSES, ORDERS = 4, 1_000
OPEN_ORDERS_MAX = 50
BUYING_POWER = Decimal(15_000)
POSITION_MAX = Decimal(3_600)


async def crowd(database: str, account: str, orders: int, seed: int) -> dict[str, Any]:
    """Run one process; what it tells of itself."""
    words = ("-m", "tests.integration.risk.crowd", database, account, str(orders), str(seed))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 100)
    except TimeoutError:
        process.send_signal(signal.SIGKILL)
        raise
    assert process.returncode == 0
    told: dict[str, Any] = orjson.loads(out.splitlines()[-1])
    return told


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.requirement("P11", "B11")
async def test_a_thousand_orders_over_four_processes_never_exceed_what_there_is(
    database: str, postgres_store: PostgresStore
):
    await define(postgres_store, *INSTRUMENTS)
    async with running_host(postgres_store, feeds=()) as host:
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT=str(BUYING_POWER))
        limits = {
            "maximum_open_orders": OPEN_ORDERS_MAX,
            "maximum_position_notional": str(POSITION_MAX),
            "maximum_orders_per_second": 100_000,
        }
        await user.json("POST", f"/risk/limits/{account}", limits)
    watch = asyncio.create_task(highest(postgres_store, account))
    told = await asyncio.gather(*(crowd(database, account, ORDERS // PROCESSES, seed) for seed in range(PROCESSES)))
    watch.cancel()
    reserved, orders, notional = watch_figures(watch)
    taken = sum(one["taken"] for one in told)
    refused: dict[str, int] = {}
    for one in told:
        for code, count in one["refused"].items():
            refused[code] = refused.get(code, 0) + count
    print(
        f"{ORDERS} orders over {PROCESSES} processes: {taken} taken, refused {refused}; at most {reserved:.0f} of"
        f" {BUYING_POWER} USDT held, {orders:.0f} of {OPEN_ORDERS_MAX} orders open,"
        f" {notional:.0f} of {POSITION_MAX} USDT on a side"
    )
    assert taken + sum(refused.values()) == ORDERS
    assert set(refused) <= {"insufficient_buying_power", "open_orders", "position_notional"}
    assert refused, "the limits must have been reached"
    rows = await postgres_store.find(Query("buying_power", None, {"account_id": UUID(account)}))
    assert [(row["total"], row["reserved"], row["margin"]) for row in rows] == [(BUYING_POWER, 0, 0)]
    assert {row["used"] for row in await postgres_store.find(Query("quotas", None))} == {Decimal(0)}


FIGURES: dict[str, Decimal] = {}


async def highest(store: PostgresStore, account: str) -> None:
    """Looks on, as often as it can."""
    while True:
        for row in await store.find(Query("buying_power", None, {"account_id": UUID(account)})):
            _note("reserved", row["reserved"])
            assert row["reserved"] <= row["total"]
        for row in await store.find(Query("quotas", None, {"account_id": UUID(account)})):
            _note(row["name"], row["used"])
        await asyncio.sleep(0.02)


def _note(name: str, value: Decimal) -> None:
    FIGURES[name] = max(FIGURES.get(name, Decimal(0)), value)


def watch_figures(watch: asyncio.Task[None]) -> tuple[Decimal, Decimal, Decimal]:
    assert not watch.done() or watch.cancelled(), watch
    sides = [value * 60_000 for name, value in FIGURES.items() if name.startswith(("buy", "sell"))]
    found = FIGURES["reserved"], FIGURES["orders"], max(sides)
    assert found[0] <= BUYING_POWER
    assert found[1] <= OPEN_ORDERS_MAX
    assert found[2] <= POSITION_MAX
    return found
