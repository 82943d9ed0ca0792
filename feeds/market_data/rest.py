"""What the feed asks over REST: definitions, trades that were missed, a picture of the book while a socket is down.

Each venue's answers are read here and nowhere else; snapshots for a live book are the codec's own business.
Sources: binance-spot-api-docs rest-api (aggTrades, klines), derivatives market data, Bybit v5 market/recent-trade and
market/kline, Coinbase Advanced Trade public products ticker and candles.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from feeds.market_data.encode import EPOCH, moment
from feeds.market_data.endpoints import Endpoint
from feeds.market_data.transport import Transport, TransportError
from patriot.domain.instrument import Instrument
from patriot.protocols.errors import DECODE_ERRORS, MalformedFrame, ProtocolError
from patriot.protocols.market import BookSnapshot, Quote, Trade
from patriot.protocols.number import Scale

TRADES_MAX = 1000
PICTURE_DEPTH = 5
DAYS_MAX = 350
"""As many as each of the venues tells in one answer."""


class Day(NamedTuple):
    """One day's bar, as a row of `ohlc` has it. Decimals: a step that was finer once must not spoil what is asked."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int | None  # not every venue tells


class _Aggregate(msgspec.Struct):
    a: int
    p: str
    q: str
    T: int
    m: bool


class _BybitTrade(msgspec.Struct, rename="camel"):
    exec_id: str
    price: str
    size: str
    side: Literal["Buy", "Sell"]  # the taker's
    time: str


class _BybitList(msgspec.Struct):
    list: list[_BybitTrade]


class _BybitAnswer(msgspec.Struct):
    result: _BybitList


class _CoinbaseTrade(msgspec.Struct):
    trade_id: str
    price: str
    size: str
    time: datetime
    side: Literal["BUY", "SELL"]  # the maker's, as in the stream


class _CoinbaseAnswer(msgspec.Struct):
    trades: list[_CoinbaseTrade]


_BinanceDay = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal, int, str, int, str, str, str]


class _BybitDays(msgspec.Struct):
    list: list[tuple[str, Decimal, Decimal, Decimal, Decimal, Decimal, str]]


class _BybitHistory(msgspec.Struct):
    result: _BybitDays


class _CoinbaseDay(msgspec.Struct):
    start: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class _CoinbaseHistory(msgspec.Struct):
    candles: list[_CoinbaseDay]


class Rest:
    """One endpoint's REST. All methods raise TransportError or ProtocolError."""

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self._endpoint, self._transport = endpoint, transport

    async def get(self, path: str) -> bytes:
        return await self._transport.get(self._endpoint.rest(path))

    async def definitions(self) -> list[Instrument]:
        return self._endpoint.codec.decode_instruments(await self.get(self._endpoint.codec.instruments_path))

    async def trades(self, instrument: Instrument, from_id: int) -> Sequence[Trade]:
        """The newest trades, oldest first; from `from_id` on where the venue can (a thousand at a time)."""
        body = await self.get(_trades_path(self._endpoint, instrument, from_id))
        try:
            return _READERS[self._endpoint.venue](instrument, body)
        except DECODE_ERRORS as error:
            raise MalformedFrame(str(error)) from None

    async def days(self, instrument: Instrument, until: datetime) -> Sequence[Day]:
        """The newest daily bars before `until`, a midnight, oldest first; perhaps the day that still grows, too."""
        body = await self.get(_days_path(self._endpoint, instrument, until))
        try:
            return _DAY_READERS[self._endpoint.venue](body)
        except (*DECODE_ERRORS, ValueError) as error:
            raise MalformedFrame(str(error)) from None

    async def picture(self, instrument: Instrument, now_ms: int) -> Quote:
        """Best bid and ask as of now."""
        body = await self.get(_book_path(self._endpoint, instrument))
        for event in self._endpoint.codec([instrument]).snapshot(instrument.id, body):
            if isinstance(event, BookSnapshot):
                return _quote(event, now_ms)
        raise TransportError(f"{self._endpoint.name} gives no book of {instrument.id}")


REST_ERRORS = (TransportError, ProtocolError)


def _quote(book: BookSnapshot, now_ms: int) -> Quote:
    bid, ask = max(book.bids, default=(0, 0)), min(book.asks, default=(0, 0))
    return Quote(book.instrument, *bid, *ask, book.sequence, book.time_ms or now_ms)


def _trades_path(endpoint: Endpoint, instrument: Instrument, from_id: int) -> str:
    symbol = instrument.native_symbol
    if endpoint.venue == "BINANCE":
        start = f"&fromId={from_id}" if from_id else ""
        return f"{_binance(endpoint)}/aggTrades?symbol={symbol}&limit={TRADES_MAX}{start}"
    if endpoint.venue == "BYBIT":
        limit = 60 if instrument.kind == "spot" else TRADES_MAX
        return f"/v5/market/recent-trade?category={instrument.kind}&symbol={symbol}&limit={limit}"
    return f"/api/v3/brokerage/market/products/{symbol}/ticker?limit={TRADES_MAX}"


def _book_path(endpoint: Endpoint, instrument: Instrument) -> str:
    symbol = instrument.native_symbol
    if endpoint.venue == "BINANCE":
        return f"{_binance(endpoint)}/depth?symbol={symbol}&limit={PICTURE_DEPTH}"
    if endpoint.venue == "BYBIT":
        return f"/v5/market/orderbook?category={instrument.kind}&symbol={symbol}&limit={PICTURE_DEPTH}"
    return f"/api/v3/brokerage/market/product_book?product_id={symbol}&limit={PICTURE_DEPTH}"


def _days_path(endpoint: Endpoint, instrument: Instrument, until: datetime) -> str:
    symbol, since = instrument.native_symbol, until - timedelta(days=DAYS_MAX)
    if endpoint.venue == "BINANCE":
        return f"{_binance(endpoint)}/klines?symbol={symbol}&interval=1d&startTime={_ms(since)}&limit={DAYS_MAX + 1}"
    if endpoint.venue == "BYBIT":
        asked = f"category={instrument.kind}&symbol={symbol}&interval=D&start={_ms(since)}&limit={DAYS_MAX + 1}"
        return f"/v5/market/kline?{asked}"
    span = f"start={_ms(since) // 1000}&end={_ms(until) // 1000 - 1}"
    return f"/api/v3/brokerage/market/products/{symbol}/candles?{span}&granularity=ONE_DAY&limit={DAYS_MAX}"


def _binance(endpoint: Endpoint) -> str:
    return endpoint.codec.instruments_path.rpartition("/")[0]


def _binance_trades(instrument: Instrument, body: bytes) -> list[Trade]:
    price, quantity = Scale(instrument.price_decimals), Scale(instrument.quantity_decimals)
    rows = msgspec.json.decode(body, type=list[_Aggregate])
    return [Trade(instrument.id, price[row.p], quantity[row.q], row.m, str(row.a), row.T) for row in rows]


def _bybit_trades(instrument: Instrument, body: bytes) -> list[Trade]:
    price, quantity = Scale(instrument.price_decimals), Scale(instrument.quantity_decimals)
    rows = msgspec.json.decode(body, type=_BybitAnswer).result.list
    return [
        Trade(instrument.id, price[row.price], quantity[row.size], row.side == "Sell", row.exec_id, int(row.time))
        for row in reversed(rows)
    ]


def _coinbase_trades(instrument: Instrument, body: bytes) -> list[Trade]:
    price, quantity = Scale(instrument.price_decimals), Scale(instrument.quantity_decimals)
    rows = msgspec.json.decode(body, type=_CoinbaseAnswer).trades
    return [
        Trade(instrument.id, price[row.price], quantity[row.size], row.side == "BUY", row.trade_id, _ms(row.time))
        for row in reversed(rows)
    ]


def _binance_days(body: bytes) -> list[Day]:
    rows = msgspec.json.decode(body, type=list[_BinanceDay])
    return [Day(moment(row[0]), *row[1:6], row[8]) for row in rows]


def _bybit_days(body: bytes) -> list[Day]:
    rows = msgspec.json.decode(body, type=_BybitHistory).result.list
    return [Day(moment(int(row[0])), *row[1:6], None) for row in reversed(rows)]


def _coinbase_days(body: bytes) -> list[Day]:
    rows = msgspec.json.decode(body, type=_CoinbaseHistory).candles
    return [
        Day(moment(int(row.start) * 1000), row.open, row.high, row.low, row.close, row.volume, None)
        for row in reversed(rows)
    ]


def _ms(when: datetime) -> int:
    return (when - EPOCH) // timedelta(milliseconds=1)


_DAY_READERS = {"BINANCE": _binance_days, "BYBIT": _bybit_days, "COINBASE": _coinbase_days}
_READERS = {"BINANCE": _binance_trades, "BYBIT": _bybit_trades, "COINBASE": _coinbase_trades}
