"""Public REST. Rule: no key is needed and nothing is changed."""

from typing import Any

from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_market_rows import BAR_SECONDS, bar_rows, instrument_row, levels, ticker_row, trade_row
from feeds.venue.wire.bybit_parameters import Parameters

Result = dict[str, Any]


def time(now_ms: int) -> Result:
    return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}


def instruments_info(exchange: Exchange, parameters: Parameters) -> Result:
    """List instruments; all are past their launch, so other statuses than Trading are empty."""
    category, status = parameters.category(), parameters.text("status", "Trading")
    found = parameters.instruments(exchange)
    rows = [instrument_row(instrument) for instrument in found]
    return {"category": category, "list": [row for row in rows if row["status"] == status], "nextPageCursor": ""}


def orderbook(exchange: Exchange, parameters: Parameters) -> Result:
    instrument = parameters.instrument(exchange)
    book = exchange.book(instrument.id, parameters.limit(25 if instrument.is_derivative else 1, 1000))
    return {
        "s": instrument.native_symbol,
        "b": levels(instrument, book.bids),
        "a": levels(instrument, book.asks),
        "ts": book.time_ms,
        "u": max(1, book.sequence),
        "seq": book.sequence,
        "cts": book.time_ms,
    }


def recent_trade(exchange: Exchange, parameters: Parameters) -> Result:
    instrument = parameters.instrument(exchange)
    default, most = (500, 1000) if instrument.is_derivative else (60, 60)
    trades = exchange.recent_trades(instrument.id, parameters.limit(default, most))
    return {"category": instrument.kind, "list": [trade_row(instrument, trade) for trade in reversed(trades)]}


def tickers(exchange: Exchange, parameters: Parameters) -> Result:
    found = parameters.instruments(exchange)
    return {"category": parameters.category(), "list": [ticker_row(exchange, one) for one in found]}


def kline(exchange: Exchange, parameters: Parameters) -> Result:
    """Bars of the last day, newest first."""
    instrument, seconds = parameters.instrument(exchange), _seconds(parameters)
    start, end = parameters.integer("start", 0), parameters.integer("end", 1 << 60)
    bars = [bar for bar in exchange.bars(instrument.id, seconds, 1440) if start <= bar.open_ms <= end]
    rows = bar_rows(instrument, bars[-parameters.limit(200, 1000) :])
    return {"category": instrument.kind, "symbol": instrument.native_symbol, "list": rows}


def mark_price_kline(exchange: Exchange, parameters: Parameters) -> Result:
    """The venue keeps no history of the mark price: these are the prices of `kline`, without volumes."""
    result = kline(exchange, parameters)
    return result | {"list": [row[:5] for row in result["list"]]}


def _seconds(parameters: Parameters) -> int:
    return BAR_SECONDS[parameters.choice("interval", tuple(BAR_SECONDS))]
