"""Matching engine: limit add, cancel and match on one deterministic stream, against engines from PyPI.

    python tests/bench/bench_matching.py               the table
    PATRIOT_PEERS=/path/to/python                      an interpreter that has the peers (left out where absent)

Method: every candidate is a process of its own that plays the same stream (60 % passive limits, 12 % crossing ones,
28 % cancels, one instrument); the rounds of all are interleaved; CPU time; the median round counts, the worst is shown.
The traded volume of every engine must equal that of a naive engine that is a sorted list (slow peers play a part of
the stream and are held to the same part). Only the standard library is imported before a candidate is chosen, because
the peers' interpreter runs this file too.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from bisect import insort
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))  # run as a script, also by the peers' interpreter

LENGTH = 50_000
ROUNDS = 7
OURS = "patriot"
TARGET = 2_000_000
TARGET_RATIO = 3.0
PARTS = {"naive": 50_000, "order-matching": 2_000}
"""How much of the stream the slow ones play; all others play all of it."""

Operation = tuple[bool, int, bool, int, int]
"""Is a cancel, order id, buys, price, quantity."""
Run = Callable[[list[Operation]], int]
"""Play the stream on a new engine, return the traded volume."""


def stream(length: int, seed: int = 3) -> list[Operation]:
    """A wandering market: passive orders up to 50 ticks away, takers up to 6 ticks through, about 4,000 live orders."""
    choose = random.Random(seed)
    middle, live, operations, last = 100_000, [], [], 0
    for _ in range(length):
        if choose.random() < 0.2:
            middle += choose.choice((-1, 1))
        kind = choose.random()
        if kind < 0.28 and live:
            picked = choose.randrange(len(live))
            live[picked], live[-1] = live[-1], live[picked]
            operations.append((True, live.pop(), False, 0, 0))
            continue
        last += 1
        buy, quantity = choose.random() < 0.5, choose.randint(1, 100)
        if kind < 0.88:
            price = middle + (-1 if buy else 1) * choose.randint(1, 50)
        else:
            price, quantity = middle + (1 if buy else -1) * choose.randint(1, 6), quantity * 3
        operations.append((False, last, buy, price, quantity))
        live.append(last)
        live = live[-2000:] if len(live) > 4000 else live
    return operations


# --- candidates ------------------------------------------------------------------------------------------------------


def patriot() -> Run:
    from feeds.venue.matching import MatchingEngine

    def run(operations: list[Operation]) -> int:
        engine = MatchingEngine()
        submit, cancel, volume = engine.submit, engine.cancel, 0
        for is_cancel, order_id, buy, price, quantity in operations:
            if is_cancel:
                cancel(order_id)
            else:
                for match in submit(order_id, buy, price, quantity):
                    volume += match[2]
        return volume

    return run


def naive() -> Run:
    """The oracle: each side one sorted list of [price key, arrival, order id, quantity]."""

    def run(operations: list[Operation]) -> int:
        sides: dict[bool, list[list[int]]] = {True: [], False: []}
        volume = 0
        for arrival, (is_cancel, order_id, buy, price, quantity) in enumerate(operations):
            if is_cancel:
                for side in sides.values():
                    side[:] = [order for order in side if order[2] != order_id]
                continue
            other, left = sides[not buy], quantity
            while left and other and (other[0][0] <= price if buy else -other[0][0] >= price):
                take = min(left, other[0][3])
                left, volume = left - take, volume + take
                other[0][3] -= take
                if not other[0][3]:
                    del other[0]
            if left:
                insort(sides[buy], [-price if buy else price, arrival, order_id, left])
        return volume

    return run


def lightmatchingengine() -> Run:
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side

    def run(operations: list[Operation]) -> int:
        engine, volume = LightMatchingEngine(), 0
        for is_cancel, order_id, buy, price, quantity in operations:
            if is_cancel:
                try:
                    engine.cancel_order(order_id, "X")
                except AssertionError:  # its way to say that the order is gone
                    continue
            else:
                for trade in engine.add_order("X", price, quantity, Side.BUY if buy else Side.SELL)[1]:
                    volume += trade.trade_qty if trade.order_id == order_id else 0
        return volume

    return run


def pyorderbook() -> Run:
    import logging

    from pyorderbook.book import Book
    from pyorderbook.order import Order, Side

    logging.disable(logging.CRITICAL)

    def run(operations: list[Operation]) -> int:
        book, orders, volume = Book(), {}, 0
        for is_cancel, order_id, buy, price, quantity in operations:
            if is_cancel:
                order = orders.get(order_id)
                if order is not None and order.id in book.order_map:
                    book.cancel(order)
            else:
                order = orders[order_id] = Order(Side.BID if buy else Side.ASK, "X", price, quantity)
                volume += sum(trade.fill_quantity for trade in book.match(order).trades)
        return volume

    return run


def order_matching() -> Run:
    from datetime import UTC, datetime, timedelta

    from loguru import logger
    from order_matching.enums import Side
    from order_matching.matching_engine import MatchingEngine
    from order_matching.order import LimitOrder
    from order_matching.orders import Orders

    logger.remove()

    def run(operations: list[Operation]) -> int:
        engine, volume, now = MatchingEngine(seed=1), 0.0, datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
        for is_cancel, order_id, buy, price, quantity in operations:
            now += timedelta(microseconds=1)
            if is_cancel:
                try:
                    engine.cancel_order(str(order_id))
                except ValueError:  # its way to say that the order is gone
                    continue
            else:
                side = Side.BUY if buy else Side.SELL
                order = LimitOrder(
                    side=side, price=float(price), size=float(quantity), timestamp=now, order_id=str(order_id),
                    trader_id="t",
                )  # fmt: skip
                engine.place(Orders([order]))
                volume += sum(trade.size for trade in engine.match(timestamp=now).trades)
        return int(volume)

    return run


def matching_engine() -> Run:
    from matching_engine import events
    from matching_engine.domain import CancelOrder, NewOrder, SequencedCommand, Side
    from matching_engine.engine import MatchingEngine

    executed = getattr(events, "TradeExecuted", None) or events.Trade

    def run(operations: list[Operation]) -> int:
        engine, volume = MatchingEngine(), 0
        for number, (is_cancel, order_id, buy, price, quantity) in enumerate(operations, 1):
            command: Any = CancelOrder(order_id, order_id)
            if not is_cancel:
                command = NewOrder(order_id, order_id, Side.BUY if buy else Side.SELL, price, quantity)
            for event in engine.process(SequencedCommand(number, number, command)):
                volume += event.qty if type(event) is executed else 0
        return volume

    return run


PEERS: dict[str, Callable[[], Run]] = {
    "lightmatchingengine": lightmatchingengine,
    "pyorderbook": pyorderbook,
    "order-matching": order_matching,
    "matching-engine": matching_engine,
}
CANDIDATES: dict[str, Callable[[], Run]] = {OURS: patriot, "naive": naive, **PEERS}


# --- measuring -------------------------------------------------------------------------------------------------------


def work(name: str) -> None:
    """Be one candidate: warm up, then one round per line on stdin; answer [seconds, operations, volume]."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a peer prints is no answer
    play = CANDIDATES[name]()
    operations = stream(LENGTH)[: PARTS.get(name, LENGTH)]
    play(operations[:1000])
    print("ready", file=answers)
    for _ in sys.stdin:
        before = time.process_time()
        volume = play(operations)
        print(json.dumps([time.process_time() - before, len(operations), volume]), file=answers)


class Candidate:
    """One process. `rows` are its rounds; `is_there` False where its library is not."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self.rows: list[tuple[float, int, int]] = []
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(HERE), "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._asks, self._answers = self._process.stdin, self._process.stdout
        self.is_there = self._answers.readline() == "ready\n"

    def round(self) -> None:
        self._asks.write("go\n")
        self._asks.flush()
        seconds, operations, volume = json.loads(self._answers.readline())
        self.rows.append((seconds, operations, volume))

    def close(self) -> None:
        self._asks.close()
        self._process.wait(10)
        self._answers.close()

    def rate(self, pick: Callable[[list[float]], float] = statistics.median) -> float:
        """Operations per second of CPU time."""
        return 1 / pick([seconds / operations for seconds, operations, _ in self.rows])


def measure() -> list[Candidate]:
    peers = os.environ.get("PATRIOT_PEERS")
    candidates = [Candidate(OURS, sys.executable)]
    candidates += [Candidate(name, peers) for name in PEERS] if peers else []
    there = [candidate for candidate in candidates if candidate.is_there]
    for number in range(ROUNDS):
        for candidate in there if number % 2 == 0 else reversed(there):
            candidate.round()
    for candidate in candidates:
        candidate.close()
    return there


def check(candidates: list[Candidate]) -> None:
    """Every engine traded what the naive one trades on the same part of the stream."""
    operations, oracle = stream(LENGTH), naive()
    volumes = {part: oracle(operations[:part]) for part in {candidate.rows[0][1] for candidate in candidates}}
    for candidate in candidates:
        for _, part, volume in candidate.rows:
            assert volume == volumes[part], f"{candidate.name} traded {volume}, the oracle {volumes[part]}"


def run() -> list[dict[str, Any]]:
    """Rows of the table: operations per second, and ours as a multiple of each peer's."""
    candidates = measure()
    check(candidates)
    ours, rows = candidates[0], []
    for candidate in candidates:
        row: dict[str, Any] = {
            "name": f"{candidate.name}: limit add, cancel, match",
            "value": round(candidate.rate()),
            "unit": f"operations/s/core (worst {round(candidate.rate(max)):,})",
        }
        if candidate is ours:
            row["target"] = TARGET
        else:
            row |= {"ratio": round(ours.rate() / candidate.rate(), 2), "peer": f"ours / {candidate.name}"}
            row["target"] = TARGET_RATIO
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", choices=CANDIDATES)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return
    for row in run():
        ratio = f"{row['ratio']:>8.2f} x {row['peer']}" if "ratio" in row else ""
        print(f"{row['name']:48s} {row['value']:>12,} {row['unit']:48s} {ratio}  target {row['target']:,}")


if __name__ == "__main__":
    main()
