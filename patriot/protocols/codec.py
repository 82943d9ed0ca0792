"""What every exchange codec offers, and how codecs are found.

A codec is one connection's protocol without the connection: bytes in, events out, bytes to send. It is built from
instrument definitions, keeps the sequence of every book on its connection, and never does I/O.

A new exchange is one new file in this package with `CODECS = (ItsCodec, ...)`; `find_codecs()` finds it.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

from patriot.domain.instrument import Instrument
from patriot.protocols.errors import SubscriptionLimit
from patriot.protocols.events import Event
from patriot.protocols.number import Scale, shared_scale

Channel = Literal["depth", "trade", "aggregate_trade", "quote", "ticker", "mini_ticker", "bar", "mark_price"]


class Subscription(NamedTuple):
    """One stream of one instrument (by instrument id). `seconds` is the length of bars, 0 for every other channel."""

    channel: Channel
    instrument: str
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection allows. Zero means the venue states no limit."""

    subscriptions_max: int
    frames_per_second_max: int
    ping_interval_seconds: int = 0  # the client must send `Codec.ping()` this often
    lifetime_seconds: int = 0  # the venue closes the connection after this


class Codec(Protocol):
    """One connection to one exchange. All times in events are the venue's; all methods raise only `ProtocolError`s."""

    name: ClassVar[str]  # "binance-linear"
    venue: ClassVar[str]  # "BINANCE"
    rest_url: ClassVar[str]
    instruments_path: ClassVar[str]  # GET rest_url + instruments_path answers what `decode_instruments` reads
    limits: ClassVar[Limits]

    def __init__(self, instruments: Iterable[Instrument]) -> None: ...

    @classmethod
    def url(cls, channel: Channel) -> str:
        """Where to connect for `channel`; channels with the same address may share a connection."""
        ...

    @classmethod
    def decode_instruments(cls, data: bytes) -> list[Instrument]:
        """Read the exchange's definitions. Raises MalformedFrame."""
        ...

    def subscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        """Frames to send. Raises SubscriptionLimit, UnsupportedChannel, UnknownInstrument; then nothing is changed."""
        ...

    def unsubscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]: ...

    def ping(self) -> bytes:
        """The protocol's own ping frame; empty where WebSocket pings are all there is."""
        ...

    def feed(self, data: bytes) -> Sequence[Event]:
        """One received frame -> its events, in order, books in sequence."""
        ...

    def snapshot(self, instrument: str, data: bytes) -> Sequence[Event]:
        """The REST answer to a depth request -> the book's snapshot and what was waiting for it.

        Where the stream carries its own snapshots the answer is a picture only and leaves the stream's book alone.
        """
        ...

    def reset(self) -> None:
        """A new connection: no subscriptions, no book."""
        ...


class Listing:
    """What a codec keeps per instrument: id, native symbol, scales."""

    __slots__ = ("id", "price", "quantity", "symbol")

    def __init__(self, instrument: Instrument) -> None:
        self.id = instrument.id
        self.symbol = instrument.native_symbol
        self.price = Scale(instrument.price_decimals)
        self.quantity = shared_scale(instrument.quantity_decimals)


class Topics:
    """The native topics that a connection carries, within the venue's limit.

    Several subscriptions may share a topic (quote and ticker on Coinbase); it is left when the last one goes.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._wanted: dict[str, set[Subscription]] = {}

    def add(self, topics: Mapping[Subscription, str]) -> list[str]:
        """Remember what is wanted; return the topics to subscribe, in order. Raises SubscriptionLimit."""
        new = [topic for topic in dict.fromkeys(topics.values()) if topic not in self._wanted]
        total = len(self._wanted) + len(new)
        if self._maximum and total > self._maximum:
            raise SubscriptionLimit(total, self._maximum)
        for subscription, topic in topics.items():
            self._wanted.setdefault(topic, set()).add(subscription)
        return new

    def remove(self, topics: Mapping[Subscription, str]) -> list[str]:
        """Forget what is no longer wanted; return the topics to unsubscribe, in order."""
        for subscription, topic in topics.items():
            self._wanted.get(topic, set()).discard(subscription)
        gone = [topic for topic in dict.fromkeys(topics.values()) if self._wanted.get(topic) == set()]
        for topic in gone:
            del self._wanted[topic]
        return gone

    def clear(self) -> None:
        self._wanted.clear()


def chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    """Split into runs of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def find_codecs() -> dict[str, type[Codec]]:
    """Codec name -> codec, from every module of this package that has `CODECS`."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    names = (f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__))
    modules = (importlib.import_module(name) for name in names)
    return {codec.name: codec for module in modules for codec in getattr(module, "CODECS", ())}
