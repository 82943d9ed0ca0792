"""The market stream protocol: names of streams, SUBSCRIBE and its relatives. Rule: every frame gets one answer.

A connection reads streams named in its path (`/ws/btcusdt@trade`, `/stream?streams=a/b`) or subscribed to later. On
`/stream` every message is wrapped as {"stream": name, "data": {...}}.
"""

import re
from collections.abc import Callable
from typing import Final

import orjson

from feeds.venue.errors import UnknownInstrument
from feeds.venue.wire.binance_public import INTERVAL_SECONDS
from feeds.venue.wire.binance_segment import Segment
from feeds.venue.wire.binance_topics import (
    BookTickerPublisher,
    DepthPublisher,
    ForceOrderPublisher,
    KlinePublisher,
    MarkPricePublisher,
    PartialDepthPublisher,
    Publisher,
    TickerPublisher,
    TradePublisher,
)
from feeds.venue.wire.socket import Socket
from patriot.domain.instrument import Instrument

STREAMS_MAX = 1024
NAME_MAX = 64
FRAMES_PER_SECOND_MAX = 50
"""Frames that a client may send per second. Binance closes sooner; clients that obey Binance never meet this."""

TICKER_MS = 1000
KLINE_MS = 250
DEPTH_MS = {"spot": {"": 1000, "@100ms": 100}, "linear": {"": 250, "@100ms": 100, "@500ms": 500}}
MARK_MS = {"": 3000, "@1s": 1000}

_Make = Callable[[Segment, str, list[Instrument], re.Match[str]], Publisher | None]


def _plain(publisher: type[Publisher], period_ms: int = 0) -> _Make:
    return lambda segment, name, instruments, _: publisher(segment, name, instruments, period_ms)


def _depth(segment: Segment, name: str, instruments: list[Instrument], match: re.Match[str]) -> Publisher | None:
    period_ms = DEPTH_MS[segment.kind].get(match["speed"] or "")
    if period_ms is None:
        return None
    if not match["levels"]:
        return DepthPublisher(segment, name, instruments, period_ms)
    partial = PartialDepthPublisher(segment, name, instruments, period_ms)
    partial.levels = int(match["levels"])
    return partial


def _kline(segment: Segment, name: str, instruments: list[Instrument], match: re.Match[str]) -> Publisher | None:
    if match["interval"] not in INTERVAL_SECONDS:
        return None
    publisher = KlinePublisher(segment, name, instruments, KLINE_MS)
    publisher.interval, publisher.seconds = match["interval"], INTERVAL_SECONDS[match["interval"]]
    return publisher


def _mark(segment: Segment, name: str, instruments: list[Instrument], match: re.Match[str]) -> Publisher | None:
    return MarkPricePublisher(segment, name, instruments, MARK_MS[match["speed"] or ""])


_SHARED: Final[dict[str, _Make]] = {
    r"[a-z0-9]+@(trade|aggTrade)": _plain(TradePublisher),
    r"[a-z0-9]+@bookTicker": _plain(BookTickerPublisher),
    r"[a-z0-9]+@depth(?P<levels>5|10|20)?(?P<speed>@[0-9]+ms)?": _depth,
    r"([a-z0-9]+@|!)(ticker|miniTicker)(@arr)?(@[0-9]+ms)?": _plain(TickerPublisher, TICKER_MS),
    r"[a-z0-9]+@kline_(?P<interval>[0-9]+[a-zA-Z])": _kline,
}
_LINEAR: Final[dict[str, _Make]] = {
    r"([a-z0-9]+@markPrice|!markPrice@arr)(?P<speed>@1s)?": _mark,
    r"([a-z0-9]+@forceOrder|!forceOrder@arr)": _plain(ForceOrderPublisher),
}


class Streams:
    """The publishers of one kind of market, made when first asked for."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._publishers: dict[str, Publisher] = {}
        table = _SHARED | (_LINEAR if segment.kind == "linear" else {})
        self._table = [(re.compile(pattern), make) for pattern, make in table.items()]

    def find(self, name: str) -> Publisher | None:
        """Return the publisher of a stream name, None where there is no such stream."""
        found = self._publishers.get(name)
        if found is None and len(name) <= NAME_MAX:
            found = self._make(name)
            if found is not None:
                self._publishers[name] = found
        return found

    def _make(self, name: str) -> Publisher | None:
        for pattern, make in self._table:
            if match := pattern.fullmatch(name):
                instruments = self._instruments(name)
                return make(self.segment, name, instruments, match) if instruments else None
        return None

    def _instruments(self, name: str) -> list[Instrument]:
        if name.startswith("!"):
            return self.segment.instruments()
        try:
            return [self.segment.exchange.find_instrument(name.partition("@")[0].upper(), self.segment.kind)]
        except UnknownInstrument:
            return []


class StreamClient:
    """One connection that reads market streams."""

    def __init__(self, socket: Socket, streams: Streams, *, is_combined: bool) -> None:
        self._socket = socket
        self._streams = streams
        self._is_combined = is_combined
        self._names: dict[str, Publisher] = {}
        self._second = 0
        self._frames = 0
        self._methods: dict[str, Callable[[object], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": lambda _: list(self._names),
            "SET_PROPERTY": self._set_property,
            "GET_PROPERTY": self._get_property,
        }

    def read(self, name: str, text: str, *, is_latest: bool) -> None:
        if self._is_combined:
            text = f'{{"stream":"{name}","data":{text}}}'
        topic = name.partition("@")[2]
        self._streams.segment.strikes.send(self._socket, text, topic, key=name if is_latest else "")

    async def serve(self) -> None:
        """Answer frames until the client leaves or sends more than it may."""
        async for frame in self._socket:
            if not self._may_speak():
                await self._socket.close(1008, "Too many requests")
                return
            self._socket.send(self._answer(frame))

    def begin(self, names: list[str]) -> None:
        """Read the streams of the path; what is no stream there is passed over, as Binance does."""
        for name in names:
            self._add(name)

    def end(self) -> None:
        for publisher in self._names.values():
            publisher.remove(self)
        self._names.clear()

    def _may_speak(self) -> bool:
        second = self._streams.segment.exchange.now_ms() // 1000
        self._frames = self._frames + 1 if second == self._second else 1
        self._second = second
        return self._frames <= FRAMES_PER_SECOND_MAX

    def _answer(self, frame: str | bytes) -> str:
        try:
            request = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return _error(3, "Invalid JSON: the frame is no JSON text", None)
        number = request.get("id") if isinstance(request, dict) else None
        if not isinstance(request, dict) or not isinstance(number, (int, str, type(None))):
            return _error(2, "Invalid request: an object with method, params and id is expected", None)
        method = self._methods.get(str(request.get("method")))
        if method is None:
            return _error(2, f"Invalid request: unknown variant `{str(request.get('method'))[:32]}`", number)
        try:
            return orjson.dumps({"result": method(request.get("params")), "id": number}).decode()
        except _Refused as refusal:
            return _error(refusal.code, str(refusal), number)

    def _subscribe(self, params: object) -> None:
        names = _names(params)
        unknown = [name for name in names if self._streams.find(name) is None]
        if unknown:
            raise _Refused(2, f"Invalid request: invalid stream {unknown[0][:NAME_MAX]}")
        if len(self._names) + len(names) > STREAMS_MAX:
            raise _Refused(2, f"Invalid request: at most {STREAMS_MAX} streams per connection")
        for name in names:
            self._add(name)

    def _add(self, name: str) -> None:
        publisher = self._streams.find(name)
        if publisher is not None and name not in self._names:
            self._names[name] = publisher
            publisher.add(self)

    def _unsubscribe(self, params: object) -> None:
        for name in _names(params):
            publisher = self._names.pop(name, None)
            if publisher is not None:
                publisher.remove(self)

    def _set_property(self, params: object) -> None:
        if not isinstance(params, list) or len(params) != 2 or params[0] != "combined":
            raise _Refused(0, "Unknown property")
        if not isinstance(params[1], bool):
            raise _Refused(1, "Invalid value type: expected Boolean")
        self._is_combined = params[1]

    def _get_property(self, params: object) -> bool:
        if params != ["combined"]:
            raise _Refused(0, "Unknown property")
        return self._is_combined


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _names(params: object) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise _Refused(2, "Invalid request: params must be a list of stream names")
    return params


def _error(code: int, message: str, number: int | str | None) -> str:
    return orjson.dumps({"error": {"code": code, "msg": message}, "id": number}).decode()
