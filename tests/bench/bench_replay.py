"""Replay: recorded messages through the whole platform, against NautilusTrader's engine on the same ticks.

    python tests/bench/bench_replay.py                 the table
    PATRIOT_PEERS_312=/path/to/python                  an interpreter that has nautilus_trader (left out where absent)

Method: ours and the peer are processes of their own that replay the same messages with an EMA cross on bars of one
second; their rounds are interleaved; CPU time; the median round counts, the worst is shown. Ours is everything: market
data, venue, strategy, risk, events, positions, ledger. The peer gets its ticks as ready objects, so ours gets them
decoded too; one row more shows ours from the compressed file. Orders come from a made market that turns every second.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))  # run as a script

from patriot.domain.instrument import Instrument  # noqa: E402
from patriot.domain.listing import well_known  # noqa: E402
from patriot.protocols.market import BookDelta, BookSnapshot, Market, Quote, Trade  # noqa: E402
from patriot.replay import ReplayPlan, Session, Source  # noqa: E402
from tests.bench.recordings import ROOT  # noqa: E402

RECORDINGS = ("hftbacktest/usdm_btcusdt_20240808.gz", "hftbacktest/spot_btcusdt_20240808.gz")
PEER = "NautilusTrader, ready objects"
ROUNDS = 3
ORDERS = (10, 100, 1_000, 5_000, 10_000)
ORDERS_OF_PEER = (100, 1_000, 5_000)  # 10,000 take it more than a minute
LINEAR = 0.7
"""The cost of an order among 100 over that among more: 1 is linear, below it grows."""
STEADY = 200_000
GROWN_KIB_MAX = 4096
START = datetime(2024, 1, 1, tzinfo=UTC)
EMA = {"bar_seconds": 1, "fast": 8, "slow": 21, "notional": "1000"}
EVERY_BAR = EMA | {"fast": 1, "slow": 2}

Moment = tuple[datetime, Sequence[Market]]
Row = dict[str, Any]


# --- what is replayed -------------------------------------------------------------------------------------------------


def recorded(name: str, kind: str) -> tuple[Instrument, list[Moment]]:
    """Decoded messages; kind "ticks" leaves out the depth."""
    source = Source([ROOT / name], (), lambda _: None)
    kinds = (Trade, Quote) if kind == "ticks" else (Trade, Quote, BookDelta, BookSnapshot)
    chosen = [(moment, [one for one in messages if isinstance(one, kinds)]) for moment, messages in source]
    return source.instruments[0], [(moment, messages) for moment, messages in chosen if messages]


def made(seconds: int) -> tuple[Instrument, list[Moment]]:
    """A quote and two trades a second, up and down: averages of 1 and 2 bars cross with every bar."""
    return perpetual(), list(zigzag(seconds, timedelta(seconds=1)))


def perpetual() -> Instrument:
    return next(one for one in well_known("BINANCE") if one.id == "BINANCE:BTC/USDT:USDT")


def zigzag(count: int, step: timedelta, first: int = 0) -> Iterator[Moment]:
    instrument = perpetual()
    tick = instrument.price_units(instrument.tick_size)
    for number in range(first, first + count):
        moment = START + number * step
        time_ms, price = int(moment.timestamp() * 1000), (600_000 + number % 2 * 100) * tick
        quote = Quote(instrument.id, price, 10**6, price + tick, 10**6, number + 1, time_ms)
        yield moment, [quote, *(_trade(instrument.id, one, number, time_ms) for one in (price, price + tick))]


def _trade(instrument: str, price: int, number: int, time_ms: int) -> Trade:
    return Trade(instrument, price, 5, buyer_is_maker=False, trade_id=f"{number}-{price}", time_ms=time_ms)


def dump(path: Path, instrument: Instrument, moments: Sequence[Moment], parameters: dict[str, Any]) -> None:
    """The same messages as plain tuples, for the peer."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals

    def texts(levels: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
        return [(text(one, price), text(two, quantity)) for one, two in levels]

    def text(units: int, decimals: int) -> str:
        return str(Decimal(units).scaleb(-decimals))

    def plain(time_ns: int, one: Market) -> tuple[Any, ...]:
        match one:
            case Trade():
                sizes = text(one.price, price), text(one.quantity, quantity)
                return ("trade", time_ns, *sizes, one.buyer_is_maker, one.trade_id)
            case Quote():
                best = texts([(one.bid, one.bid_quantity), (one.ask, one.ask_quantity)])
                return ("quote", time_ns, *best[0], *best[1])
            case BookDelta() | BookSnapshot():
                return ("book", time_ns, isinstance(one, BookSnapshot), texts(one.bids), texts(one.asks))
        raise AssertionError(one)

    messages = [plain(int(moment.timestamp() * 10**9), one) for moment, found in moments for one in found]
    plan = {
        "linear": instrument.kind == "linear",
        "depth": any(message[0] == "book" for message in messages),
        "fast": parameters["fast"],
        "slow": parameters["slow"],
        "messages": messages,
    }
    path.write_text(json.dumps(plan))


# --- ours: a process per candidate ------------------------------------------------------------------------------------


async def play(instrument: Instrument, moments: Any, parameters: dict[str, Any]) -> Row:
    """One replay in a new platform; only the playing is timed."""
    plan = ReplayPlan([], parameters=parameters, cash=Decimal(10**9))
    session = Session(plan, [instrument], moments.started_at if isinstance(moments, Source) else moments[0][0])
    await session.start()
    gc.collect()
    start = time.process_time()
    messages = await session.play(moments)
    seconds = time.process_time() - start
    result = await session.result(0, messages)
    await session.stop()
    assert not result.unbalanced, result.unbalanced
    return {"seconds": seconds, "messages": messages, "orders": result.orders}


def work(name: str, kind: str) -> None:
    """A line in, a replay, its figures out."""
    if name == "orders":
        asyncio.run(play(*made(50), EVERY_BAR))
        for line in sys.stdin:
            told(asyncio.run(play(*made(int(line) + 2), EVERY_BAR)))
        return
    if name == "steady":
        told(asyncio.run(steady()))
        return
    instrument, moments = recorded(name, kind)
    gc.collect()
    gc.freeze()  # the messages are not the platform's: its garbage collector need not walk them
    for _ in sys.stdin:
        messages = Source([ROOT / name], (), lambda _: None) if kind == "file" else moments
        told(asyncio.run(play(instrument, messages, EMA)))


async def steady() -> Row:
    """Resident memory while messages pass that lead to no order, after as many to get warm."""
    parameters = EMA | {"slow": 5000}
    session = Session(ReplayPlan([], parameters=parameters, cash=Decimal(10**9)), [perpetual()], START)
    await session.start()
    step, half = timedelta(milliseconds=4), STEADY // 2
    await session.play(zigzag(half, step))
    gc.collect()
    before = resident_kib()
    await session.play(zigzag(half, step, first=half))
    gc.collect()
    grown = resident_kib() - before
    await session.stop()
    return {"grown": grown}


def resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def told(figures: Row) -> None:
    print(json.dumps(figures), flush=True)


# --- controller -------------------------------------------------------------------------------------------------------


class Worker:
    """The other end of `work`, or of the peer."""

    def __init__(self, *command: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self.rounds: list[Row] = []

    def round(self, line: str = "") -> Row | None:
        """One round, or None where the candidate cannot run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self._process.stdout.readline()
        if not answer:
            return None
        self.rounds.append(json.loads(answer))
        return self.rounds[-1]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    @property
    def speeds(self) -> list[float]:
        return [one["messages"] / one["seconds"] for one in self.rounds]


def ours(name: str, kind: str) -> Worker:
    return Worker(sys.executable, str(HERE), "--worker", name, kind)


def theirs(ticks: Path) -> Worker | None:
    peers = os.environ.get("PATRIOT_PEERS_312")
    return Worker(peers, str(HERE.with_name("nautilus.py")), str(ticks)) if peers else None


def compare(name: str, folder: Path, rounds: int) -> list[Row]:
    """Three rows per recording: trades and quotes; all with depth; all, from the file."""
    rows: list[Row] = []
    for kinds in (("ticks",), ("depth", "file")):
        ticks = folder / "ticks"
        dump(ticks, *recorded(name, kinds[0]), EMA)
        mine, peer = {kind: ours(name, kind) for kind in kinds}, theirs(ticks)
        everyone = [*mine.values(), *([peer] if peer else [])]
        for _ in range(rounds):
            for worker in everyone:
                worker.round()
        rows += [_speed(name, kind, worker, peer) for kind, worker in mine.items()]
        for worker in everyone:
            worker.close()
    return rows


def _speed(name: str, kind: str, mine: Worker, peer: Worker | None) -> Row:
    what = {"ticks": "trades and quotes", "depth": "with depth", "file": "with depth, from the file"}[kind]
    row = {"name": f"{Path(name).name.partition('.')[0]}: {what}", "unit": "messages/s of CPU", "target": 1.0}
    row |= {"value": round(statistics.median(mine.speeds)), "worst": round(min(mine.speeds)), "ratio": None, "peer": ""}
    if peer is not None and peer.rounds:
        ratio = statistics.median(one / other for one, other in zip(mine.speeds, peer.speeds, strict=True))
        row |= {"ratio": round(ratio, 2), "peer": PEER}
    return row


def linear(folder: Path) -> list[Row]:
    """CPU per order among 10, 100, 1,000 and 10,000; the ratio is to that among 100."""
    worker = ours("orders", "made")
    costs = {count: _cost(worker.round(str(count))) for count in ORDERS}
    worker.close()
    rows = [_order_row(count, cost, costs[100] / cost, "ours, 100 orders", LINEAR) for count, cost in costs.items()]
    for count in ORDERS_OF_PEER:
        ticks = folder / "ticks"
        dump(ticks, *made(count // 2 + 2), EVERY_BAR)  # it closes, then opens: two orders a bar
        peer = theirs(ticks)
        if peer is not None:
            figures = peer.round()
            peer.close()
            if figures is not None:
                rows.append(_order_row(count, costs[count], _cost(figures) / costs[count], PEER, None))
    return rows


def _cost(figures: Row | None) -> float:
    assert figures is not None, "the candidate gave no figures"
    assert figures["orders"], "no orders, no cost of an order"
    return float(figures["seconds"] / figures["orders"] * 1000)


def _order_row(count: int, cost: float, ratio: float, peer: str, target: float | None) -> Row:
    name = f"{count:,} orders"
    return {"name": name, "value": round(cost, 3), "unit": "ms of CPU per order", "worst": None} | {
        "ratio": round(ratio, 2),
        "peer": peer,
        "target": target,
    }


def memory() -> Row:
    worker = ours("steady", "made")
    figures = worker.round()
    worker.close()
    assert figures is not None, "the candidate gave no figures"
    row = {"name": f"resident memory grown in {STEADY:,} messages", "value": figures["grown"], "unit": "KiB"}
    return row | {"worst": None, "ratio": None, "peer": "", "target": GROWN_KIB_MAX}


def run(rounds: int = ROUNDS) -> list[Row]:
    """Rows (name, value, worst, unit, ratio, peer, target) for the table of all benchmarks."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in RECORDINGS:
            if (ROOT / name).exists():
                rows += compare(name, Path(folder), rounds)
            else:
                print(f"recorded data absent: {ROOT / name}", file=sys.stderr)
        rows += linear(Path(folder))
    return [*rows, memory()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", nargs=2, metavar=("NAME", "KIND"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if arguments.worker:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        work(*arguments.worker)
        return
    if "PATRIOT_PEERS_312" not in os.environ:
        print("PATRIOT_PEERS_312 is not set: NautilusTrader's column is left out", file=sys.stderr)
    print(f"{'':54}{'median':>10}{'worst':>10}  {'unit':22}{'ours / it':>10}{'target':>8}")
    for row in run(arguments.rounds):
        worst, ratio, target = (row[key] if row[key] is not None else "" for key in ("worst", "ratio", "target"))
        print(f"{row['name']:54}{row['value']:>10}{worst:>10}  {row['unit']:22}{ratio:>10}{target:>8}  {row['peer']}")


if __name__ == "__main__":
    main()
