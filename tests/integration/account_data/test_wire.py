"""Orders over the wire: ccxt, private streams, reconciliation, against the built-in venue on a loopback port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import orjson
import pytest

from feeds.venue.orders import NewOrder, OrderType, Side
from patriot.runtime.embedded import Host
from patriot.venues.opening import open_venues
from tests.support.host import Client, running_host

FEEDS = ("account-data", "market-data", "relay", "venue")
BTC = "BINANCE:BTC/USDT:USDT"
ENDED = {"filled", "cancelled", "rejected", "expired"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@asynccontextmanager
async def trading(tmp_path) -> AsyncIterator[tuple[Host, Client, str]]:
    """A host whose paper orders go over the wire, a user with money, prices."""
    settings: dict[str, Any] = {"data_dir": tmp_path, "venue_port": free_port(), "execution": "wire"}
    async with running_host(feeds=FEEDS, **settings) as host:
        await open_venues(host.runtime)
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="100000", BTC="1")
        await until(lambda: has_price(user))
        yield host, user, account


async def has_price(user: Client) -> bool:
    return any(one["instrument"] == BTC for one in (await user.json("GET", "/prices"))["prices"])


async def until(condition, seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def place(user: Client, account: str, **order: Any) -> str:
    body = {"account_id": account, "instrument": BTC, "side": "buy", "quantity": "0.01", **order}
    return (await user.json("POST", "/orders", body, 201))["order_id"]


async def reached(user: Client, order_id: str, *statuses: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        order = await user.json("GET", f"/orders/{order_id}")
        return order if order["status"] in statuses else None

    return await until(look)


@pytest.mark.slow
@pytest.mark.requirement("P6", "P7", "P8", "P9")
async def test_order_lives_over_the_wire(tmp_path):
    async with trading(tmp_path) as (host, user, account):
        filled = await reached(user, await place(user, account, order_type="market"), *ENDED)
        assert filled["status"] == "filled"
        assert Decimal(filled["filled_quantity"]) == Decimal("0.01")

        resting = await place(user, account, price="50000", order_type="limit")
        await reached(user, resting, "accepted")
        await user.json("PATCH", f"/orders/{resting}", {"price": "51000"})
        changed = await until(lambda: changed_to(user, resting, "51000"))
        assert changed["status"] == "accepted"
        await user.json("DELETE", f"/orders/{resting}")
        assert (await reached(user, resting, *ENDED))["status"] == "cancelled"

        portfolio = await user.json("GET", "/portfolio")
        (usdt,) = [one for one in portfolio["balances"] if one["asset"] == "USDT"]
        assert Decimal(usdt["reserved"]) == 0
        assert Decimal(usdt["total"]) == 100_000 - Decimal(filled["fees"])
        await until(lambda: quiet(host))


async def changed_to(user: Client, order_id: str, price: str) -> dict[str, Any] | None:
    order = await user.json("GET", f"/orders/{order_id}")
    return order if order["price"] == price else None


async def quiet(host: Host) -> bool:
    return host.broker.idle


@pytest.mark.slow
@pytest.mark.requirement("P6")
async def test_fill_of_a_resting_order_comes_by_the_private_stream(tmp_path):
    async with trading(tmp_path) as (host, user, account):
        resting = await place(user, account, price="50000", order_type="limit")
        await reached(user, resting, "accepted")
        await asyncio.sleep(2)  # the streams open
        sell(host, "50000")
        filled = await reached(user, resting, *ENDED)
        assert (filled["status"], filled["average_price"]) == ("filled", "50000")


@pytest.mark.slow
@pytest.mark.requirement("P6", "A5")
async def test_fill_while_the_stream_was_down_is_found_by_asking(tmp_path):
    async with trading(tmp_path) as (host, user, account):
        resting = await place(user, account, price="50000", order_type="limit")
        await reached(user, resting, "accepted")
        await until(lambda: quiet(host))
        desks = host.runtime.local["account-data"]
        await desks.close_all()
        sell(host, "50000")
        await asyncio.sleep(2.1)  # what changed a moment ago is left alone
        (row,) = await host.runtime.store.find(query_account(account))
        desks.open(row)
        assert (await reached(user, resting, *ENDED))["status"] == "filled"


@pytest.mark.slow
@pytest.mark.requirement("P7", "P8", "P9", "P11")
async def test_leverage_reaches_the_venue_and_another_one_there_is_a_divergence(tmp_path):
    async with trading(tmp_path) as (host, user, account):
        accounts = {"BINANCE": account, "BYBIT": await user.paper_account("BYBIT", USDT="10000")}
        for venue, number in accounts.items():
            instrument, exchange = f"{venue}:BTC/USDT:USDT", host.runtime.local["venue"][venue]
            chosen = {"instrument": instrument, "leverage": 5}
            await user.json("POST", f"/accounts/{number}/leverage", chosen)
            order = await place(user, number, instrument=instrument, order_type="market")
            assert (await reached(user, order, *ENDED))["status"] == "filled"
            assert exchange.leverage(exchange.account(number), instrument) == 5
            exchange.set_leverage(exchange.account(number), instrument, 9)  # by hand, at the venue
            told = {"kind": "leverage", "subject": instrument, "ours": "5x", "theirs": "9x"}
            assert told in await until(lambda number=number: divergences(user, number))
            chosen["leverage"] = 9
            refused = await user.json("POST", f"/accounts/{number}/leverage", chosen, 409)
            assert refused["code"] == "leverage_in_use"


async def divergences(user: Client, account: str) -> list[dict[str, str]]:
    """What a comparison finds now; nothing while the venue is not connected."""
    answer = await user.call("POST", f"/accounts/{account}/reconcile")
    return orjson.loads(answer.body)["divergences"] if answer.status == 200 else []


def query_account(account: str):
    from uuid import UUID

    from patriot.store.api import Query

    return Query("user_accounts", None, {"id": UUID(account)})


def sell(host: Host, price: str) -> None:
    """Somebody else empties the book down to `price`."""
    exchange = host.runtime.local["venue"]["BINANCE"]
    seller = exchange.open_account("seller", unlimited=True)
    exchange.create(
        seller,
        NewOrder(
            instrument_id=BTC,
            side=Side.SELL,
            type=OrderType.LIMIT,
            quantity=Decimal(1000),
            price=Decimal(price),
        ),
    )
