"""Messages of the market streams in Binance's shapes. Rule: pure; spot and futures differ by the keys that they add."""

from feeds.venue.wire.binance_public import DAY_MS, change_percent
from feeds.venue.wire.binance_scale import Scale
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade

Shape = dict[str, object]


def _is_spot(scale: Scale) -> bool:
    return scale.instrument.kind == "spot"


def trade(event: Trade, scale: Scale, *, is_aggregate: bool) -> Shape:
    number = int(event.trade_id)
    ids: Shape = {"a": number, "f": number, "l": number} if is_aggregate else {"t": number}
    if not _is_spot(scale):
        ids |= {"st": 1} if is_aggregate else {"X": "MARKET"}
    shape: Shape = {
        "e": "aggTrade" if is_aggregate else "trade",
        "E": event.time_ms,
        "s": scale.instrument.native_symbol,
        "p": scale.price(event.price),
        "q": scale.quantity(event.quantity),
        "T": event.time_ms,
        "m": event.buyer_is_maker,
    }
    return shape | ids | ({"M": True} if _is_spot(scale) else {})


def book_ticker(quote: Quote, scale: Scale) -> Shape:
    symbol = scale.instrument.native_symbol
    shape: Shape = {
        "u": quote.sequence,
        "s": symbol,
        "b": scale.price(quote.bid),
        "B": scale.quantity(quote.bid_quantity),
        "a": scale.price(quote.ask),
        "A": scale.quantity(quote.ask_quantity),
    }
    if _is_spot(scale):
        return shape
    return {"e": "bookTicker", **shape, "T": quote.time_ms, "E": quote.time_ms, "st": 1, "ps": symbol}


def depth_update(delta: BookDelta, scale: Scale) -> Shape:
    symbol = scale.instrument.native_symbol
    shape: Shape = {"e": "depthUpdate", "E": delta.time_ms, "s": symbol, "U": delta.first, "u": delta.last}
    if not _is_spot(scale):
        shape |= {"T": delta.time_ms, "ps": symbol, "st": 1, "pu": delta.previous}
    return shape | {"b": scale.levels(delta.bids), "a": scale.levels(delta.asks)}


def partial_depth(book: BookSnapshot, previous: int, scale: Scale) -> Shape:
    """The best levels: a snapshot on spot, a depthUpdate of whole levels on futures."""
    bids, asks = scale.levels(book.bids), scale.levels(book.asks)
    if _is_spot(scale):
        return {"lastUpdateId": book.sequence, "bids": bids, "asks": asks}
    delta = BookDelta(book.instrument, [], [], previous + 1, book.sequence, previous, book.time_ms)
    return depth_update(delta, scale) | {"b": bids, "a": asks}


def mini_ticker(day: Ticker, scale: Scale) -> Shape:
    return {
        "e": "24hrMiniTicker",
        "E": day.time_ms,
        "s": scale.instrument.native_symbol,
        "c": scale.price(day.last),
        "o": scale.price(day.open),
        "h": scale.price(day.high),
        "l": scale.price(day.low),
        "v": scale.quantity(day.volume),
        "q": scale.notional(day.last, day.volume),
    }


def ticker(day: Ticker, last: list[Trade], quote: Quote, scale: Scale) -> Shape:
    """The day's statistics. The average is that of high, low and last: the exchange keeps no quote volumes."""
    count = int(last[0].trade_id) if last else 0
    shape = mini_ticker(day, scale) | {
        "e": "24hrTicker",
        "p": scale.price(day.last - day.open),
        "P": change_percent(day),
        "w": scale.price((day.high + day.low + day.last) // 3),
        "Q": scale.quantity(last[0].quantity if last else 0),
        "O": day.time_ms - DAY_MS,
        "C": day.time_ms,
        "F": min(count, 1),
        "L": count,
        "n": count,
    }
    if not _is_spot(scale):
        return shape | {"st": 1}
    return shape | {
        "x": scale.price(day.open),
        "b": scale.price(quote.bid),
        "B": scale.quantity(quote.bid_quantity),
        "a": scale.price(quote.ask),
        "A": scale.quantity(quote.ask_quantity),
    }


def kline(bar: Bar, interval: str, now_ms: int, scale: Scale) -> Shape:
    """One bar. First and last trade id are unknown (-1), the takers' share is taken to be half."""
    symbol = scale.instrument.native_symbol
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": bar.open_ms,
            "T": bar.open_ms + bar.seconds * 1000 - 1,
            "s": symbol,
            "i": interval,
            "f": -1,
            "L": -1,
            "o": scale.price(bar.open),
            "c": scale.price(bar.close),
            "h": scale.price(bar.high),
            "l": scale.price(bar.low),
            "v": scale.quantity(bar.volume),
            "n": bar.trades,
            "x": bar.closed,
            "q": scale.notional(bar.close, bar.volume),
            "V": scale.quantity(bar.volume // 2),
            "Q": scale.notional(bar.close, bar.volume // 2),
            "B": "0",
        },
    }


def mark_price(mark: MarkPrice, scale: Scale) -> Shape:
    return {
        "e": "markPriceUpdate",
        "E": mark.time_ms,
        "s": scale.instrument.native_symbol,
        "p": scale.price(mark.mark),
        "i": scale.price(mark.index),
        "P": scale.price(mark.mark),
        "r": mark.funding_rate,
        "T": mark.next_funding_ms,
        "st": 1,
    }
