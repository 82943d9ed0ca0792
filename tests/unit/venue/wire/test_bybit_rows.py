"""What the venue writes has the keys and types of what Bybit was recorded to write."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import zstandard

from feeds.venue.events import OrderUpdate
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, Side, Trigger
from feeds.venue.wire import bybit_account, bybit_lists, bybit_market
from feeds.venue.wire.bybit_desk import Desk
from feeds.venue.wire.bybit_market_rows import bar_message, spot_ticker_message, ticker_row, trade_message
from feeds.venue.wire.bybit_parameters import Parameters
from feeds.venue.wire.bybit_rows import (
    execution_row,
    fast_execution_row,
    mark_of,
    order_row,
    position_message,
    position_row,
)
from feeds.venue.wire.bybit_wallet import wallet_message
from patriot.domain.instrument import Instrument
from tests.data import recording

LINEAR, SPOT = "BYBIT:BTC/USDT:USDT", "BYBIT:BTC/USDT"
NOW_MS = 1_700_000_000_000
STREAM_ONLY = {"category"}


def instrument(instrument_id: str) -> Instrument:
    linear = instrument_id == LINEAR
    return Instrument(
        id=instrument_id, native_symbol="BTCUSDT", base="BTC", quote="USDT", settle="USDT" if linear else "",
        kind="linear" if linear else "spot", tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), price_decimals=2,
        quantity_decimals=3, maximum_leverage=100 if linear else 1, taker_fee=Decimal("0.0006"),
    )  # fmt: skip


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange("BYBIT", [instrument(LINEAR), instrument(SPOT)], lambda: NOW_MS, unified=True)
    trader, maker = made.open_account("trader", api_key="key", secret="secret"), made.open_account("m", unlimited=True)
    made.deposit(trader, "linear", "USDT", Decimal(10_000))
    for instrument_id in (LINEAR, SPOT):
        made.create(maker, limit(instrument_id, Side.SELL, "100"))
        made.create(maker, limit(instrument_id, Side.BUY, "90"))
        made.create(trader, limit(instrument_id, Side.BUY, "100", "0.5"))
        made.create(trader, limit(instrument_id, Side.BUY, "95", "0.5"))
    return made


def limit(instrument_id: str, side: Side, price: str, quantity: str = "1") -> NewOrder:
    return NewOrder(
        instrument_id=instrument_id, side=side, type=OrderType.LIMIT, quantity=Decimal(quantity), price=Decimal(price)
    )


def fixture(name: str) -> Any:
    return json.loads(recording(f"nautilus/fixtures/bybit/{name}.json").read_text())


def fits(ours: dict[str, Any], theirs: dict[str, Any], *, but: frozenset[str] = frozenset()) -> None:
    """Every key that they have we have, with a value of the same type (their null may be anything)."""
    for name, value in theirs.items():
        if name in but:
            continue
        assert name in ours, f"{name} is missing"
        if isinstance(value, dict) and value:
            fits(ours[name], value)
        elif value is not None:
            assert type(ours[name]) is type(value), f"{name} is {ours[name]!r}, theirs {value!r}"


def query(**fields: str) -> Parameters:
    return Parameters(fields)


def test_instruments_have_the_recorded_shape(exchange: Exchange) -> None:
    for category in ("linear", "spot"):
        ours = bybit_market.instruments_info(exchange, query(category=category))
        theirs = fixture(f"http_get_instruments_{category}")["result"]["list"][0]
        fits(ours["list"][0], theirs)


def test_instruments_before_their_launch_are_none(exchange: Exchange) -> None:
    assert bybit_market.instruments_info(exchange, query(category="linear", status="PreLaunch"))["list"] == []


@pytest.mark.parametrize(
    ("name", "path", "fields"),
    [
        ("http_get_orderbook", bybit_market.orderbook, {}),
        ("http_get_trades_recent", bybit_market.recent_trade, {}),
        ("http_get_klines_linear", bybit_market.kline, {"interval": "1"}),
    ],
)
def test_public_answers_have_the_recorded_shape(
    exchange: Exchange, name: str, path: Any, fields: dict[str, str]
) -> None:
    ours, theirs = path(exchange, query(category="linear", symbol="BTCUSDT", **fields)), fixture(name)["result"]
    fits(ours, theirs)
    if "list" in theirs:
        row, wanted = ours["list"][0], theirs["list"][0]
        if isinstance(wanted, dict):
            fits(row, wanted)
        else:
            assert [type(one) for one in row] == [type(one) for one in wanted]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("http_get_orders_realtime", bybit_lists.realtime),
        ("http_get_executions", bybit_lists.executions),
        ("http_get_positions", bybit_account.positions),
        ("http_get_wallet_balance", bybit_account.wallet_balance),
        ("http_get_fee_rate", bybit_account.fee_rate),
    ],
)
def test_private_lists_have_the_recorded_shape(exchange: Exchange, name: str, path: Any) -> None:
    account = exchange.account_by_key("key")
    ours = path(exchange, account, query(category="linear", symbol="BTCUSDT"))["list"][0]
    theirs = fixture(name)["result"]["list"][0]
    fits(ours, {key: value for key, value in theirs.items() if key != "coin" or not isinstance(value, list)})
    if name == "http_get_wallet_balance":
        fits(ours["coin"][0], theirs["coin"][0])


def test_account_info_has_the_recorded_shape(exchange: Exchange) -> None:
    ours = bybit_account.info(exchange, exchange.account_by_key("key"), query())
    fits(ours, fixture("http_get_account_info")["result"])


def test_order_history_has_the_recorded_shape(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    ours = bybit_lists.history(exchange, account, query(category="linear"))
    assert ours["list"][0]["orderStatus"] == "Filled"
    fits(ours["list"][0], fixture("http_get_orders_history")["result"]["list"][0])


def test_private_messages_have_the_recorded_shape(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    (fill,) = exchange.trades(account, LINEAR)
    order = account.by_id[fill.order_id]
    category = {"category": "linear"}
    fits(category | order_row(order), fixture("ws_account_order")["data"][0])
    fits(category | order_row(order), fixture("ws_account_order_filled")["data"][0])
    mark = mark_of(exchange, LINEAR)
    fits(category | execution_row(fill, order, mark), fixture("ws_account_execution")["data"][0])
    fits(fast_execution_row(fill, order), fixture("ws_account_execution_fast")["data"][0])
    fits(position_message(exchange.position(account, LINEAR)), fixture("ws_account_position")["data"][0])
    wallet, theirs = wallet_message(exchange, account), fixture("ws_account_wallet")["data"][0]
    # Bybit writes totalPerpUPL, as REST does; the fixture is written by hand
    fits(wallet, {key: value for key, value in theirs.items() if key != "coin"}, but=frozenset({"totalPerpUpl"}))
    fits(wallet["coin"][0], theirs["coin"][0])


def test_public_messages_have_the_recorded_shape(exchange: Exchange) -> None:
    """Against the recording of 2026-08-09: 1,689 messages of spot and linear topics."""
    theirs = recorded_messages()
    now = exchange.now_ms()
    for kind, instrument_id in (("linear", LINEAR), ("spot", SPOT)):
        one = exchange.instrument(instrument_id)
        (trade,) = exchange.recent_trades(instrument_id)
        (bar,) = exchange.bars(instrument_id, 60)
        fits(trade_message(one, trade, "PlusTick", 1), theirs[kind, "publicTrade"][0])
        fits(bar_message(one, bar, "1", now), theirs[kind, "kline"][0])
    # sizes of the venue's two listings and of a listing's pre-opening are not kept
    missing = {"singleOpenInterest", "singleOpenInterestValue", "preOpenPrice", "preQty", "curPreListingPhase"}
    fits(ticker_row(exchange, exchange.instrument(LINEAR)), theirs["linear", "tickers"], but=frozenset(missing))
    spot = spot_ticker_message(exchange, exchange.instrument(SPOT))
    fits(spot, theirs["spot", "tickers"])
    assert set(spot) == set(theirs["spot", "tickers"])


def recorded_messages() -> dict[tuple[str, str], Any]:
    """The first message's data of each kind of topic."""
    path = recording("cryptofeed/v3-2026-AGPL/BYBIT.v5.BTC-ETH.jsonl.zst")
    kinds = {"BYBIT.ws.2": "linear", "BYBIT.ws.3": "spot"}
    found: dict[tuple[str, str], Any] = {}
    for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines():
        entry = msgspec.json.decode(line)
        if entry["t"] == "recv":
            message = msgspec.json.decode(entry["data"])
            if message.get("topic"):
                found.setdefault((kinds[entry["conn"]], message["topic"].split(".")[0]), message["data"])
    return found


def test_order_row_of_a_spot_order_has_no_mark_of_a_contract(exchange: Exchange) -> None:
    """ccxt files an order with `tpslMode`, and an execution with `createType`, under contracts."""
    account = exchange.account_by_key("key")
    (fill,) = exchange.trades(account, SPOT)
    order = account.by_id[fill.order_id]
    assert "tpslMode" not in order_row(order)
    assert "createType" not in execution_row(fill, order, Decimal(0))
    (contract_fill,) = exchange.trades(account, LINEAR)
    assert "tpslMode" in order_row(account.by_id[contract_fill.order_id])


def test_order_row_tells_a_waiting_order(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    order = exchange.create(
        account,
        NewOrder(
            instrument_id=LINEAR, side=Side.SELL, type=OrderType.STOP_MARKET, quantity=Decimal(1),
            trigger_price=Decimal(90), trigger_by=Trigger.MARK,
        ),
    )  # fmt: skip
    row = order_row(order)
    shown = {
        name: row[name] for name in ("orderStatus", "stopOrderType", "triggerPrice", "triggerDirection", "triggerBy")
    }
    assert shown == {
        "orderStatus": "Untriggered", "stopOrderType": "Stop", "triggerPrice": "90", "triggerDirection": 2,
        "triggerBy": "MarkPrice",
    }  # fmt: skip
    exchange.cancel(account, LINEAR, order_id=order.id)
    assert order_row(order)["orderStatus"] == "Deactivated"


def test_order_row_after_a_partial_fill_and_cancel(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    for instrument_id, status in ((LINEAR, "Cancelled"), (SPOT, "PartiallyFilledCanceled")):
        order = exchange.create(account, limit(instrument_id, Side.BUY, "100"))
        exchange.cancel(account, instrument_id, order_id=order.id)
        row = order_row(order)
        assert (row["orderStatus"], row["cumExecQty"], row["leavesQty"], row["cancelType"]) == (
            status, "0.5", "0", "CancelByUser",
        )  # fmt: skip


def test_wallet_tells_what_open_spot_orders_hold(exchange: Exchange) -> None:
    """REST has `locked`; the stream counts it as order margin. Equity less all margins is what is free."""
    account = exchange.account_by_key("key")
    (rest,) = bybit_account.wallet_balance(exchange, account, query(coin="USDT"))["list"][0]["coin"]
    (stream,) = [coin for coin in wallet_message(exchange, account)["coin"] if coin["coin"] == "USDT"]
    held = Decimal("47.5")  # 0.5 at 95
    assert (Decimal(rest["locked"]), "locked" in stream) == (held, False)
    assert Decimal(stream["totalOrderIM"]) == Decimal(rest["totalOrderIM"]) + held
    margins = sum(Decimal(stream[name]) for name in ("totalOrderIM", "totalPositionIM"))
    assert Decimal(stream["availableToWithdraw"]) == Decimal(stream["equity"]) - margins


def test_link_id_is_the_client_own_or_empty(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    named = NewOrder(
        instrument_id=LINEAR, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(1), price=Decimal(80),
        client_order_id="mine",
    )  # fmt: skip
    assert order_row(exchange.create(account, named))["orderLinkId"] == "mine"
    assert order_row(exchange.create(account, limit(LINEAR, Side.BUY, "80")))["orderLinkId"] == ""
    (fill,) = exchange.trades(account, LINEAR)
    assert execution_row(fill, None, Decimal(0))["orderLinkId"] == ""


def test_executions_come_newest_first(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    exchange.create(account, limit(LINEAR, Side.BUY, "100", "0.2"))
    page = bybit_lists.executions(exchange, account, query(category="linear", limit="1"))
    assert ([row["execQty"] for row in page["list"]], page["nextPageCursor"]) == (["0.2"], "1")
    rest = bybit_lists.executions(exchange, account, query(category="linear", limit="1", cursor="1"))
    assert ([row["execQty"] for row in rest["list"]], rest["nextPageCursor"]) == (["0.5"], "")


def test_position_row_of_a_short_one(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    exchange.cancel_all(account)
    exchange.create(account, limit(LINEAR, Side.SELL, "90", "1"))
    row = position_row(exchange.position(account, LINEAR))
    assert (row["side"], row["size"], row["avgPrice"]) == ("Sell", "0.5", "90")
    exchange.create(exchange.account("m"), limit(LINEAR, Side.SELL, "90", "1"))
    exchange.create(account, limit(LINEAR, Side.BUY, "90", "0.5"))
    flat = position_row(exchange.position(account, LINEAR))
    assert (flat["side"], flat["size"], flat["avgPrice"], flat["liqPrice"]) == ("", "0", "0", "")


def test_desk_takes_the_exchange_clock(exchange: Exchange) -> None:
    assert Desk(exchange).now_ms() == NOW_MS


def test_pages_of_orders_and_executions_are_complete(exchange: Exchange) -> None:
    account = exchange.account_by_key("key")
    heard: list[OrderUpdate] = []
    exchange.on_account("trader", lambda event: heard.append(event) if isinstance(event, OrderUpdate) else None)
    ids = [exchange.create(account, limit(LINEAR, Side.BUY, "80", "0.001")).id for _ in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        fields = {"category": "linear", "symbol": "BTCUSDT", "limit": "3", "cursor": cursor}
        page = bybit_lists.realtime(exchange, account, query(**fields))
        seen += [row["orderId"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == len(ids) + 1
    assert seen == sorted(seen, reverse=True)
    first = bybit_lists.executions(exchange, account, query(category="linear", limit="1"))
    assert (len(first["list"]), first["nextPageCursor"]) == (1, "")
