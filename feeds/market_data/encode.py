"""Integers of the hub as decimal text. Rule: what goes out fits its contract in `schemas.reports`, without a float.

All of it comes in bulk, so it is written as msgspec structs, several times faster than the contract's models; a test
reads every one back through its model.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from feeds.market_data.hub import BookImage, Price
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Bar, Level, Trade
from patriot.store.api import Row

INTERVALS = {1: "1s", 60: "1m", 300: "5m", 900: "15m", 3600: "1h", 86_400: "1d"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Price(msgspec.Struct):
    instrument: str
    bid: str
    ask: str
    last: str
    mark: str | None
    as_of: datetime
    stale: bool


class _Trade(msgspec.Struct):
    trade_id: str
    price: str
    quantity: str
    side: Literal["buy", "sell"]
    time: datetime


class _Trades(msgspec.Struct):
    instrument: str
    trades: list[_Trade]


class _Bar(msgspec.Struct):
    seconds: int
    time: datetime
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int


class _Bars(msgspec.Struct):
    instrument: str
    bars: list[_Bar]


class _Book(msgspec.Struct):
    instrument: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    sequence: int
    as_of: datetime
    in_sync: bool
    stale: bool


def decimal_text(units: int, decimals: int) -> str:
    """6123450 with 2 decimals is "61234.5"."""
    if not decimals:
        return str(units)
    digits = str(units).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")


def moment(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)


def encode_price(price: Price) -> bytes:
    instrument, top = price.instrument, price.top
    bid, ask, last = (decimal_text(one, instrument.price_decimals) for one in (top.bid, top.ask, price.last))
    mark = decimal_text(price.mark, instrument.price_decimals) if price.mark else None
    return msgspec.json.encode(_Price(instrument.id, bid, ask, last, mark, price.as_of, price.stale))


def encode_trades(instrument: Instrument, trades: Sequence[Trade]) -> bytes:
    prices, quantities = instrument.price_decimals, instrument.quantity_decimals
    rows = [
        _Trade(
            one.trade_id,
            decimal_text(one.price, prices),
            decimal_text(one.quantity, quantities),
            _side(one),
            moment(one.time_ms),
        )
        for one in trades
    ]
    return msgspec.json.encode(_Trades(instrument.id, rows))


def encode_bars(instrument: Instrument, bars: Sequence[Bar]) -> bytes:
    return msgspec.json.encode(_Bars(instrument.id, [_bar(instrument, bar) for bar in bars]))


def encode_book(image: BookImage) -> bytes:
    bids, asks = _levels(image.instrument, image.bids), _levels(image.instrument, image.asks)
    body = _Book(image.instrument.id, bids, asks, image.sequence, image.as_of, image.in_sync, image.stale)
    return msgspec.json.encode(body)


def bar_row(instrument: Instrument, bar: Bar) -> Row:
    """The row of table `ohlc`."""
    price = instrument.price_of
    return Row(
        "ohlc",
        {
            "time": moment(bar.open_ms),
            "instrument": instrument.id,
            "interval": INTERVALS[bar.seconds],
            "open": price(bar.open),
            "high": price(bar.high),
            "low": price(bar.low),
            "close": price(bar.close),
            "volume": instrument.quantity_of(bar.volume),
            "trades": bar.trades,
        },
    )


def tick_row(instrument: Instrument, trade: Trade) -> Row:
    """The row of table `ticks`."""
    return Row(
        "ticks",
        {
            "time": moment(trade.time_ms),
            "instrument": instrument.id,
            "trade_id": trade.trade_id,
            "price": instrument.price_of(trade.price),
            "quantity": instrument.quantity_of(trade.quantity),
            "side": _side(trade),
        },
    )


def _side(trade: Trade) -> Literal["buy", "sell"]:
    return "sell" if trade.buyer_is_maker else "buy"


def _bar(instrument: Instrument, bar: Bar) -> _Bar:
    prices = instrument.price_decimals
    return _Bar(
        bar.seconds,
        moment(bar.open_ms),
        decimal_text(bar.open, prices),
        decimal_text(bar.high, prices),
        decimal_text(bar.low, prices),
        decimal_text(bar.close, prices),
        decimal_text(bar.volume, instrument.quantity_decimals),
        bar.trades,
    )


def _levels(instrument: Instrument, levels: Sequence[Level]) -> list[tuple[str, str]]:
    prices, quantities = instrument.price_decimals, instrument.quantity_decimals
    return [(decimal_text(price, prices), decimal_text(quantity, quantities)) for price, quantity in levels]
