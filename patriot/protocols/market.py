"""Normalised market data: what every codec produces and every consumer of the `ticks` port sees.

Prices and quantities are integers in the instrument's units (see `patriot.domain.instrument`); times are UTC
milliseconds of the venue. `instrument` is the instrument id, "BINANCE:BTC/USDT:USDT". What can be traded on (trades,
quotes, books, bar prices) is exact or refused; statistics and reference prices are rounded half to even, because venues
give them in finer steps. What a venue does not tell is 0.
"""

import msgspec

Level = tuple[int, int]
"""Price and quantity. Quantity 0 in a delta removes the level. Plain, because nothing else is made as often."""


class Trade(msgspec.Struct, frozen=True, gc=False, tag="trade"):
    """One execution. `buyer_is_maker` True means the aggressor sold."""

    instrument: str
    price: int
    quantity: int
    buyer_is_maker: bool
    trade_id: str
    time_ms: int


class Quote(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """Best bid and ask. `sequence` grows within one connection; 0 where the venue has none."""

    instrument: str
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int
    sequence: int
    time_ms: int


class BookSnapshot(msgspec.Struct, frozen=True, gc=False, tag="book_snapshot"):
    """The whole book as of `sequence`: pairs (price, quantity), best first."""

    instrument: str
    bids: list[Level]
    asks: list[Level]
    sequence: int
    time_ms: int


class BookDelta(msgspec.Struct, frozen=True, gc=False, tag="book_delta"):
    """Changed levels, absolute quantities. `previous` is the sequence that must have been applied before
    (-1 where only `first`..`last` continuity counts, as on Binance spot).
    """

    instrument: str
    bids: list[Level]
    asks: list[Level]
    first: int
    last: int
    previous: int
    time_ms: int


class Ticker(msgspec.Struct, frozen=True, gc=False, tag="ticker"):
    """24 h statistics."""

    instrument: str
    last: int
    open: int
    high: int
    low: int
    volume: int
    time_ms: int


class Bar(msgspec.Struct, frozen=True, gc=False, tag="bar"):
    """One candle. `seconds` is its length, `open_ms` its first millisecond; `closed` False while it grows."""

    instrument: str
    seconds: int
    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    closed: bool


class MarkPrice(msgspec.Struct, frozen=True, gc=False, tag="mark_price"):
    """Mark and index price, funding rate as decimal text ("0.0001"), and when it is next paid."""

    instrument: str
    mark: int
    index: int
    funding_rate: str
    next_funding_ms: int
    time_ms: int


Market = Trade | Quote | BookSnapshot | BookDelta | Ticker | Bar | MarkPrice
