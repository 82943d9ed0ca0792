"""T9 on the whole platform: PostgreSQL with fsync, the synthetic market, the built-in venue, others who trade.

Half a second is the promise, and all that is asked here: how much quicker it is, and how many orders a second, tells
tests/bench/bench_orders.py ("tick, signal, order acknowledged", "burst acknowledged") on a quiet machine.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID

import orjson
import pytest
import pytest_asyncio

from feeds.strategies.app import place_order
from feeds.strategies.runner import Runner
from patriot.protocols.market import Trade
from patriot.runtime.edge import user_context
from patriot.runtime.platform import platform
from patriot.runtime.settings import Settings
from patriot.store.api import StreamId
from patriot.strategy import Intent, Strategy
from patriot.telemetry.metrics import metrics
from tests.support.host import PERPETUAL, Client, until_idle

PROMISED_SECONDS = 0.5
SIGNALS, PAUSE_SECONDS = 80, 0.04
OTHERS_PER_SECOND = 30
BURST = 200
LIMITS = {"maximum_orders_per_second": 100_000, "maximum_open_orders": 100_000}
ANSWERED = {"order.accepted", "order.partially_filled", "order.filled"}
TICKS = "TEST:TICKS"  # nobody else hears these

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.postgres,
    pytest.mark.alone,
    pytest.mark.timeout(120),
    pytest.mark.requirement("T9"),
]


class Flips(Strategy):
    """Wants an order after every bar: buys and sells by turns."""

    NAME = "flips"

    def on_bar(self, bar: Any) -> list[Intent]:
        side = "buy" if bar.open_ms // 1000 % 2 else "sell"
        return [Intent(self.instrument.id, side, Decimal("0.002"))]


@dataclass(frozen=True)
class Desk:
    host: Any
    user: Client
    account: str

    async def order(self, key: str) -> str:
        """Acknowledged, if need be after some "come again"; its id."""
        fields = {"account_id": self.account, "instrument": PERPETUAL.id, "side": "buy", "order_type": "market"}
        while True:
            answer = await self.user.call("POST", "/orders", {**fields, "quantity": "0.002"}, idempotency_key=key)
            if answer.status == 201:
                return str(orjson.loads(answer.body)["order_id"])
            assert answer.status == 503, answer.body
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-signals-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # the database server runs as another user where we are root
        yield Path(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(folder: Path) -> AsyncIterator[Desk]:
    settings = Settings(data_dir=folder, port=0, execution="in_process", demo=False)
    async with platform(settings) as running:
        user = await Client(running.host).register("quant")
        desk = Desk(running.host, user, await user.paper_account(USDT="10000000"))
        await user.json("POST", f"/risk/limits/{desk.account}", LIMITS)
        await desk.order("the first price is there")
        yield desk


async def test_signal_is_an_order_at_the_venue_within_the_promised_time(desk: Desk):
    runtime, counted = desk.host.runtime, signals_counted()
    me = await desk.user.json("GET", "/users/me")
    context = user_context(runtime, "strategies", runtime.settings.tenant_id, UUID(me["user_id"]))
    signalled, acknowledged, orders = [], [], []

    async def place(intent: Intent) -> None:
        order_id = await place_order(context, UUID(desk.account), Flips.NAME, intent)
        acknowledged.append(time.monotonic() - signalled[-1][0])
        orders.append((order_id, signalled[-1][1]))

    runner = Runner(Flips(await context.instrument(PERPETUAL.id), Strategy.Parameters(bar_seconds=1)), place)

    others = asyncio.create_task(trade_meanwhile(desk))
    for second in range(SIGNALS + 1):  # each trade closes the bar of the second before
        signalled.append((time.monotonic(), runtime.clock.now()))
        if runner.on_market(Trade(PERPETUAL.id, 600_000, 10, False, str(second), second * 1000)):
            await runner.work()
        await asyncio.sleep(PAUSE_SECONDS)
    others.cancel()
    await until_idle(desk.host, 30)

    at_venue = [(await answered_at(desk, order_id) - since).total_seconds() for order_id, since in orders]
    assert len(at_venue) == SIGNALS
    assert p95(acknowledged) <= PROMISED_SECONDS
    assert p95(at_venue) <= PROMISED_SECONDS
    assert signals_counted() - counted == SIGNALS, "what the alert asks"


async def test_burst_is_acknowledged_whole_and_filled(desk: Desk):
    orders = await asyncio.gather(*(desk.order(f"burst-{number}") for number in range(BURST)))
    assert len(set(orders)) == BURST
    await until_idle(desk.host, 60)
    assert [(await desk.user.json("GET", f"/orders/{order_id}"))["status"] for order_id in orders] == ["filled"] * BURST


async def trade_meanwhile(desk: Desk) -> None:
    number = 0
    async with asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(desk.order(f"meanwhile-{number}"))
            number += 1
            await asyncio.sleep(1 / OTHERS_PER_SECOND)


async def answered_at(desk: Desk, order_id: Any) -> Any:
    runtime = desk.host.runtime
    events = await runtime.store.load(StreamId(runtime.settings.tenant_id, "order", order_id), 0)
    return next(event.occurred_at for event in events if event.type in ANSWERED)


def signals_counted() -> float:
    asked = {"service": "strategies", "stage": "signal"}
    return metrics.registry.get_sample_value("order_processing_duration_seconds_count", asked) or 0.0


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[18]
