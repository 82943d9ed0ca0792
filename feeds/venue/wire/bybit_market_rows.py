"""Public data as Bybit writes it. Rule: prices and quantities are text with the instrument's decimals.

The venue keeps no turnover and no open interest: turnover is the volume at the typical price of the period, open
interest is "0" (but present: ccxt files a ticker without it under spot).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_ids import trade_id
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, plain
from patriot.protocols.market import Bar, Quote, Ticker, Trade

Row = dict[str, Any]

BAR_SECONDS: Final = {
    "1": 60, "3": 180, "5": 300, "15": 900, "30": 1800, "60": 3600, "120": 7200, "240": 14400, "360": 21600,
    "720": 43200, "D": 86400,
}  # fmt: skip
_SPOT_ORDER_VALUE_MAX: Final = "8000000"


def price(instrument: Instrument, units: int) -> str:
    return format(instrument.price_of(units), "f")


def quantity(instrument: Instrument, units: int) -> str:
    return format(instrument.quantity_of(units), "f")


def levels(instrument: Instrument, units: Iterable[tuple[int, int]]) -> list[list[str]]:
    """Levels; one that is gone has the quantity "0"."""
    return [[price(instrument, level), quantity(instrument, size) if size else "0"] for level, size in units]


def instrument_row(instrument: Instrument) -> Row:
    return _linear_row(instrument) if instrument.is_derivative else _spot_row(instrument)


def _linear_row(instrument: Instrument) -> Row:
    tick, largest = plain(instrument.tick_size), plain(instrument.maximum_quantity or 10**9 * instrument.lot_size)
    return {
        "symbol": instrument.native_symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading" if instrument.trading else "Closed",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "settleCoin": instrument.settle,
        "launchTime": "1577836800000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(instrument.price_decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": str(instrument.maximum_leverage), "leverageStep": "1"},
        "priceFilter": {"minPrice": tick, "maxPrice": plain(instrument.tick_size * 19_999_998), "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": largest,
            "minOrderQty": plain(instrument.minimum_quantity or instrument.lot_size),
            "qtyStep": plain(instrument.lot_size),
            "postOnlyMaxOrderQty": largest,
            "maxMktOrderQty": largest,
            "minNotionalValue": plain(instrument.minimum_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "copyTrading": "none",
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False,
        "preListingInfo": None,
    }


def _spot_row(instrument: Instrument) -> Row:
    step = plain(instrument.lot_size)
    return {
        "symbol": instrument.native_symbol,
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "innovation": "0",
        "status": "Trading" if instrument.trading else "Closed",
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": step,
            "quotePrecision": plain(instrument.tick_size * instrument.lot_size),
            "minOrderQty": plain(instrument.minimum_quantity or instrument.lot_size),
            "maxOrderQty": plain(instrument.maximum_quantity or 10**9 * instrument.lot_size),
            "minOrderAmt": plain(instrument.minimum_notional),
            "maxOrderAmt": _SPOT_ORDER_VALUE_MAX,
        },
        "priceFilter": {"tickSize": plain(instrument.tick_size)},
    }


def ticker_row(exchange: Exchange, instrument: Instrument) -> Row:
    """24 h statistics with everything that the category tells. REST and linear streams have the best prices too."""
    ticker = exchange.ticker(instrument.id)
    statistics = _statistics(instrument, ticker)
    quote = exchange.quote(instrument.id)
    if not instrument.is_derivative:
        return statistics | {"usdIndexPrice": statistics["lastPrice"]} | _best(instrument, quote)
    mark = exchange.mark_price(instrument.id)
    return {
        **statistics,
        "tickDirection": "ZeroPlusTick",
        "prevPrice1h": _hour_ago(exchange, instrument, ticker),
        "markPrice": price(instrument, mark.mark),
        "indexPrice": price(instrument, mark.index),
        "openInterest": "0",
        "openInterestValue": "0",
        "fundingIntervalHour": "8",
        "fundingCap": "0.005",
        "nextFundingTime": str(mark.next_funding_ms),
        "fundingRate": mark.funding_rate,
        **_best(instrument, quote),
    }


def spot_ticker_message(exchange: Exchange, instrument: Instrument) -> Row:
    """The spot stream's ticker: no best prices; ccxt knows it by `usdIndexPrice`."""
    statistics = _statistics(instrument, exchange.ticker(instrument.id))
    return statistics | {"usdIndexPrice": statistics["lastPrice"]}


def _statistics(instrument: Instrument, ticker: Ticker) -> Row:
    change = (
        (instrument.price_of(ticker.last - ticker.open) / instrument.price_of(ticker.open)) if ticker.open else ZERO
    )
    typical = (ticker.open + ticker.high + ticker.low + ticker.last) // 4
    turnover = instrument.notional(instrument.quantity_of(ticker.volume), instrument.price_of(typical))
    return {
        "symbol": instrument.native_symbol,
        "lastPrice": price(instrument, ticker.last),
        "highPrice24h": price(instrument, ticker.high),
        "lowPrice24h": price(instrument, ticker.low),
        "prevPrice24h": price(instrument, ticker.open),
        "volume24h": quantity(instrument, ticker.volume),
        "turnover24h": format(turnover, "f"),
        "price24hPcnt": format(change, ".6f"),
    }


def _best(instrument: Instrument, quote: Quote) -> Row:
    return {
        "bid1Price": price(instrument, quote.bid) if quote.bid else "",
        "bid1Size": quantity(instrument, quote.bid_quantity) if quote.bid else "",
        "ask1Price": price(instrument, quote.ask) if quote.ask else "",
        "ask1Size": quantity(instrument, quote.ask_quantity) if quote.ask else "",
    }


def _hour_ago(exchange: Exchange, instrument: Instrument, ticker: Ticker) -> str:
    bars = exchange.bars(instrument.id, 3600, 2)
    return price(instrument, bars[0].open if bars else ticker.open)


def trade_row(instrument: Instrument, trade: Trade) -> Row:
    """One trade of /v5/market/recent-trade; `side` is the taker's."""
    return {
        "execId": trade_id(trade, instrument),
        "symbol": instrument.native_symbol,
        "price": price(instrument, trade.price),
        "size": quantity(instrument, trade.quantity),
        "side": "Sell" if trade.buyer_is_maker else "Buy",
        "time": str(trade.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
    }


def trade_message(instrument: Instrument, trade: Trade, tick: str, sequence: int) -> Row:
    """One trade of the stream; spot has no tick direction."""
    row = {
        "T": trade.time_ms,
        "s": instrument.native_symbol,
        "S": "Sell" if trade.buyer_is_maker else "Buy",
        "v": quantity(instrument, trade.quantity),
        "p": price(instrument, trade.price),
        "i": trade_id(trade, instrument),
        "BT": False,
        "RPI": False,
        "seq": sequence,
    }
    return row | {"L": tick} if instrument.is_derivative else row


def bar_rows(instrument: Instrument, bars: Sequence[Bar]) -> list[list[str]]:
    """Bars of /v5/market/kline, newest first: start, open, high, low, close, volume, turnover."""
    return [
        [
            str(bar.open_ms),
            *(price(instrument, units) for units in (bar.open, bar.high, bar.low, bar.close)),
            quantity(instrument, bar.volume),
            turnover(instrument, bar),
        ]
        for bar in reversed(bars)
    ]


def bar_message(instrument: Instrument, bar: Bar, interval: str, now_ms: int) -> Row:
    return {
        "start": bar.open_ms,
        "end": bar.open_ms + bar.seconds * 1000 - 1,
        "interval": interval,
        "open": price(instrument, bar.open),
        "close": price(instrument, bar.close),
        "high": price(instrument, bar.high),
        "low": price(instrument, bar.low),
        "volume": quantity(instrument, bar.volume),
        "turnover": turnover(instrument, bar),
        "confirm": bar.closed,
        "timestamp": now_ms,
    }


def turnover(instrument: Instrument, bar: Bar) -> str:
    typical = (bar.open + bar.high + bar.low + bar.close) // 4
    return format(instrument.notional(instrument.quantity_of(bar.volume), instrument.price_of(typical)), "f")
