"""Paper and real money: the same commands, the same events; only the adapter at the end differs."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from patriot.runtime.embedded import Host
from patriot.store.api import BalanceChange, Commit, Origin
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue

ORDER = {"instrument": PERPETUAL.id, "side": "buy", "quantity": "0.01", "price": "60000"}
CREDENTIALS: dict[str, dict[str, str]] = {"paper": {}, "live": {"api_key": "k" * 16, "api_secret": "s" * 16}}


@pytest.mark.requirement("T4", "T11")
async def test_live_order_goes_the_way_of_a_paper_order_to_another_adapter() -> None:
    async with running_host() as host:
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        venues = {mode: FillingVenue() for mode in CREDENTIALS}
        host.runtime.venues.update(venues)
        accounts = {mode: await linked(host, user, mode) for mode in CREDENTIALS}
        lives = {mode: await traded(host, user, account) for mode, account in accounts.items()}
        assert lives["live"] == lives["paper"]
        assert lives["live"][0][-1] == "order.filled"
        for mode, venue in venues.items():
            assert [str(one.account_id) for one in venue.created] == [accounts[mode]]


async def linked(host: Host, user: Client, mode: str) -> str:
    """An account with 10,000 USDT, which reconciliation would find at the venue."""
    body = {"exchange": "BINANCE", "mode": mode, **CREDENTIALS[mode]}
    account = str((await user.json("POST", "/accounts", body, 201))["account_id"])
    money = BalanceChange(UUID(account), "USDT", total=Decimal(10_000))
    origin = Origin(TENANT, "service:test", "req_1_00000000")
    await host.runtime.store.commit(Commit(origin, datetime.now(UTC), balances=[money]))
    return account


async def traded(host: Host, user: Client, account: str) -> tuple[list[str], dict[str, Any]]:
    """The events of an order, and how it is shown, without what tells two orders apart."""
    order_id = (await user.json("POST", "/orders", {**ORDER, "account_id": account}, 201))["order_id"]
    await until_idle(host)
    events = [one.type async for one in host.runtime.store.read() if str(one.stream.id) == order_id]
    shown = await user.json("GET", f"/orders/{order_id}")
    return events, {name: shown[name] for name in ("status", "filled_quantity", "average_price", "fees", "version")}
