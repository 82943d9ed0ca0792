"""Real money goes the way of paper money: the same code, the same events, the same order at another address."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from feeds.account_data import reconcile
from patriot.domain.venue import VenueBalanceState
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue

SHOWN = ("status", "filled_quantity", "average_price", "fees", "version")
KEYS = {"api_key": "the key of ada", "api_secret": "the secret of ada"}


class Funded(FillingVenue):
    async def balances(self, account_id: UUID) -> Any:
        return [VenueBalanceState("USDT", Decimal(10_000), Decimal(10_000))]


async def available(user: Client, account: str) -> bool:
    rows = (await user.json("GET", "/portfolio"))["balances"]
    return any(row["account_id"] == account and Decimal(row["available"]) >= 10_000 for row in rows)


@pytest.mark.requirement("T4", "T11")
async def test_live_order_takes_the_way_of_a_paper_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "LASTING_SECONDS", 0.0)
    async with running_host(feeds=("relay", "account-data")) as host:
        venues = {mode: Funded() for mode in ("paper", "live")}
        host.runtime.venues |= venues
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        linked = await user.json("POST", "/accounts", {"exchange": "BINANCE", "mode": "live", **KEYS}, 201)
        accounts = {"live": linked["account_id"], "paper": await user.paper_account(USDT="10000")}
        events, shown = {}, {}
        for mode, account in accounts.items():
            async with asyncio.timeout(20):  # the platform learns from the venue what a live account owns
                while not await available(user, account):
                    await user.call("POST", f"/accounts/{account}/reconcile")
                    await asyncio.sleep(0.05)
            order = {"account_id": account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "0.01"}
            receipt = await user.json("POST", "/orders", {**order, "price": "60000"}, 201)
            await until_idle(host)
            told = (await user.json("GET", f"/events/{receipt['order_id']}"))["events"]
            events[mode] = [(event["type"], event["data"].get("route")) for event in told]
            view = await user.json("GET", f"/orders/{receipt['order_id']}")
            shown[mode] = {name: view[name] for name in SHOWN}
        sent = {
            mode: [replace(one, account_id=None, client_order_id="") for one in venue.created]
            for mode, venue in venues.items()
        }
        assert sent["live"] == sent["paper"]
        for mode, venue in venues.items():
            assert [str(one.account_id) for one in venue.created] == [accounts[mode]]
        assert [kind for kind, _ in events["live"]] == [kind for kind, _ in events["paper"]]
        assert shown["live"] == shown["paper"]
        assert {route for _, route in events["live"]} == {None, "live"}
        assert events["live"][-1][0] == "order.filled"
