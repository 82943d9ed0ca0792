"""The journey on the built-in venue, in process: the platform's own exchange, nothing scripted."""

import asyncio
from decimal import Decimal

from tests.support.host import Client, running_host, set_price, until_idle

BTC = "BINANCE:BTC/USDT:USDT"


async def follow_prices(host):
    halls = host.runtime.local["venue"]
    while True:
        exchange = halls["BINANCE"]
        for instrument in exchange.instruments:
            quote = exchange.quote(instrument.id)
            if quote.bid and quote.ask:
                await set_price(
                    host, instrument.id, str(instrument.price_of(quote.bid)), str(instrument.price_of(quote.ask))
                )
        await asyncio.sleep(0.05)


async def test_market_order_fills_on_the_synthetic_market():
    async with running_host(feeds=("relay", "venue"), execution="in_process") as host:
        await asyncio.sleep(0.3)
        prices = asyncio.create_task(follow_prices(host))
        await asyncio.sleep(0.1)
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="10000")
        await until_idle(host)
        order = {"account_id": account, "instrument": BTC, "side": "buy", "order_type": "market", "quantity": "0.01"}
        receipt = await user.json("POST", "/orders", order, 201)
        await until_idle(host)
        shown = await user.json("GET", f"/orders/{receipt['order_id']}")
        assert shown["status"] == "filled", shown
        portfolio = await user.json("GET", "/portfolio")
        assert portfolio["positions"][0]["quantity"] == "0.01"
        balance = portfolio["balances"][0]
        assert Decimal(balance["reserved"]) == 0
        assert Decimal(balance["total"]) + Decimal(shown["fees"]) == 10000
        prices.cancel()
