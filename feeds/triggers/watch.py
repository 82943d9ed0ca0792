"""The stops of this process, by instrument. Rule: what stands here is a copy; the order's own stream decides.

Rows of the read model `orders` fill it at the start: those of orders that the platform holds are committed together
with their events. It is synchronous: a trade comes in, shots come out.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any, NamedTuple
from uuid import UUID

from feeds.triggers.domain import Sign, sign_of, terms_of, units
from feeds.triggers.ladder import Fired, Ladder, Resting
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Market, Trade
from schemas.types import Trailing

MOVES_PER_LOOK = 2000
Row = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Held:
    """One order that the platform holds back, or will end at `expire_at`. `told`: the stop that its events tell."""

    tenant_id: UUID
    user_id: UUID
    order_id: UUID
    instrument: str
    expire_at: datetime | None
    sign: Sign = 1
    resting: Resting | None = None
    told: int | None = None


class Shot(NamedTuple):
    """A stop that was reached: what traded, and where it stood."""

    held: Held
    price: Decimal
    stop: Decimal


class Move(NamedTuple):
    """A stop that has followed the market: where it stands, and the best price since."""

    held: Held
    stop: Decimal
    reference: Decimal


@dataclass(slots=True)
class Book:
    """One instrument: `ladders` by direction, `last` price in units."""

    instrument: Instrument
    ladders: Mapping[Sign, Ladder] = field(default_factory=lambda: {1: Ladder(), -1: Ladder()})
    last: int | None = None

    def price_of(self, mirrored: int, sign: Sign) -> Decimal:
        return self.instrument.price_of(sign * mirrored)

    def last_for(self, sign: Sign) -> int | None:
        return None if self.last is None else sign * self.last


class Watch:
    """`shoot` is called for each stop that is reached."""

    def __init__(self, shoot: Callable[[Shot], None]) -> None:
        self._shoot = shoot
        self._books: dict[str, Book] = {}
        self._held: dict[UUID, Held] = {}
        self._expiries: list[tuple[datetime, UUID]] = []
        self._trailing: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, order_id: UUID) -> bool:
        return order_id in self._held

    def ids(self) -> set[UUID]:
        return set(self._held)

    def book(self, instrument: Instrument) -> Book:
        """The book of an instrument, made at first use."""
        return self._books.setdefault(instrument.id, Book(instrument))

    # --- orders ---
    def take(self, row: Row, instrument: Instrument) -> None:
        """Hold an order, at the stop that its row tells; again is harmless. `row` is one of `orders`."""
        held = self._held.get(row["id"])
        if held is None:
            held = Held(row["tenant_id"], row["user_id"], row["id"], instrument.id, row["expires_at"])
            self._held[held.order_id] = held
            if held.expire_at is not None:
                heappush(self._expiries, (held.expire_at, held.order_id))
        if row["waits_for"] == "trigger" and _stands_elsewhere(held, row, instrument):
            self._rest(held, row, instrument)

    def _rest(self, held: Held, row: Row, instrument: Instrument) -> None:
        self._lift(held)
        held.sign = sign_of(row["side"], row["type"])
        held.resting = resting = _resting(row, instrument, held.sign)
        held.told = resting.stop
        book = self.book(instrument)
        book.ladders[held.sign].add(resting, book.last_for(held.sign))
        if resting.terms is not None:
            self._trailing.append(held)

    def drop(self, order_id: UUID) -> None:
        held = self._held.pop(order_id, None)
        if held is not None:
            self._lift(held)

    def _lift(self, held: Held) -> None:
        if held.resting is not None:
            self._books[held.instrument].ladders[held.sign].remove(held.resting)

    # --- time and prices ---
    def on_market(self, message: Market) -> None:
        """Trades decide, as at the venues: a stop waits for the last price."""
        if isinstance(message, Trade):
            book = self._books[message.instrument]
            book.last = message.price
            for sign, ladder in book.ladders.items():
                if ladder.alive:
                    for fired in ladder.move(sign * message.price):
                        self._hit(book, sign, fired)

    def _hit(self, book: Book, sign: Sign, fired: Fired) -> None:
        held = self._held.get(fired.identifier)
        if held is not None:
            self._shoot(Shot(held, book.price_of(fired.price, sign), book.price_of(fired.stop, sign)))

    def expired(self, now: datetime) -> Iterator[Held]:
        """Those whose time has come, once each."""
        while self._expiries and self._expiries[0][0] <= now:
            held = self._held.get(heappop(self._expiries)[1])
            if held is not None:
                yield held

    def moved(self) -> Iterator[Move]:
        """Stops that have moved since they were told; each look takes some of them, in turn."""
        for _ in range(min(len(self._trailing), MOVES_PER_LOOK)):
            held = self._trailing.popleft()
            resting = held.resting
            if held.order_id not in self._held or resting is None or not resting.alive:
                continue
            self._trailing.append(held)
            stop, best = resting.stop_now, resting.best_now
            if stop is not None and best is not None and (held.told is None or stop > held.told):
                held.told = stop
                book = self._books[held.instrument]
                yield Move(held, book.price_of(stop, held.sign), book.price_of(best, held.sign))


def _stands_elsewhere(held: Held, row: Row, instrument: Instrument) -> bool:
    """A trailing stop moves by itself; any other is where its owner wants it."""
    if held.resting is None:
        return True
    return row["trail"] is None and held.told != units(instrument, row["stop_price"], held.sign)


def _resting(row: Row, instrument: Instrument, sign: Sign) -> Resting:
    stop = None if row["stop_price"] is None else units(instrument, row["stop_price"], sign)
    if row["trail"] is None:
        return Resting(row["id"], stop)
    trailing = Trailing.model_validate(row["trail"])
    activation, best = trailing.activation_price, row["reference"]
    return Resting(
        row["id"],
        stop,
        terms_of(trailing, row["side"], instrument, sign),
        None if activation is None else units(instrument, activation, sign),
        None if best is None else units(instrument, best, sign),
    )
