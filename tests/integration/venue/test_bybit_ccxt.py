"""An unmodified ccxt.pro client trades on the venue over Bybit v5. Only its addresses are changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import ccxt.pro
import pytest

from feeds.venue.accounts import Account
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, Side
from feeds.venue.wire.bybit import Bybit, ccxt_urls
from feeds.venue.wire.bybit_limits import RateLimits
from feeds.venue.wire.server import serving
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO
from patriot.protocols.market import MarkPrice

LINEAR, SPOT = "BTC/USDT:USDT", "BTC/USDT"
GENEROUS = RateLimits(commands_per_second=1000, queries_per_second=1000, requests_per_address=10_000)


def instrument(symbol: str, *, linear: bool) -> Instrument:
    return Instrument(
        id=f"BYBIT:{symbol}",
        native_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        settle="USDT" if linear else "",
        kind="linear" if linear else "spot",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        price_decimals=2 if linear else 1,
        quantity_decimals=3,
        minimum_quantity=Decimal("0.001"),
        maximum_quantity=Decimal(100),
        minimum_notional=Decimal(5),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.00055"),
        maximum_leverage=100 if linear else 1,
        maintenance_margin_rate=Decimal("0.005") if linear else ZERO,
    )


class Market:
    """A venue with a maker that keeps five levels on both sides of 60,000."""

    def __init__(self) -> None:
        linear, spot = instrument(LINEAR, linear=True), instrument(SPOT, linear=False)
        now_ms = lambda: time.time_ns() // 1_000_000  # noqa: E731
        self.exchange = Exchange("BYBIT", [linear, spot], now_ms, unified=True, client_ids_forever=True)
        self.maker: Account = self.exchange.open_account("maker", unlimited=True)
        self.trader = self.exchange.open_account("trader", api_key="key", secret="secret")
        self.exchange.deposit(self.trader, "linear", "USDT", Decimal(10_000))
        self.exchange.deposit(self.trader, "linear", "BTC", Decimal("0.5"))
        for step in range(1, 6):
            for symbol in (LINEAR, SPOT):
                self.quote(symbol, Side.BUY, Decimal(60_000) - step)
                self.quote(symbol, Side.SELL, Decimal(60_000) + step)

    def quote(self, symbol: str, side: Side, price: Decimal, quantity: str = "1") -> None:
        self.exchange.create(
            self.maker,
            NewOrder(
                instrument_id=f"BYBIT:{symbol}",
                side=side,
                type=OrderType.LIMIT,
                quantity=Decimal(quantity),
                price=price,
            ),
        )

    def take(self, symbol: str, side: Side, quantity: str) -> None:
        self.exchange.create(
            self.maker,
            NewOrder(instrument_id=f"BYBIT:{symbol}", side=side, type=OrderType.MARKET, quantity=Decimal(quantity)),
        )


def client(port: int, **settings: Any) -> ccxt.pro.bybit:
    return ccxt.pro.bybit(
        {"apiKey": "key", "secret": "secret", "urls": ccxt_urls(port), "enableRateLimit": False, **settings}
    )


@asynccontextmanager
async def trading(limits: RateLimits = GENEROUS, **settings: Any) -> AsyncIterator[tuple[Market, ccxt.pro.bybit]]:
    market = Market()
    async with serving([Bybit(market.exchange, limits)]) as port:
        bybit = client(port, **settings)
        try:
            yield market, bybit
        finally:
            await bybit.close()


async def soon(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, 5)


async def until(watch: Any, wanted: Any) -> Any:
    """Watch until something fits."""
    async with asyncio.timeout(5):
        while True:
            for one in await watch():
                if wanted(one):
                    return one


@pytest.mark.requirement("P6")
@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_trades_from_markets_to_cancel(symbol: str) -> None:
    async with trading() as (market, bybit):
        markets = await bybit.load_markets()
        assert set(markets) == {LINEAR, SPOT}
        assert markets[symbol]["precision"] == {"amount": 0.001, "price": 0.1}
        balance = await bybit.fetch_balance()
        assert balance["USDT"] == {"free": 10_000, "used": 0, "total": 10_000, "debt": 0}

        order = await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"clientOrderId": "mine-1"})
        found = await bybit.fetch_order(order["id"], symbol, {"acknowledged": True})
        assert (found["status"], found["clientOrderId"], found["price"], found["amount"]) == (
            "open",
            "mine-1",
            59_000,
            0.01,
        )
        assert [one["id"] for one in await bybit.fetch_open_orders(symbol)] == [order["id"]]

        await bybit.edit_order(order["id"], symbol, "limit", "buy", 0.02, 59_100)
        found = await bybit.fetch_order(order["id"], symbol, {"acknowledged": True})
        assert (found["price"], found["amount"]) == (59_100, 0.02)

        await bybit.cancel_order(order["id"], symbol)
        found = await bybit.fetch_order(order["id"], symbol, {"acknowledged": True})
        assert found["status"] == "canceled"
        assert await bybit.fetch_open_orders(symbol) == []

        taken = await bybit.create_order(symbol, "market", "buy", 0.01)
        filled = await bybit.fetch_order(taken["id"], symbol, {"acknowledged": True})
        assert (filled["status"], filled["filled"], filled["average"]) == ("closed", 0.01, 60_001)
        trades = await bybit.fetch_my_trades(symbol)
        assert [(one["order"], one["price"], one["amount"]) for one in trades] == [(taken["id"], 60_001, 0.01)]
        assert trades[0]["fee"]["currency"] == ("USDT" if symbol == LINEAR else "BTC")
        assert [one["id"] for one in await bybit.fetch_closed_orders(symbol)] == [taken["id"]]
        assert [one["id"] for one in await bybit.fetch_canceled_orders(symbol)] == [order["id"]]
        assert market.exchange.open_orders(market.trader) == []


async def test_bybit_ccxt_linear_leverage_and_position() -> None:
    async with trading() as (_, bybit):
        await bybit.set_leverage(10, LINEAR)
        with pytest.raises(ccxt.BadRequest):
            await bybit.set_leverage(10, LINEAR)
        with pytest.raises(ccxt.BadRequest):
            await bybit.set_leverage(101, LINEAR)
        await bybit.create_order(LINEAR, "market", "sell", 0.1)
        position = await bybit.fetch_position(LINEAR)
        assert (position["side"], position["contracts"], position["leverage"]) == ("short", 0.1, 10)
        assert (position["entryPrice"], position["initialMargin"]) == (59_999, 599.99)
        assert [one["symbol"] for one in await bybit.fetch_positions()] == [LINEAR]
        await bybit.create_order(LINEAR, "market", "buy", 0.1, None, {"reduceOnly": True})
        assert await bybit.fetch_positions() == []


async def test_bybit_ccxt_public_rest() -> None:
    async with trading() as (market, bybit):
        market.take(LINEAR, Side.BUY, "0.2")
        market.take(SPOT, Side.SELL, "0.3")
        assert abs(await bybit.fetch_time() - time.time() * 1000) < 1000
        book = await bybit.fetch_order_book(LINEAR, 3)
        assert book["bids"][0] == [59_999, 1]
        assert book["asks"][0] == [60_001, 0.8]
        assert (await bybit.fetch_ticker(SPOT))["last"] == 59_999
        assert (await bybit.fetch_tickers([LINEAR]))[LINEAR]["last"] == 60_001
        trade = (await bybit.fetch_trades(SPOT))[-1]
        assert (trade["side"], trade["price"], trade["amount"]) == ("sell", 59_999, 0.3)
        assert (await bybit.fetch_ohlcv(LINEAR, "1m"))[-1][1:] == [60_001, 60_001, 60_001, 60_001, 0.2]
        assert (await bybit.fetch_mark_ohlcv(LINEAR, "1m"))[-1][4] == 60_001
        assert (await bybit.fetch_trading_fee(LINEAR))["taker"] == 0.00055
        assert (await bybit.fetch_funding_rate(LINEAR))["markPrice"] == 60_001
        assert await bybit.fetch_funding_rate_history(LINEAR) == []
        now_ms = int(time.time() * 1000)
        for due_ms, rate in ((now_ms - 1000, "0.0001"), (now_ms + 9_000_000, "0.0002")):
            market.exchange.set_mark(MarkPrice(f"BYBIT:{LINEAR}", 6_000_000, 6_000_000, rate, due_ms, now_ms))
        (paid,) = await bybit.fetch_funding_rate_history(LINEAR)
        assert (paid["fundingRate"], paid["timestamp"]) == (0.0001, now_ms - 1000)


@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_conditional_order_waits_and_fires(symbol: str) -> None:
    async with trading() as (market, bybit):
        market.take(symbol, Side.BUY, "0.001")
        direction = {"triggerDirection": "ascending"} if symbol == LINEAR else {}
        order = await bybit.create_order(
            symbol, "market", "buy", 0.01, None, {"triggerPrice": 60_002, "marketUnit": "baseCoin", **direction}
        )
        waiting = await bybit.fetch_open_orders(symbol, params={"trigger": True})
        assert [(one["id"], one["triggerPrice"]) for one in waiting] == [(order["id"], 60_002)]
        market.take(symbol, Side.BUY, "1.001")
        filled = await bybit.fetch_order(order["id"], symbol, {"acknowledged": True})
        assert (filled["status"], filled["filled"]) == ("closed", 0.01)


async def test_bybit_ccxt_watches_orders_trades_positions_balance() -> None:
    async with trading() as (_, bybit):
        await bybit.load_markets()
        orders = asyncio.create_task(until(lambda: bybit.watch_orders(LINEAR), lambda one: one["status"] == "closed"))
        trades = asyncio.create_task(soon(bybit.watch_my_trades(LINEAR)))
        balance = asyncio.create_task(soon(bybit.watch_balance()))
        positions = asyncio.create_task(until(lambda: bybit.watch_positions([LINEAR]), lambda one: one["contracts"]))
        await asyncio.sleep(0.5)
        order = await bybit.create_order(LINEAR, "limit", "buy", 0.1, 60_001)
        assert (await orders)["id"] == order["id"]
        trade = (await trades)[0]
        assert (trade["order"], trade["symbol"], trade["amount"], trade["takerOrMaker"]) == (
            order["id"],
            LINEAR,
            0.1,
            "taker",
        )
        position = await positions
        assert (position["symbol"], position["side"], position["contracts"]) == (LINEAR, "long", 0.1)
        held = (await balance)["USDT"]
        assert held["used"] > 300
        assert held["free"] + held["used"] == pytest.approx(held["total"])


async def test_bybit_ccxt_watches_spot_orders_trades_balance() -> None:
    async with trading() as (_, bybit):
        await bybit.load_markets()
        bybit.options["defaultType"] = "spot"
        orders = asyncio.create_task(until(lambda: bybit.watch_orders(SPOT), lambda one: one["status"] == "closed"))
        trades = asyncio.create_task(soon(bybit.watch_my_trades(SPOT)))
        balance = asyncio.create_task(soon(bybit.watch_balance()))
        await asyncio.sleep(0.5)
        order = await bybit.create_order(SPOT, "limit", "buy", 0.1, 60_001)
        closed = await orders
        assert (closed["id"], closed["symbol"], closed["filled"]) == (order["id"], SPOT, 0.1)
        assert (await trades)[0]["symbol"] == SPOT
        assert (await balance)["USDT"]["total"] < 4_000


@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_watched_book_moves(symbol: str) -> None:
    async with trading() as (market, bybit):
        await bybit.load_markets()

        async def stir() -> None:
            for step in range(200):
                market.quote(symbol, Side.BUY, Decimal(59_000) + step, "0.5")
                await asyncio.sleep(0.02)

        stirring = asyncio.create_task(stir())
        states = set()
        async with asyncio.timeout(4):
            while len(states) < 20:
                book = await bybit.watch_order_book(symbol)
                states.add(tuple(map(tuple, book["bids"])))
        stirring.cancel()
        await asyncio.sleep(0.1)
        truth = market.exchange.book(f"BYBIT:{symbol}", 50)
        unit = market.exchange.instrument(f"BYBIT:{symbol}")
        wanted = [[float(unit.price_of(price)), float(unit.quantity_of(size))] for price, size in truth.bids]
        assert [list(level) for level in bybit.orderbooks[symbol]["bids"]] == wanted


@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_watches_ticker_trades_and_bars(symbol: str) -> None:
    async with trading() as (market, bybit):
        await bybit.load_markets()
        ticker = asyncio.create_task(until_last(bybit, symbol, 60_002))
        trades = asyncio.create_task(soon(bybit.watch_trades(symbol)))
        bars = asyncio.create_task(soon(bybit.watch_ohlcv(symbol, "1m")))
        best = asyncio.create_task(soon(bybit.watch_bids_asks([symbol])))
        await asyncio.sleep(0.3)
        market.take(symbol, Side.BUY, "1.5")
        assert (await ticker)["symbol"] == symbol
        assert [(one["price"], one["amount"], one["side"]) for one in await trades] == [
            (60_001, 1, "buy"),
            (60_002, 0.5, "buy"),
        ]
        assert (await bars)[-1][4] == 60_002
        assert (await best)[symbol]["bid"] == 59_999


async def until_last(bybit: ccxt.pro.bybit, symbol: str, price: float) -> Any:
    async with asyncio.timeout(5):
        while True:
            ticker = await bybit.watch_ticker(symbol)
            if ticker["last"] == price:
                return ticker


@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_orders_over_the_trade_socket(symbol: str) -> None:
    async with trading() as (market, bybit):
        await bybit.load_markets()
        order = await soon(bybit.create_order_ws(symbol, "limit", "buy", 0.01, 59_000, {"clientOrderId": "ws-1"}))
        assert order["clientOrderId"] == "ws-1"
        await soon(bybit.edit_order_ws(order["id"], symbol, "limit", "buy", 0.01, 59_500))
        assert [one.price for one in market.exchange.open_orders(market.trader)] == [Decimal(59_500)]
        assert (await soon(bybit.cancel_order_ws(order["id"], symbol)))["id"] == order["id"]
        with pytest.raises(ccxt.OrderNotFound):
            await soon(bybit.cancel_order_ws(order["id"], symbol))
        with pytest.raises(ccxt.InsufficientFunds):
            await soon(bybit.create_order_ws(symbol, "limit", "buy", 90, 59_000))
        with pytest.raises(ccxt.InvalidOrder):
            await soon(bybit.create_order_ws(symbol, "limit", "buy", 0.01, 59_000, {"clientOrderId": "ws-1"}))


@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_maps_refusals(symbol: str) -> None:
    async with trading() as (market, bybit):
        await bybit.load_markets()
        with pytest.raises(ccxt.InsufficientFunds):
            await bybit.create_order(symbol, "limit", "buy", 90, 59_000)
        with pytest.raises(ccxt.OrderNotFound):
            await bybit.cancel_order(
                "1700000000000000999" if symbol == SPOT else "0de50000-0000-4000-8000-0000000003e7", symbol
            )
        with pytest.raises(ccxt.OrderNotFound):
            await bybit.cancel_order("no-such-order", symbol)
        await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"clientOrderId": "twice"})
        with pytest.raises(ccxt.InvalidOrder):
            await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"clientOrderId": "twice"})
        with pytest.raises((ccxt.InvalidOrder, ccxt.BadRequest)):
            await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"price": "59000.05"})
        with pytest.raises((ccxt.InvalidOrder, ccxt.BadRequest)):
            await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"qty": "0.0105"})
        with pytest.raises(ccxt.InvalidOrder):
            await bybit.create_order(symbol, "limit", "buy", 0.001, 100)
        with pytest.raises(ccxt.BadSymbol if symbol == LINEAR else ccxt.InvalidOrder):
            await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"symbol": "NOPE"})
        with pytest.raises(ccxt.BadRequest):
            await bybit.create_order(symbol, "limit", "buy", 0.01, 59_000, {"takeProfit": "70000", "tpslMode": "Full"})
        assert len(market.exchange.open_orders(market.trader)) == 1


async def test_bybit_ccxt_reduce_only_without_position_is_refused() -> None:
    async with trading() as (_, bybit):
        with pytest.raises(ccxt.InvalidOrder):
            await bybit.create_order(LINEAR, "market", "buy", 0.01, None, {"reduceOnly": True})


async def test_bybit_ccxt_passed_trigger_is_refused() -> None:
    async with trading() as (market, bybit):
        market.take(LINEAR, Side.BUY, "0.001")
        for direction, price in (("ascending", 59_000), ("descending", 61_000)):
            with pytest.raises(ccxt.InvalidOrder):
                await bybit.create_order(
                    LINEAR, "market", "buy", 0.01, None, {"triggerPrice": price, "triggerDirection": direction}
                )


@pytest.mark.parametrize("symbol", [LINEAR, SPOT])
async def test_bybit_ccxt_post_only_is_accepted_then_cancelled_in_the_stream(symbol: str) -> None:
    async with trading() as (_, bybit):
        await bybit.load_markets()
        watching = asyncio.create_task(soon(bybit.watch_orders(symbol)))
        await asyncio.sleep(0.3)
        order = await bybit.create_order(symbol, "limit", "buy", 0.01, 60_001, {"postOnly": True})
        ended = (await watching)[0]
        assert (ended["id"], ended["status"]) == (order["id"], "canceled")
        assert ended["info"]["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"
        assert ended["info"]["timeInForce"] == "PostOnly"


async def test_bybit_ccxt_spot_market_order_by_cost() -> None:
    async with trading() as (_, bybit):
        await bybit.load_markets()
        order = await bybit.create_market_buy_order_with_cost(SPOT, 601)
        filled = await bybit.fetch_order(order["id"], SPOT, {"acknowledged": True})
        assert (filled["filled"], filled["cost"]) == (0.01, 600.01)


async def test_bybit_ccxt_cancels_all() -> None:
    async with trading() as (_, bybit):
        for price in (58_000, 58_001):
            await bybit.create_order(LINEAR, "limit", "buy", 0.01, price)
        assert len(await bybit.cancel_all_orders(LINEAR)) == 2
        assert await bybit.fetch_open_orders(LINEAR) == []


async def test_bybit_ccxt_unwatches_and_keeps_alive() -> None:
    async with trading(streaming={"keepAlive": 100}) as (_, bybit):
        await bybit.load_markets()
        await soon(bybit.watch_order_book(LINEAR))
        assert await soon(bybit.un_watch_order_book(LINEAR))
        await soon(bybit.watch_ticker(LINEAR))
        assert await soon(bybit.un_watch_ticker(LINEAR))
        began_ms = time.time() * 1000
        await asyncio.sleep(0.5)
        assert all(one.lastPong > began_ms for one in bybit.clients.values())


async def test_bybit_ccxt_wrong_keys() -> None:
    async with trading(secret="wrong", has={"fetchCurrencies": False}) as (_, bybit):
        with pytest.raises(ccxt.AuthenticationError):
            await bybit.fetch_balance()
        await bybit.load_markets()
        bybit.options |= {"enableUnifiedMargin": False, "enableUnifiedAccount": True}
        with pytest.raises(ccxt.AuthenticationError):
            await soon(bybit.watch_orders(LINEAR))
        with pytest.raises(ccxt.AuthenticationError):
            await soon(bybit.create_order_ws(LINEAR, "limit", "buy", 0.01, 59_000))
    async with trading(apiKey="unknown") as (_, bybit):
        with pytest.raises(ccxt.AuthenticationError):
            await bybit.fetch_balance()


async def test_bybit_ccxt_rate_limit_and_its_headers() -> None:
    limits = RateLimits(commands_per_second=2, queries_per_second=2)
    async with trading(limits) as (_, bybit):
        await bybit.load_markets()
        await bybit.fetch_open_orders(LINEAR)
        headers = {name.lower(): value for name, value in bybit.last_response_headers.items()}
        assert headers["x-bapi-limit"] == "2"
        assert headers["x-bapi-limit-status"] in {"0", "1"}
        assert abs(int(headers["x-bapi-limit-reset-timestamp"]) - time.time() * 1000) < 2000
        calls = [bybit.fetch_open_orders(LINEAR) for _ in range(6)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(one, ccxt.RateLimitExceeded) for one in outcomes)
        assert 1 <= outcomes.count([]) <= 4


async def test_bybit_ccxt_rate_limit_of_the_trade_socket() -> None:
    async with trading(RateLimits(commands_per_second=1)) as (market, bybit):
        await bybit.load_markets()
        calls = [soon(bybit.create_order_ws(LINEAR, "limit", "buy", 0.01, 59_000)) for _ in range(5)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = sum(isinstance(one, ccxt.RateLimitExceeded) for one in outcomes)
        assert refused >= 3
        assert len(market.exchange.open_orders(market.trader)) == 5 - refused


async def test_bybit_ccxt_too_many_requests_of_one_address_are_forbidden() -> None:
    async with trading(RateLimits(requests_per_address=3)) as (_, bybit):
        outcomes = await asyncio.gather(*[bybit.fetch_time() for _ in range(8)], return_exceptions=True)
        assert any(isinstance(one, ccxt.RateLimitExceeded) for one in outcomes)
        assert sum(isinstance(one, int) for one in outcomes) >= 3


@pytest.mark.parametrize("skew_ms", [-20_000, 20_000])
async def test_bybit_ccxt_timestamp_skew(skew_ms: int) -> None:
    async with trading() as (_, bybit):
        await bybit.load_markets()
        bybit.nonce = lambda: bybit.milliseconds() + skew_ms
        with pytest.raises(ccxt.InvalidNonce):
            await bybit.fetch_balance()
