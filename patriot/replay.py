"""Replays recorded market data through the whole platform: the same functions, feeds and strategies, in virtual time.

    recording ─► codec ─► ticks ─┬─► venue: books, fills         (feeds/venue, in process)
                                 ├─► prices, bars                (feeds/market_data)
                                 └─► strategies ─► orders ─► risk, events, positions, ledger

The store is in memory, ids and randomness are seeded, and time is the recording's: two replays with one seed give the
same events to the byte (`ReplayResult.event_hash`).
"""

import asyncio
import hashlib
import random
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid5

import orjson

from patriot.domain.instrument import Instrument
from patriot.domain.listing import well_known
from patriot.domain.money import ZERO
from patriot.protocols.codec import Codec, find_codecs
from patriot.protocols.errors import RecordingError
from patriot.protocols.events import Event
from patriot.protocols.market import Market
from patriot.protocols.recording import Frame, read_recording
from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import SeededIds, VirtualClock
from patriot.runtime.context import RequestContext
from patriot.runtime.edge import user_context
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.reference import instrument_row
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.store.api import Query
from patriot.store.memory import MemoryStore

FEEDS = ("account-data", "market-data", "strategies", "venue")
OPERATOR = "strategies"  # the part in whose name the demo account is opened
PIECE = 1 << 20
PEEK_FRAMES = 200
SETTLE = timedelta(seconds=2)
SETUP = timedelta(seconds=30)  # virtual time before the recording begins: accounts are opened in it
QUIET_TURNS = 20
MARKET = get_args(Market)
_WORD = re.compile(rb"[A-Z0-9_]{5,}")

Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to replay, and who trades. `instruments` empty: from the recording, or the well-known ones.

    Every `sample_seconds` the account's worth is sampled; zero: never.
    """

    files: Sequence[Path]
    strategy: str = "ema_cross"
    parameters: dict[str, Any] = field(default_factory=lambda: {"bar_seconds": 1, "notional": "1000"})
    seed: int = 1
    cash: Decimal = Decimal(100_000)
    instruments: Sequence[Instrument] = ()
    sample_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`unbalanced` lists assets whose ledger does not sum to zero: it is empty, or there is a bug."""

    frames: int
    messages: int
    orders: int
    fills: int
    statuses: dict[str, int]
    events: int
    event_hash: str
    unbalanced: dict[str, Decimal]
    realised_pnl: Decimal
    fees: Decimal
    started_at: datetime
    ended_at: datetime


async def replay(plan: ReplayPlan, progress: Progress = lambda _: None) -> ReplayResult:
    """Run the plan. Raises RecordingError, which names file, line and rule."""
    source = Source(plan.files, plan.instruments, progress)
    session = Session(plan, source.instruments, source.started_at)
    await session.start()
    try:
        messages = await session.play(source)
        return await session.result(source.frames, messages)
    finally:
        await session.stop()


class Source:
    """The frames of all files, decoded by the codec that fits them."""

    def __init__(self, files: Sequence[Path], instruments: Sequence[Instrument], progress: Progress) -> None:
        self._progress = progress
        self._frames = self._read(files)
        head = [frame for frame, _ in zip(self._frames, range(PEEK_FRAMES), strict=False)]
        if not head:
            raise RecordingError(str(files[0]), 1, "must hold at least one frame")
        self._head = head
        self._kind = _codec_of(head, str(files[0]))
        self.instruments = list(instruments) or _defined(self._kind, head) or _known(self._kind, head, str(files[0]))
        self._codec = self._kind(self.instruments)
        self._market = self._kind.name.partition("-")[2]
        self.started_at = _time(next((frame for frame in head if frame.received_ns), head[0]))
        self.frames = 0

    def __iter__(self) -> Iterator[tuple[datetime, Sequence[Market]]]:
        """(when received, what it says) per frame that says anything about the market."""
        feed, ours = self._codec.feed, self._ours
        for frame in chain(self._head, self._frames):
            self.frames += 1
            if frame.kind == "ws":
                events = feed(frame.payload) if frame.source.endswith(ours) else ()
            else:
                events = self._snapshot(frame)
            messages = [event for event in events if isinstance(event, MARKET)]
            if messages:
                yield _time(frame), messages

    @property
    def _ours(self) -> str:
        """How addresses end: a recording may hold several markets of one exchange; Bybit tells them by that only."""
        return f"/{self._market}" if self._kind.venue == "BYBIT" else ""

    def _snapshot(self, frame: Frame) -> Sequence[Event]:
        if frame.kind == "control" or b'"bids"' not in frame.payload[:2000]:
            return ()
        return self._codec.snapshot(self._instrument_of(frame), frame.payload)

    def _instrument_of(self, frame: Frame) -> str:
        named = [one.id for one in self.instruments if one.native_symbol == frame.symbol]
        return named[0] if named else self.instruments[0].id

    def _read(self, files: Sequence[Path]) -> Iterator[Frame]:
        for path in files:
            with path.open("rb") as file:
                yield from read_recording(self._pieces(file), str(path))

    def _pieces(self, file: Any) -> Iterable[bytes]:
        while piece := file.read(PIECE):
            self._progress(len(piece))
            yield piece


class Session:
    """One platform in memory, driven by the clock of the recording."""

    def __init__(self, plan: ReplayPlan, instruments: Sequence[Instrument], started_at: datetime) -> None:
        self._plan = plan
        self._instruments = instruments
        self._started_at = started_at
        self.clock = VirtualClock(started_at - SETUP)
        self.store = MemoryStore(self.clock.now)
        self.host = _host(plan, self.clock, self.store)
        self._tenant_id = self.host.runtime.settings.tenant_id

    async def start(self) -> None:
        rows = [instrument_row(instrument) for instrument in self._instruments]
        await self._context().write(rows)
        await self.host.start()
        await self.settle()
        account_id = await self._open_account()
        await self._deploy(account_id)
        await self._pass(SETTLE)

    async def stop(self) -> None:
        await self.host.stop()

    async def play(self, source: Iterable[tuple[datetime, Sequence[Market]]]) -> int:
        """Publish every message at its time; let what follows from it finish before the next."""
        publish, broker, clock = self.host.runtime.ticks.publish, self.host.broker, self.clock
        runtime, count = self.host.runtime, 0
        for moment, messages in source:
            woken = clock.advance_to(moment)
            for message in messages:
                publish(message)
            count += len(messages)
            if woken or broker.pending or runtime.tasks:
                await self.settle()
        await self._pass(SETTLE)
        return count

    async def settle(self) -> None:
        """Give way until nothing moves any more; what sleeps in virtual time goes on sleeping."""
        runtime, broker, ready = self.host.runtime, self.host.broker, _ready()
        quiet, seen = 0, -1
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            if not (ready or broker.pending or runtime.tasks):
                return
            moved = broker.deliveries + len(runtime.tasks)
            quiet = 0 if moved != seen else quiet + 1
            seen = moved

    async def _pass(self, duration: timedelta) -> None:
        """Let virtual time pass, waking every sleeper at its time."""
        end = self.clock.now() + duration
        while (wake := self.clock.next_wake) is not None and wake <= end:
            self.clock.advance_to(wake)
            await self.settle()
        self.clock.advance_to(end)
        await self.settle()

    async def ask(self, app_id: str, path: str) -> Any:
        """What a part answers the trader."""
        answer = await self._context().invoke(app_id, "GET", path)
        assert answer.status == 200, answer.body
        return orjson.loads(answer.body)

    def _context(self) -> RequestContext:
        user_id = uuid5(self._tenant_id, "user:replay")
        return user_context(self.host.runtime, OPERATOR, self._tenant_id, user_id)

    async def _open_account(self) -> UUID:
        context, venue = self._context(), self._instruments[0].venue
        body = orjson.dumps({"exchange": venue, "label": "replay"})
        account = await _post(context, "account-commands", "/api/v1/accounts", body)
        for asset, amount in self._funds().items():
            body = orjson.dumps({"asset": asset, "amount": format(amount, "f")})
            await _post(context, "settlement", f"/api/v1/accounts/{account['account_id']}/funds", body)
        await self._pass(SETTLE)
        return UUID(account["account_id"])

    def _funds(self) -> dict[str, Decimal]:
        return {instrument.settle: self._plan.cash for instrument in self._instruments}

    async def _deploy(self, account_id: UUID) -> None:
        for instrument in self._instruments:
            body = {
                "kind": self._plan.strategy,
                "name": f"{self._plan.strategy} {instrument.native_symbol}",
                "account_id": str(account_id),
                "instruments": [instrument.id],
                "parameters": self._plan.parameters,
                "start": True,
            }
            await _post(self._context(), "strategy-commands", "/api/v1/strategies", orjson.dumps(body))

    async def result(self, frames: int, messages: int) -> ReplayResult:
        orders = await self.store.find(Query("orders", None, {}, limit=10**9))
        trades = await self.store.find(Query("trades", None, {}, limit=10**9))
        statuses: dict[str, int] = {}
        for order in orders:
            statuses[order["status"]] = statuses.get(order["status"], 0) + 1
        digest, events = await _digest(self.store)
        return ReplayResult(
            frames=frames,
            messages=messages,
            orders=len(orders),
            fills=len(trades),
            statuses=statuses,
            events=events,
            event_hash=digest,
            unbalanced=await _unbalanced(self.store),
            realised_pnl=sum((trade["realised_pnl"] for trade in trades), ZERO),
            fees=sum((trade["fee"] for trade in trades), ZERO),
            started_at=self._started_at,
            ended_at=self.clock.now(),
        )


def _ready() -> Collection[object]:
    """What the loop runs next. asyncio has no word for it, and to wait some turns for news costs several times more."""
    return asyncio.get_running_loop()._ready  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def _host(plan: ReplayPlan, clock: VirtualClock, store: MemoryStore) -> Host:
    parts = Parts(discovery.functions(), [feed for feed in discovery.feeds() if feed.name in FEEDS])
    access = Access(
        KeyRing.generate(), clock, issuer="patriot", audience="replay", app_ids=[part.name for part in parts.all]
    )
    settings = Settings(
        market="replay",
        execution="in_process",
        seed=plan.seed,
        delivery_concurrency=1,
        snapshot_seconds=plan.sample_seconds,
        metrics_seconds=0,
    )
    return Host(
        parts,
        settings=settings,
        store=store,
        access=access,
        clock=clock,
        ids=SeededIds(plan.seed),
        random=random.Random(plan.seed),
        secrets={},
    )


async def _post(context: RequestContext, app_id: str, path: str, body: bytes) -> Any:
    answer = await context.fresh().invoke(app_id, "POST", path, body)
    assert answer.status == 201, answer.body
    return orjson.loads(answer.body)


async def _digest(store: MemoryStore) -> tuple[str, int]:
    """SHA-256 over every event in order: stream, version, type, data."""
    digest, count = hashlib.sha256(), 0
    async for event in store.read():
        digest.update(f"{event.stream.kind}/{event.stream.id}/{event.version}/{event.type}\n".encode())
        digest.update(event.data)
        count += 1
    return digest.hexdigest(), count


async def _unbalanced(store: MemoryStore) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for entry in await store.find(Query("ledger_entries", None, {}, limit=10**9)):
        sums[entry["asset"]] = sums.get(entry["asset"], ZERO) + entry["amount"]
    return {asset: total for asset, total in sums.items() if total}


def _time(frame: Frame) -> datetime:
    return datetime.fromtimestamp(frame.received_ns / 1e9, UTC)


def _codec_of(head: Sequence[Frame], name: str) -> type[Codec]:
    """Tell the protocol from the content."""
    codecs = find_codecs()
    joined = b"\n".join(frame.payload[:400] for frame in head if frame.kind == "ws")
    if b'"sequence_num"' in joined:
        return codecs["coinbase-spot"]
    if b'"topic":"' in joined:
        return codecs["bybit-linear"]
    if b'"ps":' in joined:
        return codecs["binance-inverse"]
    if b'"pu":' in joined or b'"e":"bookTicker"' in joined:
        return codecs["binance-linear"]
    if b'"e":"' in joined or b'"stream":"' in joined:
        return codecs["binance-spot"]
    raise RecordingError(name, 1, "must be a recording of Binance, Bybit or Coinbase Advanced Trade")


def _defined(kind: type[Codec], head: Sequence[Frame]) -> list[Instrument]:
    """Definitions that the recording brings itself, for what it has messages about."""
    symbols = _symbols(head)
    for frame in head:
        if frame.kind == "rest" and (b'"lotSizeFilter"' in frame.payload or b'"filters"' in frame.payload):
            found = kind.decode_instruments(frame.payload)
            return [one for one in found if one.native_symbol in symbols]
    return []


def _known(kind: type[Codec], head: Sequence[Frame], name: str) -> list[Instrument]:
    symbols, market = _symbols(head), kind.name.partition("-")[2]
    found = [one for one in well_known(kind.venue) if one.kind == market and one.native_symbol in symbols]
    if not found:
        raise RecordingError(name, 1, "must bring instrument definitions, or be about well-known instruments")
    return found


def _symbols(head: Sequence[Frame]) -> frozenset[str]:
    """Everything in the first frames that looks like a native symbol."""
    text = b"\n".join(frame.payload[:400] for frame in head if frame.kind == "ws")
    return frozenset(word.decode() for word in _WORD.findall(text))
