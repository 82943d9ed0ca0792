"""What the feed asks over REST: definitions, trades that were missed, a picture of the book while a socket is down.

Each venue's answers are read here and nowhere else; snapshots for a live book are the codec's own business.
Sources: binance-spot-api-docs rest-api (aggTrades), derivatives market data, Bybit v5 market/recent-trade,
Coinbase Advanced Trade public products ticker.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from feeds.market_data.encode import EPOCH
from feeds.market_data.endpoints import Endpoint
from feeds.market_data.transport import Transport, TransportError
from patriot.domain.instrument import Instrument
from patriot.protocols.errors import DECODE_ERRORS, MalformedFrame, ProtocolError
from patriot.protocols.market import BookSnapshot, Quote, Trade
from patriot.protocols.number import Scale

TRADES_MAX = 1000
PICTURE_DEPTH = 5


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


def _ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


_READERS = {"BINANCE": _binance_trades, "BYBIT": _bybit_trades, "COINBASE": _coinbase_trades}
