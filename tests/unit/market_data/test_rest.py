"""Each venue's answers as they are documented."""

import json
from datetime import UTC, datetime

import pytest

from feeds.market_data.endpoints import Endpoint, connections_max, endpoints
from feeds.market_data.rest import Rest
from feeds.market_data.transport import TransportError
from patriot.protocols.codec import find_codecs
from patriot.protocols.errors import MalformedFrame
from patriot.runtime.settings import Settings
from tests.unit.market_data.world import spot

BOOKS = {
    "binance-spot": {"lastUpdateId": 7, "bids": [["1.00", "2.000"]], "asks": [["1.01", "3.000"]]},
    "bybit-spot": {
        "retCode": 0,
        "result": {"s": "BTCUSDT", "b": [["1.00", "2.000"]], "a": [["1.01", "3.000"]], "u": 7, "ts": 5},
    },
    "coinbase-spot": {
        "pricebook": {
            "product_id": "BTCUSDT",
            "bids": [{"price": "1.00", "size": "2.000"}],
            "asks": [{"price": "1.01", "size": "3.000"}],
            "time": "2026-01-01T00:00:00Z",
        }
    },
}
TRADES = {
    "binance-spot": [
        {"a": 1, "p": "1.00", "q": "2.000", "T": 5, "m": True},
        {"a": 2, "p": "1.01", "q": "1", "T": 6, "m": False},
    ],
    "bybit-spot": {
        "retCode": 0,
        "result": {
            "list": [
                {"execId": "2", "price": "1.01", "size": "1", "side": "Buy", "time": "6"},
                {"execId": "1", "price": "1.00", "size": "2.000", "side": "Sell", "time": "5"},
            ]
        },
    },
    "coinbase-spot": {
        "trades": [
            {"trade_id": "2", "price": "1.01", "size": "1", "time": "1970-01-01T00:00:00.006Z", "side": "SELL"},
            {"trade_id": "1", "price": "1.00", "size": "2.000", "time": "1970-01-01T00:00:00.005Z", "side": "BUY"},
        ]
    },
}


DAY_MS = 86_400_000
DAYS = {
    "binance-spot": [
        [DAY_MS, "1.001", "2", "1", "1.5", "7", 2 * DAY_MS - 1, "9", 3, "1", "1", "0"],
        [2 * DAY_MS, "1.5", "2", "1", "1.75", "8", 3 * DAY_MS - 1, "9", 4, "1", "1", "0"],
    ],
    "bybit-spot": {
        "result": {
            "list": [
                [str(2 * DAY_MS), "1.5", "2", "1", "1.75", "8", "9"],
                [str(DAY_MS), "1.001", "2", "1", "1.5", "7", "9"],
            ]
        }
    },
    "coinbase-spot": {
        "candles": [
            {"start": "172800", "low": "1", "high": "2", "open": "1.5", "close": "1.75", "volume": "8"},
            {"start": "86400", "low": "1", "high": "2", "open": "1.001", "close": "1.5", "volume": "7"},
        ]
    },
}


class Answers:
    def __init__(self, body):
        self.body, self.urls = body, []

    async def get(self, url):
        self.urls.append(url)
        return json.dumps(self.body).encode()

    async def connect(self, url):
        raise TransportError("no sockets here")


def rest(name, body):
    endpoint = Endpoint(find_codecs()[name])
    answers = Answers(body)
    return Rest(endpoint, answers), spot(venue=endpoint.venue), answers


@pytest.mark.requirement("T2")
@pytest.mark.parametrize("name", sorted(BOOKS))
async def test_picture_is_the_best_bid_and_ask(name):
    asked, instrument, answers = rest(name, BOOKS[name])
    quote = await asked.picture(instrument, 99)
    assert (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity) == (100, 2000, 101, 3000)
    assert quote.time_ms > 0
    assert "BTCUSDT" in answers.urls[0]


@pytest.mark.requirement("T2")
@pytest.mark.parametrize("name", sorted(TRADES))
async def test_trades_come_oldest_first(name):
    asked, instrument, _ = rest(name, TRADES[name])
    trades = await asked.trades(instrument, 0)
    assert [(one.trade_id, one.price, one.quantity, one.buyer_is_maker, one.time_ms) for one in trades] == [
        ("1", 100, 2000, True, 5),
        ("2", 101, 1000, False, 6),
    ]


@pytest.mark.requirement("P3", "T2")
@pytest.mark.parametrize("name", sorted(DAYS))
async def test_days_come_oldest_first_and_whole(name):
    asked, instrument, answers = rest(name, DAYS[name])
    first, second = await asked.days(instrument, datetime(2026, 1, 1, tzinfo=UTC))
    assert (first.time.day, second.time.day) == (2, 3)
    assert [str(one) for one in first[1:6]] == ["1.001", "2", "1", "1.5", "7"], "finer than the step of today"
    assert str(second.close) == "1.75"
    assert "BTCUSDT" in answers.urls[0]


@pytest.mark.parametrize("name", sorted(DAYS))
async def test_nonsense_days_are_a_malformed_frame(name):
    asked, instrument, _ = rest(name, {"nonsense": [1]})
    with pytest.raises(MalformedFrame):
        await asked.days(instrument, datetime(2026, 1, 1, tzinfo=UTC))


async def test_binance_trades_are_asked_from_an_id():
    asked, instrument, answers = rest("binance-spot", [])
    await asked.trades(instrument, 77)
    assert answers.urls == ["https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT&limit=1000&fromId=77"]


@pytest.mark.parametrize("name", sorted(TRADES))
async def test_nonsense_is_a_malformed_frame(name):
    asked, instrument, _ = rest(name, {"nonsense": [1]})
    with pytest.raises(MalformedFrame):
        await asked.trades(instrument, 0)


def test_live_market_has_every_codec_at_its_exchange():
    found = {one.name: one for one in endpoints(Settings(market="live"))}
    assert set(found) == set(find_codecs())
    assert found["binance-spot"].address == "stream.binance.com:9443"
    assert found["bybit-spot"].address == found["bybit-linear"].address, "one budget for both"
    assert found["coinbase-spot"].url("trade").startswith("wss://")


def test_synthetic_market_on_the_wire_is_the_built_in_venue():
    found = {one.name: one for one in endpoints(Settings(market="synthetic", execution="wire"))}
    assert found["binance-linear"].url("depth") == "ws://127.0.0.1:8010/public/stream"
    assert found["binance-linear"].rest("/fapi/v1/depth") == "http://127.0.0.1:8010/fapi/v1/depth"
    assert "coinbase-spot" not in found


@pytest.mark.parametrize("settings", [Settings(market="replay"), Settings(market="synthetic", execution="in_process")])
def test_markets_that_others_publish_need_no_connection(settings):
    assert endpoints(settings) == []


@pytest.mark.requirement("P6")
def test_connection_budgets_are_the_stated_ones():
    settings = Settings()
    assert (connections_max(settings, "BINANCE"), connections_max(settings, "BYBIT")) == (300, 200)
    assert connections_max(Settings(binance_connections_max=5), "BINANCE") == 5


def test_synthetic_market_of_a_venue_elsewhere_is_asked_there():
    found = endpoints(Settings(market="synthetic", venue_at="venue:8010"))
    assert {one.address for one in found} == {"venue:8010"}
    assert endpoints(Settings(market="synthetic", market_told=False)) == [], "beside the venue there is nothing to tell"
