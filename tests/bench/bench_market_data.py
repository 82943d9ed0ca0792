"""Market data: decode + book update per message, against typed msgspec decode alone and against the peers.

    python tests/bench/bench_market_data.py            the table
    PATRIOT_PEERS=/path/to/python                      an interpreter that has cryptofeed (left out where absent)

Method: every candidate is a process of its own that reads the same recorded Binance messages into memory; the rounds
of all candidates are interleaved; CPU time; the median round counts, the worst is shown. Each round begins with the
book of the snapshot, which is not timed, and in ours with a new codec that has seen no price but those. In ours the
best bid and ask are read after every message.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2])]  # run as a script, also by the peers' interpreter

from recordings import ROOT, messages  # noqa: E402

RECORDING = "hftbacktest/spot_btcusdt_20240808.gz"
KINDS = ("depth", "quote", "trade")
ROUNDS = 9
SYMBOLS = {1: 3000, 10: 1000, 100: 150}
"""How many symbols, and how many messages each of them gets."""
FLAT = 0.7
"""The cost of a message among one symbol over that among more: 1 is flat."""
HOURS = 4  # a whole day (24) takes minutes
GROWN_KIB_MAX = 4096
TARGETS = {
    ("depth", "cryptofeed"): 3.0,
    ("quote", "limit"): 0.4,
    ("trade", "limit"): 0.5,
}
Run = Callable[[], None]
Prepare = Callable[[], Run]  # the untimed part of a round: an empty state, the book of the snapshot


# --- candidates: set up once; prepare each round; run it --------------------------------------------------------------


def limit(kind: str, snapshot: bytes, raws: list[bytes]) -> Prepare:
    """Typed msgspec decode alone, the type chosen by the stream's name as in the codec."""
    import msgspec

    pairs = list[tuple[str, str]]
    fields: dict[str, list[tuple[str, Any]]] = {
        "depth": [("E", int), ("s", str), ("U", int), ("u", int), ("b", pairs), ("a", pairs)],
        "quote": [("u", int), ("s", str), ("b", str), ("B", str), ("a", str), ("A", str)],
        "trade": [("E", int), ("s", str), ("a", int), ("p", str), ("q", str), ("T", int), ("m", bool)],
    }  # fmt: skip
    decoders = {}
    for letter, name in ((b"d", "depth"), (b"b", "quote"), (b"a", "trade")):
        body = msgspec.defstruct(name, fields[name], gc=False)
        decoders[letter] = msgspec.json.Decoder(msgspec.defstruct("Wrapped", [("data", body)], gc=False)).decode

    def run() -> None:
        for raw in raws:
            at = raw.find(b"@", 11, 40)
            decoders[raw[at + 1 : at + 2]](raw)

    return lambda: run


def patriot(kind: str, snapshot: bytes, raws: list[bytes]) -> Prepare:
    from patriot.domain.book import OrderBook
    from patriot.domain.instrument import Instrument
    from patriot.protocols.binance import BinanceSpot
    from patriot.protocols.number import shared_scale

    instrument = Instrument(
        "BINANCE:BTC/USDT", "BTCUSDT", "BTC", "USDT", "USDT", "spot", Decimal("0.01"), Decimal("0.00001"), 8, 8
    )

    def prepare() -> Run:
        shared_scale.cache_clear()
        codec, book = BinanceSpot([instrument]), OrderBook(instrument.id)
        for event in codec.snapshot(instrument.id, snapshot):
            book.apply(event)  # type: ignore[arg-type]
        return (lambda: depth(codec, book)) if kind == "depth" else (lambda: others(codec))

    def depth(codec: BinanceSpot, book: OrderBook) -> None:
        feed, apply, best_bid, best_ask = codec.feed, book.apply, book.best_bid, book.best_ask
        count = 0
        for raw in raws:
            for event in feed(raw):
                apply(event)  # type: ignore[arg-type]
                best_bid()
                best_ask()
                count += 1
        assert count == len(raws), (count, len(raws))

    def others(codec: BinanceSpot) -> None:
        feed, count = codec.feed, 0
        for raw in raws:
            count += len(feed(raw))
        assert count == len(raws), (count, len(raws))

    return prepare


def ccxt(kind: str, snapshot: bytes, raws: list[bytes]) -> Prepare:
    import ccxt.pro
    import orjson

    market = {
        "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "type": "spot", "spot": True, "margin": False, "swap": False, "future": False, "option": False,
        "contract": False, "inverse": None, "linear": None, "settle": None, "contractSize": None, "active": True,
        "precision": {"amount": 1e-5, "price": 0.01}, "limits": {}, "info": {},
    }  # fmt: skip
    book = orjson.loads(snapshot)
    sides = {side: [[float(p), float(q)] for p, q in book[side]] for side in ("bids", "asks")}

    loop = asyncio.new_event_loop()

    async def begin() -> tuple[Any, Any, Any]:
        exchange = ccxt.pro.binance({"newUpdates": True})
        exchange.set_markets({"BTC/USDT": market})
        held = exchange.order_book({})
        held.reset({**sides, "nonce": book["lastUpdateId"], "symbol": "BTC/USDT"})
        exchange.orderbooks["BTC/USDT"] = held
        return exchange, exchange.client("wss://stream.binance.com:9443/ws/0"), held

    async def handle(exchange: Any, client: Any, held: Any) -> None:
        for raw in raws:
            exchange.handle_message(client, orjson.loads(raw))
        assert kind != "depth" or held["nonce"] > book["lastUpdateId"]

    def prepare() -> Run:
        state = loop.run_until_complete(begin())
        return lambda: loop.run_until_complete(handle(*state))

    return prepare


def cryptofeed(kind: str, snapshot: bytes, raws: list[bytes]) -> Prepare:
    from cryptofeed.defines import L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import Binance
    from cryptofeed.symbols import Symbols
    from cryptofeed.types import OrderBook

    Symbols.set(
        "BINANCE",
        {"BTC-USDT": "BTCUSDT"},
        {"tick_size": {"BTC-USDT": "0.01"}, "instrument_type": {"BTC-USDT": "spot"}},
    )
    seen = [0]

    async def callback(_: object, __: float) -> None:
        seen[0] += 1

    channels = [L2_BOOK, TICKER, TRADES]
    feed = Binance(symbols=["BTC-USDT"], channels=channels, callbacks=dict.fromkeys(channels, callback))
    book = json.loads(snapshot)
    texts = [raw.decode() for raw in raws]

    loop = asyncio.new_event_loop()

    async def handle() -> None:
        for text in texts:
            await feed.message_handler(text, None, 1.0)
        assert seen[0] == len(texts), (seen[0], len(texts))

    def prepare() -> Run:
        sides = {side: {Decimal(p): Decimal(q) for p, q in book[side]} for side in ("bids", "asks")}
        feed._l2_book["BTC-USDT"] = OrderBook("BINANCE", "BTC-USDT", max_depth=0, **sides)
        feed.last_update_id["BTC-USDT"] = book["lastUpdateId"]
        seen[0] = 0
        return lambda: loop.run_until_complete(handle())

    return prepare


CANDIDATES: dict[str, Callable[[str, bytes, list[bytes]], Prepare]] = {
    "limit": limit,
    "patriot": patriot,
    "ccxt": ccxt,
    "cryptofeed": cryptofeed,
}


# --- controller ------------------------------------------------------------------------------------------------------


def work(candidate: str, kind: str) -> None:
    """A candidate's process: one line in, one round, its CPU seconds per message out."""
    snapshot, raws = messages(RECORDING, kind)
    prepare = CANDIDATES[candidate](kind, snapshot, raws)
    prepare()()
    for _ in sys.stdin:
        run = prepare()
        start = time.process_time()
        run()
        print((time.process_time() - start) / len(raws), flush=True)


class Worker:
    """The other end of `work`."""

    def __init__(self, python: str, candidate: str, kind: str) -> None:
        command = [python, str(HERE), "--worker", candidate, kind]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self.seconds: list[float] = []

    def round(self) -> bool:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        answer = self.process.stdout.readline()
        if answer:
            self.seconds.append(float(answer))
        return bool(answer)

    def close(self) -> None:
        self.process.communicate()


def compare(kind: str, rounds: int) -> list[dict[str, Any]]:
    """Interleave the candidates and return the rows of one kind of message."""
    peers = os.environ.get("PATRIOT_PEERS", "")
    pythons = {"limit": sys.executable, "patriot": sys.executable, "ccxt": sys.executable}
    if peers:
        pythons["cryptofeed"] = peers
    workers = {name: Worker(python, name, kind) for name, python in pythons.items()}
    for _ in range(rounds):
        for name in list(workers):
            if not workers[name].round():
                workers.pop(name).close()
                print(f"{kind}: {name} is not importable, its column is left out", file=sys.stderr)
    for worker in workers.values():
        worker.close()
    ours = workers["patriot"].seconds
    rows = [_row(f"{kind}: patriot", ours, None, "", None)]
    for name, worker in workers.items():
        if name != "patriot":
            ratio = statistics.median(theirs / mine for theirs, mine in zip(worker.seconds, ours, strict=True))
            rows.append(_row(f"{kind}: {name}", worker.seconds, ratio, name, TARGETS.get((kind, name))))
    return rows


def _row(name: str, seconds: list[float], ratio: float | None, peer: str, target: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(1 / statistics.median(seconds)),
        "worst": round(1 / max(seconds)),
        "unit": "messages/s of CPU",
        "ratio": None if ratio is None else round(ratio, 2),  # our speed / theirs
        "peer": peer,
        "target": target,
    }


def growth() -> list[dict[str, Any]]:
    """Cost of a depth message among 1, 10 and 100 symbols, each with a book of its own, in turns."""
    rows: list[dict[str, Any]] = []
    for symbols, length in SYMBOLS.items():
        seconds = min(_seconds_of(symbols, length) for _ in range(3))
        ratio = None if not rows else rows[0]["seconds"] / seconds
        name = f"depth: {symbols} symbols" if symbols > 1 else "depth: 1 symbol"
        row = _row(name, [seconds], ratio, "1 symbol" if rows else "", FLAT if rows else None)
        rows.append(row | {"seconds": seconds})
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def _seconds_of(symbols: int, length: int) -> float:
    """CPU seconds per message."""
    from patriot.domain.book import OrderBook
    from patriot.domain.instrument import Instrument
    from patriot.protocols.binance import BinanceSpot

    snapshot, raws = messages(RECORDING, "depth")
    steps = Decimal("0.01"), Decimal("0.00001")
    names = [f"S{number:03}" for number in range(symbols)]
    instruments = [
        Instrument(f"X:{one}/USDT", f"{one}USDT", one, "USDT", "USDT", "spot", *steps, 8, 8) for one in names
    ]
    codec, books = BinanceSpot(instruments), [OrderBook(one.id) for one in instruments]
    for instrument, book in zip(instruments, books, strict=True):
        for event in codec.snapshot(instrument.id, snapshot):
            book.apply(event)  # type: ignore[arg-type]
    renamed = [
        (book, raw.replace(b"btcusdt@", b"%busdt@" % name.lower().encode()))
        for raw in raws[:length]
        for name, book in zip(names, books, strict=True)
    ]
    start = time.process_time()
    for book, raw in renamed:
        for event in codec.feed(raw):
            book.apply(event)  # type: ignore[arg-type]
            book.best_bid()
            book.best_ask()
    return (time.process_time() - start) / len(renamed)


def memory() -> list[dict[str, Any]]:
    """Resident memory that hours of one busy symbol add: its recording, replayed until they have passed."""
    rounds = [patriot(kind, *messages(RECORDING, kind)) for kind in KINDS]
    for prepare in rounds * 3:
        prepare()()
    gc.collect()
    before = _resident_kib()
    for _ in range(HOURS * 3600 // _recorded_seconds()):
        for prepare in rounds:
            prepare()()
    gc.collect()
    row = {"name": f"memory grown over {HOURS} replayed hours", "value": _resident_kib() - before, "unit": "KiB"}
    return [row | {"target": GROWN_KIB_MAX, "ratio": None, "peer": "", "worst": None}]


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def _recorded_seconds() -> int:
    _, raws = messages(RECORDING, "depth")
    first, last = (json.loads(raw)["data"]["E"] for raw in (raws[0], raws[-1]))
    return int((last - first) // 1000)


def run(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Rows (name, value, worst, unit, ratio, peer, target) for the table of all benchmarks."""
    if not (ROOT / RECORDING).exists():
        print(f"recorded data absent: {ROOT / RECORDING}", file=sys.stderr)
        return []
    return [row for kind in KINDS for row in compare(kind, rounds)] + growth() + memory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", nargs=2, metavar=("CANDIDATE", "KIND"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    if "PATRIOT_PEERS" not in os.environ:
        print("PATRIOT_PEERS is not set: cryptofeed's column is left out", file=sys.stderr)
    print(f"{'':38}{'median':>12}{'worst':>12}  {'unit':20}{'ours / it':>10}{'target':>8}")
    for row in run(arguments.rounds):
        ratio, target, worst = (row[key] if row[key] is not None else "" for key in ("ratio", "target", "worst"))
        print(f"{row['name']:38}{row['value']:>12}{worst:>12}  {row['unit']:20}{ratio:>10}{target:>8}")


if __name__ == "__main__":
    main()
