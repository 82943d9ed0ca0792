"""Orders over HTTP: acknowledged, filled and booked, against a bare FastAPI + Pydantic echo of the same body (limit).

    PATRIOT_PEERS_312=/path/to/python                  a Python 3.12 that has matching-engine (peer), fastapi, uvloop

Method: PostgreSQL with fsync, the platform with its synthetic market and the load client share the machine; client,
echo and peer are processes of their own; rounds are interleaved, the median counts, the worst is shown. An order is
acknowledged when it is authenticated, validated, risk-checked, reserved and durable. A burst comes on 64 connections
and is over when all are acknowledged; what follows from it (venue, fill, ledger, read models) runs while it lasts, and
is waited for. Sustained means that the orders keep coming at a fixed rate and the queue of deliveries stays flat.
"""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import mean, median
from typing import Any
from uuid import UUID

import httpx
import uvloop
from msgspec import structs

from feeds.strategies.app import place_order
from feeds.strategies.runner import Runner
from patriot.protocols.market import Trade
from patriot.runtime.edge import user_context
from patriot.strategy import Intent, Strategy
from tests.bench.load import ROOT, Load, Measured, measure
from tests.bench.world import QUANTITY, World, opened

ROUNDS = 5
BURST = 2_000
BURST_CONNECTIONS = 64
WIRE_BURST = 300
CONNECTIONS = 32
SECONDS = 1.5
FLAT_SECONDS = 6.0
FLAT_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the rate at which a burst is worked off
SIGNALS = 200
ECHO = "FastAPI echo"
PATH = "/api/v1/orders"
PEER_PATH = "/markets/BTC-USDT/orders"
PEER_RATIO = 0.40  # of the echo, as measured on the machine where the targets were set

Row = dict[str, Any]


@dataclass
class Rounds:
    """Orders per second of every round, and the latencies of the bursts."""

    echo: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    bursts: list[Measured] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)  # per second until the last read model knew of the burst


def run() -> list[Row]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_rows())


async def _rows() -> list[Row]:
    peer = os.environ.get("PATRIOT_PEERS_312", "")
    async with opened() as world, _echo() as echo_port, _peer(peer) as peer_port:
        rounds = Rounds()
        for _ in range(ROUNDS):
            echo = Load(echo_port, PATH, world.orders(), connections=CONNECTIONS, seconds=SECONDS)
            rounds.echo.append((await _answered(echo)).per_second)
            if peer_port:
                theirs = Load(peer_port, PEER_PATH, _peer_orders(), connections=CONNECTIONS, seconds=SECONDS)
                rounds.peer.append((await _answered(theirs)).per_second)
            await _burst(world, rounds)
        rows = [*_burst_rows(rounds), *_peer_rows(rounds)]
        rate = median(burst.per_second for burst in rounds.bursts)
        rows += await _half_load("acknowledged", world, rate / 2, seconds=2.0)
        rows += await _sustained_rows(world, median(rounds.whole))
        rows += await _signal_rows(world)
    return rows + await _wire_rows()


# --- acknowledgement burst --------------------------------------------------------------------------------------------


async def _burst(world: World, rounds: Rounds, count: int = BURST) -> None:
    started = time.perf_counter()
    rounds.bursts.append(await _answered(_orders(world, connections=BURST_CONNECTIONS, seconds=60.0, count=count)))
    await world.until_idle()
    rounds.whole.append(count / (time.perf_counter() - started))


def _burst_rows(rounds: Rounds) -> list[Row]:
    rates = [burst.per_second for burst in rounds.bursts]
    ratios = [mine / limit for mine, limit in zip(rates, rounds.echo, strict=True)]
    target = ">= 2,000/s and >= 0.20"
    return [
        _row("echo (limit)", median(rounds.echo), "requests/s"),
        _row("burst acknowledged", median(rates), "orders/s", (median(ratios), ECHO), target),
        _row("burst acknowledged, worst round", min(rates), "orders/s", (min(ratios), ECHO)),
        _row("burst, p99", median(burst.p99_ms for burst in rounds.bursts), "ms"),
        _row("burst, until filled, booked and shown", median(rounds.whole), "orders/s"),
    ]  # fmt: skip


# --- sustained --------------------------------------------------------------------------------------------------------


async def _sustained_rows(world: World, worked_off: float) -> list[Row]:
    for share in FLAT_SHARES:
        rate = worked_off * share
        if await _is_flat(world, rate):
            rows = [_row("sustained place, fill, ledger; flat queue", rate, "orders/s")]
            return rows + await _half_load("sustained", world, rate / 2, FLAT_SECONDS)
    return [_row("sustained place, fill, ledger: the queue was flat at no rate", 0.0, "orders/s")]


async def _is_flat(world: World, rate: float) -> bool:
    """Nothing is refused, and the second half of the run adds less than a second's worth of deliveries to the queue."""
    load = asyncio.create_task(measure(_orders(world, rate=rate, seconds=FLAT_SECONDS)))
    depths: list[int] = []
    while not load.done():
        depths.append(world.host.broker.pending)
        await asyncio.sleep(0.05)
    refused = (await load).refused
    await world.until_idle()
    quarter = len(depths) // 4
    return not refused and mean(depths[-quarter:]) - mean(depths[quarter : 2 * quarter]) < rate


async def _half_load(name: str, world: World, rate: float, seconds: float) -> list[Row]:
    """Latencies at half of a rate: of the acknowledgement, and from creation to fill as the events tell."""
    after = await _last_position(world)
    answers = await _answered(_orders(world, rate=rate, seconds=seconds))
    await world.until_idle()
    fills = await _fill_latencies(world, after)
    what = f"{name}, half load"
    return [
        _row(f"{what}: acknowledgement p50", answers.p50_ms, "ms"),
        _row(f"{what}: acknowledgement p99", answers.p99_ms, "ms", target="< 50"),
        _row(f"{what}: created to filled p50", _share(fills, 0.5), "ms"),
        _row(f"{what}: created to filled p99", _share(fills, 0.99), "ms"),
    ]


async def _last_position(world: World) -> int:
    return max([event.position async for event in world.host.runtime.store.read()], default=0)


async def _fill_latencies(world: World, after: int) -> list[float]:
    """Milliseconds from `order.created` to `order.filled` of every order since."""
    created, latencies = {}, []
    async for event in world.host.runtime.store.read(after, ["order"]):
        if event.type == "order.created":
            created[event.stream.id] = event.occurred_at
        elif event.type == "order.filled":
            latencies.append((event.occurred_at - created[event.stream.id]).total_seconds() * 1000)
    assert len(latencies) == len(created), "every order is filled"
    return sorted(latencies)


async def _wire_rows() -> list[Row]:
    """The same with signed requests: ccxt on one side, the built-in venue's sockets on the other. That venue counts no
    request weight; at an exchange its budget is the limit.
    """
    return [_row("over the wire by ccxt, filled, booked and shown", await _over_the_wire(), "orders/s")]


async def _over_the_wire() -> float:
    async with opened(execution="wire") as world:
        rounds = Rounds()
        for _ in range(2):
            await _burst(world, rounds, WIRE_BURST)
    return max(rounds.whole)


# --- tick to order ----------------------------------------------------------------------------------------------------


class Flips(Strategy):
    """Wants an order after every bar."""

    NAME = "flips"
    side = "buy"

    def on_bar(self, bar: object) -> Sequence[Intent]:
        del bar
        self.side = "sell" if self.side == "buy" else "buy"
        return [Intent(self.instrument.id, self.side, Decimal(QUANTITY))]  # type: ignore[arg-type]


async def _signal_rows(world: World) -> list[Row]:
    """A tick on the ticks port closes a bar, the strategy wants an order, order_commands has acknowledged it."""
    runtime, account = world.host.runtime, world.accounts[0]
    me = await world.client.json("GET", "/users/me")
    context = user_context(runtime, "strategies", runtime.settings.tenant_id, UUID(me["user_id"]))
    instrument = await context.instrument(world.instruments[0])
    acknowledged: asyncio.Queue[float] = asyncio.Queue()

    async def place(intent: Intent) -> None:
        assert await place_order(context, UUID(account), "bench", intent) is not None
        acknowledged.put_nowait(time.perf_counter())

    runner = Runner(Flips(instrument, Strategy.Parameters(bar_seconds=1)), place)  # type: ignore[arg-type]

    def on_tick(tick: Any) -> None:
        if runner.on_market(structs.replace(tick, instrument=instrument.id)):
            runtime.spawn(runner.work(), "bench strategy")

    stop, latencies = runtime.ticks.subscribe(on_tick, ["BENCH:TICKS"]), []  # nobody else hears these
    for number in range(SIGNALS + 1):
        started = time.perf_counter()
        runtime.ticks.publish(Trade("BENCH:TICKS", 600_000, 10, False, str(number), number * 1000))
        if number:  # the first tick opens the first bar
            latencies.append((await acknowledged.get() - started) * 1000)
            await asyncio.sleep(0.01)
    stop()
    await world.until_idle()
    latencies.sort()
    return [
        _row("tick, signal, order acknowledged p50", _share(latencies, 0.5), "ms"),
        _row("tick, signal, order acknowledged p99", _share(latencies, 0.99), "ms"),
    ]


# --- the others -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    port = _free_port()
    async with _serving([sys.executable, "-m", "tests.bench.echo", str(port)], port):
        yield port


@asynccontextmanager
async def _peer(python: str) -> AsyncIterator[int]:
    """The gateway of `matching-engine` with its journal synced; port 0 where it is not installed."""
    if not python:
        yield 0
        return
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "matching_engine", "serve", "--port", str(port)]
        async with _serving(command, port, ME_DATA_DIR=folder):
            yield port


@asynccontextmanager
async def _serving(command: Sequence[str], port: int, **environment: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **environment}, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20), httpx.AsyncClient() as http:
            while not await _answers(http, port):
                await asyncio.sleep(0.1)
        yield
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            process.terminate()
        await process.wait()


async def _answers(http: httpx.AsyncClient, port: int) -> bool:
    try:
        await http.get(f"http://127.0.0.1:{port}/")
    except httpx.TransportError:
        return False
    return True


def _peer_orders() -> list[Row]:
    """Limit orders around one price that cross, so that the peer's book stays small."""
    return [
        {
            "account": number % 1000 + 1,
            "side": "buy" if number % 2 else "sell",
            "type": "limit",
            "price": f"{67000 + (number * 7919 % 20 - 10) * 0.01:.2f}",
            "quantity": "0.00100",
        }
        for number in range(2000)
    ]


def _peer_rows(rounds: Rounds) -> list[Row]:
    if not rounds.peer:
        name = "matching-engine gateway: not measured (PATRIOT_PEERS_312 is not set); recorded"
        return [_row(name, PEER_RATIO, "of the echo")]
    ratios = [theirs / limit for theirs, limit in zip(rounds.peer, rounds.echo, strict=True)]
    mine = [burst.per_second / theirs for burst, theirs in zip(rounds.bursts, rounds.peer, strict=True)]
    return [
        _row("matching-engine gateway (peer)", median(rounds.peer), "orders/s", (median(ratios), ECHO)),
        _row("burst acknowledged, times the peer", median(mine), "", (median(mine), "matching-engine")),
    ]  # fmt: skip


# --- helpers ----------------------------------------------------------------------------------------------------------


def _orders(world: World, **options: Any) -> Load:
    return Load(world.port, PATH, world.orders(), [world.token], **options)


async def _answered(load: Load) -> Measured:
    measured = await measure(load)
    assert not measured.refused, f"{measured.refused} of {measured.answered} refused: {measured.sample}"
    return measured


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _row(
    name: str, value: float, unit: str, ratio: tuple[float | None, str | None] = (None, None), target: str | None = None
) -> Row:
    return {"name": name, "value": value, "unit": unit, "ratio": ratio[0], "peer": ratio[1], "target": target}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    for row in run():
        print(row)
