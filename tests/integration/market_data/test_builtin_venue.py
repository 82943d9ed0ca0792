"""The feed on the built-in venue: over its wire, and in process."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from feeds.market_data.app import feed
from patriot.runtime.context import price_key
from patriot.runtime.edge import system_context
from patriot.runtime.standing import Standings
from patriot.runtime.value_at_risk import history
from schemas.reports import PriceReport
from tests.support.host import Client, running_host

LISTED = [
    f"{venue}:{base}/USDT{settle}"
    for venue in ("BINANCE", "BYBIT")
    for base in ("BTC", "ETH")
    for settle in ("", ":USDT")
]
BTC = "BINANCE:BTC/USDT:USDT"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@asynccontextmanager
async def market(execution):
    async with running_host(
        feeds=("relay", "venue", "market-data"), execution=execution, market="synthetic", venue_port=free_port()
    ) as host:
        async with asyncio.timeout(20):
            while not all([await host.runtime.state.get(price_key(one)) for one in LISTED]):
                await asyncio.sleep(0.05)
        yield host


async def price_of(host, instrument):
    entry = await host.runtime.state.get(price_key(instrument))
    return PriceReport.model_validate_json(entry.value)


@pytest.mark.requirement("P6", "P13", "A5")
@pytest.mark.parametrize("execution", ["wire", "in_process"])
async def test_every_listed_instrument_has_a_price_and_a_book(execution):
    async with market(execution) as host:
        client = Client(host)
        for instrument in LISTED:
            price = await price_of(host, instrument)
            assert 0 < price.bid < price.ask
            assert not price.stale
            async with asyncio.timeout(10):
                while not (await client.json("GET", f"/market/{instrument}/book?depth=5"))["in_sync"]:
                    await asyncio.sleep(0.05)
            status = await client.json("GET", f"/market/{instrument}/status")
            assert not status["stale"]
            assert all(one["connected"] for one in status["streams"])
            assert bool(status["streams"]) == (execution == "wire")


@pytest.mark.requirement("P6")
async def test_shared_book_over_the_wire_is_the_venues_own():
    async with market("wire") as host:
        exchange = host.runtime.local["venue"]["BINANCE"]
        hub = host.runtime.local[feed.name].hub
        async with asyncio.timeout(20):
            while True:
                truth, image = exchange.book(BTC, 20), hub.book(BTC, 20)
                if image.in_sync and image.sequence == truth.sequence:
                    break
                await asyncio.sleep(0.001)
        assert [tuple(level) for level in image.bids] == truth.bids
        assert [tuple(level) for level in image.asks] == truth.asks


async def test_bars_come_from_trades_and_bad_questions_get_problems():
    async with market("in_process") as host:
        client = Client(host)
        async with asyncio.timeout(20):
            while len(page := (await client.json("GET", f"/market/{BTC}/bars?seconds=1"))["bars"]) < 3:
                await asyncio.sleep(0.1)
        assert [one["closed"] for one in page[:2]] == [True, True]
        assert (await client.json("GET", f"/market/{BTC}/bars?seconds=7", status=422))["errors"][0][
            "field"
        ] == "seconds"
        assert (await client.json("GET", f"/market/{BTC}/book?depth=0", status=422))["errors"][0]["field"].endswith(
            "depth"
        )
        for what in ("book", "bars", "status"):
            assert (await client.json("GET", f"/market/NOWHERE:A/B/{what}", status=404))["code"] == "not_found"


@pytest.mark.requirement("P6")
async def test_other_parts_subscribe_and_leave_over_internal_routes():
    async with market("wire") as host:
        context = system_context(host.runtime, "relay")
        wish = {"subscriber": "chart", "instruments": [BTC], "channels": ["ticker"]}

        async def ask(path, body):
            answer = await context.invoke(feed.name, "POST", path, json.dumps(body).encode())
            return answer.status, json.loads(answer.body)

        status, found = await ask("/subscribe", wish)
        assert (status, ["ticker", BTC, 1] in found["streams"]) == (200, True)
        status, found = await ask("/unsubscribe", wish)
        assert ["ticker", BTC, 1] not in found["streams"]
        assert ["depth", BTC, 1] in found["streams"], "the settings still want it"
        status, problem = await ask("/subscribe", wish | {"instruments": ["BINANCE:DOGE/USDT"]})
        assert (status, problem["code"]) == (422, "not_offered")
        status, _ = await ask("/subscribe", wish | {"instruments": []})
        assert status == 422
        answer = await Client(host).call("POST", "/subscribe", wish)
        assert answer.status == 404, "unreachable from outside"


@pytest.mark.requirement("P11", "P3")
async def test_value_at_risk_has_its_daily_prices_soon_after_the_start():
    """The feed takes them from the venue; the past of the synthetic market moves 3 % a day."""
    async with market("wire") as host:
        context = system_context(host.runtime, "risk-checks")
        prices = await Standings.of(host.runtime).market(context)
        async with asyncio.timeout(30):
            while set((past := await history(context, ["BTC", "ETH"], prices)).assets) != {"BTC", "ETH"}:
                await asyncio.sleep(0.2)
        figures = past.figures({"BTC": Decimal(10_000), "ETH": Decimal(-5_000)})
        assert len(figures) == 12
        assert 300 < figures["historical", 0.95, 1].value_at_risk < 1000
        assert (await history(context, ["BTC", "DOGE"], prices)).closes == {"BTC": len(past.returns) + 1, "DOGE": 0}
