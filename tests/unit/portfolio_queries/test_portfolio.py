"""What a user owns, in any currency; lots for tax; where the money came from and went."""

from decimal import Decimal

import pytest

from tests.support.host import PERPETUAL, SPOT, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue


@pytest.fixture
async def world():
    async with running_host() as host:
        host.runtime.venues["paper"] = FillingVenue()
        await define(host.runtime.store, PERPETUAL, SPOT)
        for instrument in (PERPETUAL, SPOT):
            await set_price(host, instrument.id, "50000", "50000.1")
        ada = await Client(host).register("ada")
        yield host, ada, await ada.paper_account(USDT="100000", BTC="1")


async def trade(host, user, account, side, quantity, *, instrument=SPOT):
    order = {"account_id": account, "instrument": instrument.id, "side": side, "order_type": "market"}
    await user.json("POST", "/orders", order | {"quantity": quantity}, 201)
    await until_idle(host)


@pytest.mark.requirement("T6")
async def test_equity_is_told_in_the_currency_of_the_profile_or_in_another(world):
    _, ada, _ = world
    told = await ada.json("GET", "/portfolio")
    assert (told["currency"], Decimal(told["equity"])) == ("USDT", 150_000)
    await ada.json("PATCH", "/users/me", {"base_currency": "BTC"})
    told = await ada.json("GET", "/portfolio")
    assert (told["currency"], Decimal(told["equity"])) == ("BTC", 3)
    assert Decimal((await ada.json("GET", "/portfolio?currency=USDT"))["equity"]) == 150_000
    assert (await ada.json("GET", "/portfolio?currency=EUR"))["equity"] is None
    await ada.json("GET", "/portfolio?currency=btc!", status=422)


async def test_portfolio_adds_derivative_profit_once_and_spot_not_twice(world):
    host, ada, account = world
    await trade(host, ada, account, "buy", "0.1", instrument=PERPETUAL)
    await trade(host, ada, account, "buy", "0.1")
    before = await ada.json("GET", "/portfolio")
    for instrument in (PERPETUAL, SPOT):
        await set_price(host, instrument.id, "51000", "51000.1")
    after = await ada.json("GET", "/portfolio")
    gained = Decimal(after["equity"]) - Decimal(before["equity"])
    assert gained == pytest.approx(Decimal(1000) * (Decimal(1) + Decimal("0.1") + Decimal("0.1")), abs=20)
    assert {one["instrument"] for one in after["positions"] if one["unrealised_pnl"]} == {PERPETUAL.id, SPOT.id}


@pytest.mark.requirement("T7")
async def test_lots_are_first_in_first_out(world):
    host, ada, account = world
    await trade(host, ada, account, "buy", "0.2")
    await set_price(host, SPOT.id, "60000", "60000.1")
    await trade(host, ada, account, "buy", "0.1")
    await trade(host, ada, account, "sell", "0.2")
    page = await ada.json("GET", "/portfolio/lots")
    sold = sum(Decimal(one["quantity"]) for one in page["disposals"])
    left = sum(Decimal(one["quantity"]) for one in page["lots"])
    assert sold == Decimal("0.2")
    assert left <= Decimal("0.1")
    assert all(one["asset"] == "USDT" for one in (*page["lots"], *page["disposals"]))


@pytest.mark.requirement("P22")
async def test_flows_add_up_to_the_balances(world):
    host, ada, account = world
    await trade(host, ada, account, "buy", "0.1", instrument=PERPETUAL)
    await trade(host, ada, account, "sell", "0.1", instrument=PERPETUAL)
    await trade(host, ada, account, "buy", "0.1")
    page = await ada.json("GET", f"/portfolio/flows?account_id={account}")
    portfolio = await ada.json("GET", "/portfolio")
    balances = {row["asset"]: Decimal(row["total"]) for row in portfolio["balances"]}
    names = ("transferred", "realised", "fees", "funding", "invested")
    for row in page["flows"]:
        assert sum(Decimal(row[name]) for name in names) == Decimal(row["balance"]) == balances[row["asset"]]
    usdt = next(row for row in page["flows"] if row["asset"] == "USDT")
    assert Decimal(usdt["transferred"]) == 100_000
    assert Decimal(usdt["fees"]) < 0


@pytest.mark.requirement("A4")
async def test_nobody_sees_anothers_lots_and_flows(world):
    host, _, account = world
    eve = await Client(host).register("eve")
    for path in ("lots", "flows"):
        await eve.json("GET", f"/portfolio/{path}?account_id={account}", status=404)
    assert (await eve.json("GET", "/portfolio/flows"))["flows"] == []
