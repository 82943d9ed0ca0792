"""The venue's journal: what platform accounts own survives a restart, open orders stand again, nothing is doubled."""

from decimal import Decimal
from uuid import UUID

from feeds.venue.halls import Halls
from feeds.venue.orders import NewOrder, OrderStatus, OrderType, Side
from patriot.domain.listing import instruments

ACCOUNT = UUID(int=77)
BTC = "BINANCE:BTC/USDT:USDT"
SPOT = "BINANCE:BTC/USDT"


def halls(folder):
    made = Halls({"BINANCE": instruments("BINANCE")}, lambda: 1_700_000_000_000, folder)
    made.open("BINANCE", ACCOUNT, "key", "secret")
    maker = made["BINANCE"].open_account("maker", unlimited=True)
    made.listen()
    return made, maker


def limit(side, quantity, price, instrument=BTC, client_order_id=""):
    return NewOrder(
        instrument_id=instrument,
        side=side,
        type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(price),
        client_order_id=client_order_id,
    )


def owned(exchange):
    account = exchange.account(str(ACCOUNT))
    return (
        {one.asset: (one.total, one.locked) for one in exchange.balances(account, "spot")},
        [(one.instrument.id, one.size, one.entry_price, one.realised) for one in exchange.positions(account)],
        [(one.id, one.client_order_id, one.status, one.filled) for one in exchange.orders(account)],
        [(one.trade_id, one.order_id, one.quantity) for one in exchange.trades(account)],
    )


def traded(folder):
    first, maker = halls(folder)
    exchange = first["BINANCE"]
    first.deposit(ACCOUNT, "USDT", Decimal(10_000), "deposit-1")
    account = exchange.account(str(ACCOUNT))
    exchange.create(maker, limit(Side.SELL, "0.05", "60000"))
    exchange.create(account, limit(Side.BUY, "0.02", "60000", client_order_id="filled"))
    exchange.create(account, limit(Side.BUY, "0.1", "50000", client_order_id="resting"))
    exchange.create(account, limit(Side.BUY, "0.01", "50000", SPOT, client_order_id="spot"))
    gone = exchange.create(account, limit(Side.BUY, "0.01", "40000", client_order_id="gone"))
    exchange.cancel(account, BTC, order_id=gone.id)
    return first


def test_restart_brings_everything_back(tmp_path):
    before = traded(tmp_path)
    expected = owned(before["BINANCE"])
    before.close()
    after, _ = halls(tmp_path)
    assert owned(after["BINANCE"]) == expected


def test_restart_leaves_open_orders_in_the_book(tmp_path):
    traded(tmp_path).close()
    after, maker = halls(tmp_path)
    exchange = after["BINANCE"]
    exchange.create(maker, limit(Side.SELL, "0.1", "50000"))
    order = exchange.order(exchange.account(str(ACCOUNT)), BTC, client_order_id="resting")
    assert order.status is OrderStatus.FILLED


def test_restart_does_not_credit_a_deposit_twice(tmp_path):
    traded(tmp_path).close()
    after, _ = halls(tmp_path)
    expected = owned(after["BINANCE"])
    after.deposit(ACCOUNT, "USDT", Decimal(10_000), "deposit-1")
    assert owned(after["BINANCE"]) == expected


def test_restart_gives_out_new_ids(tmp_path):
    before = traded(tmp_path)
    known = {one.id for one in before["BINANCE"].orders(before["BINANCE"].account(str(ACCOUNT)))}
    trades = {one.trade_id for one in before["BINANCE"].trades(before["BINANCE"].account(str(ACCOUNT)))}
    before.close()
    after, maker = halls(tmp_path)
    exchange = after["BINANCE"]
    account = exchange.account(str(ACCOUNT))
    exchange.create(maker, limit(Side.SELL, "0.01", "50500"))
    order = exchange.create(account, limit(Side.BUY, "0.01", "51000"))
    assert order.id not in known
    assert not trades & {one.trade_id for one in exchange.trades(account, order_id=order.id)}


def test_torn_last_line_is_left_out(tmp_path):
    before = traded(tmp_path)
    expected = owned(before["BINANCE"])
    before.close()
    with (tmp_path / "BINANCE.jsonl").open("ab") as file:
        file.write(b'{"orders":[{"id":')
    after, _ = halls(tmp_path)
    assert owned(after["BINANCE"]) == expected
    after.deposit(ACCOUNT, "USDT", Decimal(1), "deposit-2")
    after.close()
    last, _ = halls(tmp_path)
    assert owned(last["BINANCE"])[0]["USDT"][0] == expected[0]["USDT"][0] + 1
