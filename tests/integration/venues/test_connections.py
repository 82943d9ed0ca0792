"""One exchange object per account and market; each request carries the id of the operation that makes it."""

import pytest

from patriot.domain.venue import Accepted, Rejected
from patriot.telemetry.correlation import CORRELATION_HEADER, correlated
from tests.integration.venues.world import ACCOUNTS, SPOT, order, world


@pytest.mark.requirement("P15")
async def test_each_request_carries_the_correlation_id_of_its_operation():
    async with world() as there:
        exchange = await there.adapter.connections.exchange(ACCOUNTS["BINANCE"], "spot")
        for identifier in ("req_1_00000001", "req_2_00000002"):
            with correlated(identifier):
                await exchange.fetch_balance()
            assert exchange.last_request_headers[CORRELATION_HEADER] == identifier
        await exchange.fetch_balance()
        assert CORRELATION_HEADER not in exchange.last_request_headers


async def test_account_has_one_object_per_market_until_it_is_forgotten():
    async with world() as there:
        connections, account_id = there.adapter.connections, ACCOUNTS["BYBIT"]
        spot, linear = [await connections.exchange(account_id, kind) for kind in ("spot", "linear")]
        assert await connections.exchange(account_id, "spot") is spot
        assert spot is not linear
        await there.adapter.forget(account_id)
        assert await connections.exchange(account_id, "spot") is not spot


@pytest.mark.requirement("P7")
async def test_wrong_clock_costs_one_refusal_and_is_measured_anew():
    async with world() as there:
        exchange = await there.adapter.connections.exchange(ACCOUNTS["BINANCE"], "spot")
        exchange.options["timeDifference"] = 60_000
        assert isinstance(await there.adapter.create(order("BINANCE", SPOT, "stale")), Rejected)
        assert abs(exchange.options["timeDifference"]) < 1000
        assert isinstance(await there.adapter.create(order("BINANCE", SPOT, "fresh")), Accepted)
