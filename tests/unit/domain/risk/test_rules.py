"""Each rule: what just passes, what just fails, which field it names."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from patriot.domain.risk import rules
from patriot.domain.risk.context import Limits, RiskContext
from tests.unit.domain.examples import NOW, instrument
from tests.unit.domain.risk.examples import context, judge, price

D = Decimal
UNLIMITED = Limits(None, None, None, None, None)
STOP_BUY = {"order_type": "stop_limit", "stop_price": "150"}
MARKET = {"order_type": "market", "price": None}


def gtd(seconds: int) -> dict[str, object]:
    return {"time_in_force": "GTD", "expire_at": NOW + timedelta(seconds=seconds)}


PASSES: list[tuple[str, RiskContext]] = [
    ("kill_switch", context()),
    ("instrument_known_and_trading", context()),
    ("stale_price", context(price=price(age_seconds=60))),
    ("price_tick", context(order={"price": "100.01"})),
    ("price_tick", context(order=MARKET)),
    ("price_tick", context(order={**STOP_BUY, "stop_price": "150.99"})),
    ("quantity_lot", context(order={"quantity": "0.003"})),
    ("quantity_range", context(order={"quantity": "0.002"})),
    ("quantity_range", context(order={"quantity": "1000"})),
    ("quantity_range", context(order={"quantity": "1001"}, instrument=instrument(maximum_quantity=D(0)))),
    ("minimum_notional", context(order={"quantity": "0.1", "price": "100"})),
    ("minimum_notional", context(order={**MARKET, "quantity": "0.1"})),
    ("minimum_notional", context("linear", order={"quantity": "0.01", "reduce_only": True})),
    ("minimum_notional", context("inverse", order={"quantity": "0.1"})),
    ("price_collar", context(order={"price": "110"})),
    ("price_collar", context(order={"side": "sell", "price": "90"})),
    ("price_collar", context(order={"price": "1"})),
    ("price_collar", context(order={"side": "sell", "price": "900"})),
    ("price_collar", context(order=MARKET)),
    ("price_collar", context(order={"price": "900"}, limits=UNLIMITED)),
    ("price_collar", context(order={**STOP_BUY, "price": "165"})),
    ("price_collar", context(order={"price": "132"}, price=price(mark=D(120)))),
    ("post_only", context(order={"price": "100.99", "post_only": True})),
    ("post_only", context(order={"price": "99.01", "side": "sell", "post_only": True})),
    ("post_only", context(order={"price": "101"})),
    ("expiry_in_the_future", context()),
    ("expiry_in_the_future", context(order=gtd(1))),
    ("order_notional", context(order={"quantity": "50"})),
    ("order_notional", context(order={"quantity": "5000"}, limits=UNLIMITED)),
    ("position_notional", context(position_quantity=D(70))),
    ("position_notional", context(position_quantity=D(60), open_notional=D(1000))),
    ("position_notional", context(position_quantity=D(900), order={"side": "sell"})),
    ("position_notional", context(position_quantity=D(-900))),
    ("position_notional", context(position_quantity=D(900), limits=UNLIMITED)),
    ("position_notional", context(position_quantity=D(79), filled_quantity=D(9))),
    ("position_notional", context(position_quantity=D(10), open_notional=D(8000), order={"side": "sell"})),
    ("open_orders", context(open_orders=2)),
    ("open_orders", context(open_orders=2000, limits=UNLIMITED)),
    ("order_rate", context(orders_last_second=4)),
    ("order_rate", context(orders_last_second=4000, limits=UNLIMITED)),
    ("reduce_only", context()),
    ("reduce_only", context(order={"reduce_only": True}, position_quantity=D(-10))),
    ("reduce_only", context(order={"reduce_only": True, "side": "sell"}, position_quantity=D(10))),
    ("reduce_only", context(order={"reduce_only": True}, position_quantity=D(-4), filled_quantity=D(6))),
    ("buying_power", context(available={"USDT": D(1001)})),
    ("buying_power", context(available={"USDT": D(1)}, reserved=D(1000))),
    ("buying_power", context(available={}, reserved=D(1001))),
    ("buying_power", context(available={"USDT": D(-5)}, reserved=D(1001))),
    ("buying_power", context(order={"side": "sell"}, available={"BTC": D(10)})),
]

FAILS: list[tuple[str, RiskContext, str, str]] = [
    ("kill_switch", context(halted=("platform",)), "account_id", "halted: platform"),
    ("instrument_known_and_trading", context(instrument=None), "instrument", "not known"),
    ("instrument_known_and_trading", context(instrument=instrument(trading=False)), "instrument", "not trading"),
    ("stale_price", context(price=None), "instrument", "there is no price"),
    ("stale_price", context(price=price(bid="0")), "instrument", "there is no price"),
    ("stale_price", context(price=price(ask="0")), "instrument", "there is no price"),
    ("stale_price", context(price=price(age_seconds=60.5)), "instrument", "60.5 s old"),
    ("stale_price", context(price=price(stale=True)), "instrument", "is stale"),
    ("price_tick", context(order={"price": "100.001"}), "price", "tick size 0.01"),
    ("price_tick", context(order={**STOP_BUY, "stop_price": "150.999"}), "stop_price", "tick size 0.01"),
    ("quantity_lot", context(order={"quantity": "1.0005"}), "quantity", "lot size 0.001"),
    ("quantity_range", context(order={"quantity": "0.001"}), "quantity", "at least 0.002"),
    ("quantity_range", context(order={"quantity": "1000.001"}), "quantity", "at most 1000"),
    ("minimum_notional", context(order={"quantity": "0.099"}), "quantity", "worth 9.900 USDT, less than 10"),
    ("minimum_notional", context(order={"quantity": "0.01", "reduce_only": True}), "quantity", "less than 10"),
    ("minimum_notional", context("inverse", order={"quantity": "0.09"}), "quantity", "worth 9.00 USD,"),
    ("price_collar", context(order={"price": "110.01"}), "price", "above the reference price 100"),
    ("price_collar", context(order={"side": "sell", "price": "89.99"}), "price", "below the reference price 100"),
    ("price_collar", context(order={**STOP_BUY, "price": "165.01"}), "price", "above the reference price 150"),
    ("price_collar", context(order={"price": "132.01"}, price=price(mark=D(120))), "price", "above"),
    ("post_only", context(order={"price": "101", "post_only": True}), "price", "the ask is 101"),
    ("post_only", context(order={"price": "99", "side": "sell", "post_only": True}), "price", "the bid is 99"),
    ("expiry_in_the_future", context(order=gtd(0)), "expire_at", "later than now"),
    ("order_notional", context(order={"quantity": "50.001"}), "quantity", "more than the limit 5000"),
    ("position_notional", context(position_quantity=D("70.001")), "quantity", "more than the limit 8000"),
    ("position_notional", context(position_quantity=D(-71), order={"side": "sell"}), "quantity", "worth 8100"),
    ("position_notional", context(position_quantity=D(60), open_notional=D(1001)), "quantity", "worth 8001"),
    ("position_notional", context(position_quantity=D(79), filled_quantity=D(8)), "quantity", "worth 8100"),
    (
        "position_notional",
        context(position_quantity=D(10), open_notional=D(8001), order={"side": "sell"}),
        "quantity",
        "worth 8001",
    ),
    ("open_orders", context(open_orders=3), "account_id", "has 3 open orders"),
    ("order_rate", context(orders_last_second=5), "account_id", "sent 5 orders"),
    ("reduce_only", context(order={"reduce_only": True}), "reduce_only", "no position for a buy"),
    ("reduce_only", context(order={"reduce_only": True}, position_quantity=D(20)), "reduce_only", "it is 20"),
    (
        "reduce_only",
        context(order={"reduce_only": True, "side": "sell"}, position_quantity=D(-20)),
        "reduce_only",
        "for a sell",
    ),
    ("reduce_only", context(order={"reduce_only": True}, position_quantity=D(-9)), "quantity", "position 9"),
    ("buying_power", context(available={"USDT": D("1000.99")}), "quantity", "needs 1001.000 USDT, 1000.99 is"),
    ("buying_power", context(available={"USDT": D("0.99")}, reserved=D(1000)), "quantity", "needs 1.000 USDT"),
    ("buying_power", context(available={}), "quantity", "0 is available"),
    ("buying_power", context(order={"side": "sell"}, available={"USDT": D(9999)}), "quantity", "needs 10 BTC"),
]


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(("code", "judged"), PASSES, ids=lambda value: value if isinstance(value, str) else "")
def test_rule_lets_pass(code: str, judged: RiskContext):
    assert judge(code, judged) is None


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(
    ("code", "judged", "field", "reason"), FAILS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_rule_denies_and_names_the_field(code: str, judged: RiskContext, field: str, reason: str):
    denied = judge(code, judged)
    assert denied is not None
    assert (denied.code, denied.field) == (code, field)
    assert reason in denied.reason


def test_every_rule_file_is_tested_both_ways():
    files = {path.stem for path in Path(rules.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {code for code, _ in PASSES} == {code for code, *_ in FAILS}
