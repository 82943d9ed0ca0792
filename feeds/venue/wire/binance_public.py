"""Public market data over REST, spot and futures. Rule: what the exchange knows, in Binance's shapes.

The exchange keeps bars, not quote volumes: a quote volume here is the base volume at the bar's (or day's) last price,
and the takers' share is taken to be half.
"""

from collections.abc import Callable
from decimal import Decimal

from feeds.venue.admission import ICEBERG_PARTS_MAX
from feeds.venue.wire.binance_orders import ALGO_TYPES, LINEAR_TIMES, LINEAR_TYPES, SELF_TRADES, SPOT_TYPES
from feeds.venue.wire.binance_scale import fixed
from feeds.venue.wire.binance_segment import Call, Route, Routes, Segment
from patriot.domain.instrument import Instrument
from patriot.domain.money import plain
from patriot.protocols.market import Bar, Ticker, Trade

DAY_MS = 86_400_000
LISTED_MS = 1_569_398_400_000
DELIVERED_MS = 4_133_404_800_000
"""Binance's delivery date of a perpetual."""

INTERVAL_SECONDS = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400, "6h": 21600,
    "8h": 28800, "12h": 43200, "1d": 86400,
}  # fmt: skip


class Public:
    """The routes below `prefix` ("/api/v3", "/fapi/v1")."""

    def __init__(self, segment: Segment, prefix: str) -> None:
        self._segment = segment
        self._exchange = segment.exchange
        self._prefix = prefix

    def routes(self) -> Routes:
        paths: dict[str, tuple[Callable[[Call], object], int]] = {
            "ping": (lambda _: {}, 1),
            "time": (lambda _: {"serverTime": self._segment.clock_ms()}, 1),
            "exchangeInfo": (self.exchange_info, 20),
            "depth": (self.depth, 25),
            "trades": (self.trades, 10),
            "historicalTrades": (self.trades, 10),
            "aggTrades": (self.aggregate_trades, 2),
            "klines": (self.klines, 2),
            "ticker/24hr": (self.day, 2),
            "ticker/bookTicker": (self.book_ticker, 2),
            "ticker/price": (self.price, 2),
            "avgPrice": (self.average_price, 2),
        }
        return {
            ("GET", f"{self._prefix}/{path}"): Route(handler, weight=weight)
            for path, (handler, weight) in paths.items()
        }

    def exchange_info(self, call: Call) -> object:
        limits = self._segment.limits
        return {
            "timezone": "UTC",
            "serverTime": self._segment.clock_ms(),
            "rateLimits": [
                _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_max),
                *(_rate_limit("ORDERS", one.interval, one.count, one.limit) for one in limits.orders),
            ],
            "exchangeFilters": [],
            "symbols": [_SYMBOLS[one.kind](one) for one in self._segment.chosen(call.params)],
        } | ({"sors": []} if self._segment.kind == "spot" else {"futuresType": "U_MARGINED", "assets": self._assets()})

    def _assets(self) -> list[dict[str, object]]:
        names = sorted({one.settle for one in self._segment.instruments()})
        return [{"asset": name, "marginAvailable": True, "autoAssetExchange": None} for name in names]

    def depth(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        book = self._exchange.book(instrument.id, call.params.limit(100, 5000))
        scale = self._segment.scale(instrument)
        shape = {"lastUpdateId": book.sequence, "bids": scale.levels(book.bids), "asks": scale.levels(book.asks)}
        return shape if instrument.kind == "spot" else shape | {"E": book.time_ms, "T": book.time_ms}

    def trades(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        return [self._trade(instrument, trade) for trade in self._recent(instrument, call)]

    def _recent(self, instrument: Instrument, call: Call) -> list[Trade]:
        return self._exchange.recent_trades(instrument.id, call.params.limit(500, 1000))

    def _trade(self, instrument: Instrument, trade: Trade) -> dict[str, object]:
        scale = self._segment.scale(instrument)
        shape: dict[str, object] = {
            "id": int(trade.trade_id),
            "price": scale.price(trade.price),
            "qty": scale.quantity(trade.quantity),
            "quoteQty": scale.notional(trade.price, trade.quantity),
            "time": trade.time_ms,
            "isBuyerMaker": trade.buyer_is_maker,
        }
        return shape | {"isBestMatch": True} if instrument.kind == "spot" else shape

    def aggregate_trades(self, call: Call) -> object:
        """Every trade is an aggregate of one."""
        instrument = self._segment.instrument(call.params)
        scale = self._segment.scale(instrument)
        return [
            {
                "a": int(trade.trade_id),
                "p": scale.price(trade.price),
                "q": scale.quantity(trade.quantity),
                "f": int(trade.trade_id),
                "l": int(trade.trade_id),
                "T": trade.time_ms,
                "m": trade.buyer_is_maker,
            }
            | ({"M": True} if instrument.kind == "spot" else {})
            for trade in self._recent(instrument, call)
        ]

    def klines(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        seconds = call.params.choice("interval", INTERVAL_SECONDS, (-1120, "Invalid interval."))
        start, end = call.params.integer("startTime", 0), call.params.integer("endTime", DELIVERED_MS)
        bars = self._exchange.bars(instrument.id, seconds, call.params.limit(500, 1500))
        return [self._kline(instrument, bar) for bar in bars if start <= bar.open_ms <= end]

    def _kline(self, instrument: Instrument, bar: Bar) -> list[object]:
        scale = self._segment.scale(instrument)
        prices = [scale.price(price) for price in (bar.open, bar.high, bar.low, bar.close)]
        quote = scale.notional(bar.close, bar.volume)
        taker, taker_quote = scale.quantity(bar.volume // 2), scale.notional(bar.close, bar.volume // 2)
        closing_ms = bar.open_ms + bar.seconds * 1000 - 1
        return [
            bar.open_ms,
            *prices,
            scale.quantity(bar.volume),
            closing_ms,
            quote,
            bar.trades,
            taker,
            taker_quote,
            "0",
        ]

    def day(self, call: Call) -> object:
        return self._one_or_all(call, self._day)

    def _day(self, instrument: Instrument) -> dict[str, object]:
        ticker, scale = self._exchange.ticker(instrument.id), self._segment.scale(instrument)
        shape: dict[str, object] = {
            "symbol": instrument.native_symbol,
            "priceChange": scale.price(ticker.last - ticker.open),
            "priceChangePercent": change_percent(ticker),
            "weightedAvgPrice": scale.price((ticker.high + ticker.low + ticker.last) // 3),
            "lastPrice": scale.price(ticker.last),
            "lastQty": scale.quantity(self._last_quantity(instrument)),
            "openPrice": scale.price(ticker.open),
            "highPrice": scale.price(ticker.high),
            "lowPrice": scale.price(ticker.low),
            "volume": scale.quantity(ticker.volume),
            "quoteVolume": scale.notional(ticker.last, ticker.volume),
            "openTime": ticker.time_ms - DAY_MS,
            "closeTime": ticker.time_ms,
        }
        shape |= trade_range(self._exchange.recent_trades(instrument.id, 1))
        if instrument.kind == "spot":
            shape |= {"prevClosePrice": scale.price(ticker.open)} | self._best(instrument)
        return shape

    def _last_quantity(self, instrument: Instrument) -> int:
        trades = self._exchange.recent_trades(instrument.id, 1)
        return trades[0].quantity if trades else 0

    def _best(self, instrument: Instrument) -> dict[str, object]:
        quote, scale = self._exchange.quote(instrument.id), self._segment.scale(instrument)
        return {
            "bidPrice": scale.price(quote.bid),
            "bidQty": scale.quantity(quote.bid_quantity),
            "askPrice": scale.price(quote.ask),
            "askQty": scale.quantity(quote.ask_quantity),
        }

    def book_ticker(self, call: Call) -> object:
        def shape(instrument: Instrument) -> dict[str, object]:
            best = {"symbol": instrument.native_symbol} | self._best(instrument)
            return best if instrument.kind == "spot" else best | {"time": self._exchange.now_ms()}

        return self._one_or_all(call, shape)

    def price(self, call: Call) -> object:
        def shape(instrument: Instrument) -> dict[str, object]:
            last = self._segment.scale(instrument).price(self._exchange.ticker(instrument.id).last)
            named: dict[str, object] = {"symbol": instrument.native_symbol, "price": last}
            return named if instrument.kind == "spot" else named | {"time": self._exchange.now_ms()}

        return self._one_or_all(call, shape)

    def average_price(self, call: Call) -> object:
        instrument = self._segment.instrument(call.params)
        ticker = self._exchange.ticker(instrument.id)
        return {"mins": 5, "price": self._segment.scale(instrument).price(ticker.last), "closeTime": ticker.time_ms}

    def _one_or_all(self, call: Call, shape: Callable[[Instrument], dict[str, object]]) -> object:
        if call.params.has("symbol"):
            return shape(self._segment.instrument(call.params))
        if call.params.has("symbols"):
            names = call.params.text("symbols").strip("[]").replace('"', "").split(",")
            return [shape(self._segment.named(name)) for name in names]
        return [shape(instrument) for instrument in self._segment.instruments()]


def trade_range(last: list[Trade]) -> dict[str, object]:
    """Ids of the day's trades; the exchange counts them from 1."""
    count = int(last[0].trade_id) if last else 0
    return {"firstId": min(count, 1), "lastId": count, "count": count}


def change_percent(ticker: Ticker) -> str:
    if not ticker.open:
        return "0.000"
    return fixed(Decimal(100 * (ticker.last - ticker.open)) / ticker.open, 3)


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def _filters(one: Instrument) -> list[dict[str, object]]:
    """Price and lot filters; a limit of zero is shown as the largest number that Binance uses."""
    largest = plain(one.maximum_quantity) if one.maximum_quantity else "9000000"
    lot = {"minQty": plain(one.minimum_quantity or one.lot_size), "maxQty": largest, "stepSize": plain(one.lot_size)}
    tick = plain(one.tick_size)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200, "limit": 200},
    ]


def _spot_symbol(one: Instrument) -> dict[str, object]:
    notional = {
        "filterType": "NOTIONAL",
        "minNotional": plain(one.minimum_notional),
        "applyMinToMarket": True,
        "maxNotional": "9000000.00000000",
        "applyMaxToMarket": False,
        "avgPriceMins": 5,
    }
    return {
        "symbol": one.native_symbol,
        "status": "TRADING" if one.trading else "BREAK",
        "baseAsset": one.base,
        "baseAssetPrecision": 8,
        "quoteAsset": one.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(SPOT_TYPES),
        "icebergAllowed": True,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": one.trading,
        "isMarginTradingAllowed": False,
        "filters": [*_filters(one), notional, {"filterType": "ICEBERG_PARTS", "limit": ICEBERG_PARTS_MAX}],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": list(SELF_TRADES),
    }


def _linear_symbol(one: Instrument) -> dict[str, object]:
    return {
        "symbol": one.native_symbol,
        "pair": one.native_symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERED_MS,
        "onboardDate": LISTED_MS,
        "status": "TRADING" if one.trading else "SETTLING",
        "maintMarginPercent": plain(one.maintenance_margin_rate * 100),
        "requiredMarginPercent": fixed(Decimal(100) / one.maximum_leverage, 4),
        "baseAsset": one.base,
        "quoteAsset": one.quote,
        "marginAsset": one.settle,
        "pricePrecision": one.price_decimals,
        "quantityPrecision": one.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [*_filters(one), {"filterType": "MIN_NOTIONAL", "notional": plain(one.minimum_notional)}],
        "orderTypes": [*LINEAR_TYPES, *ALGO_TYPES],
        "timeInForce": list(LINEAR_TIMES),
    }


_SYMBOLS: dict[str, Callable[[Instrument], dict[str, object]]] = {"spot": _spot_symbol, "linear": _linear_symbol}
