"""A venue that opens late: what was paid in meanwhile is there, once."""

from decimal import Decimal
from uuid import UUID

import pytest

from feeds.venue.app import _make_good, _open
from feeds.venue.halls import Halls
from patriot.domain.listing import instruments
from patriot.store.api import Query
from tests.support.host import Client, running_host


@pytest.mark.requirement("T3")
async def test_paper_money_that_came_before_the_venue_is_credited_once() -> None:
    async with running_host() as host:
        user = await Client(host).register("ada")
        account_id = await user.paper_account(USDT="1000", BTC="2")
        (account,) = await host.runtime.store.find(Query("user_accounts", None, {"id": UUID(account_id)}))
        halls = Halls({"BINANCE": instruments("BINANCE")}, lambda: 1_700_000_000_000)
        _open(halls, host.runtime, account)
        for _ in range(2):
            await _make_good(halls, host.runtime, account)
        exchange = halls["BINANCE"]
        held = exchange.balances(exchange.account(account_id), "spot")
        assert {one.asset: one.free for one in held} == {"USDT": Decimal(1000), "BTC": Decimal(2)}
