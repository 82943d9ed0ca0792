"""Each rule: what just passes, what just fails, which field it names."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from patriot.domain.risk import rules
from patriot.domain.risk.context import RiskContext
from patriot.domain.risk.limits import Limits
from patriot.domain.risk.standing import Standing
from tests.unit.domain.examples import NOW, instrument
from tests.unit.domain.risk.examples import context, judge, price

D = Decimal
UNLIMITED = Limits(None, None, None, None, None)
STOP_BUY = {"order_type": "stop_limit", "stop_price": "150"}
MARKET = {"order_type": "market", "price": None}


def gtd(seconds: int) -> dict[str, object]:
    return {"time_in_force": "GTD", "expire_at": NOW + timedelta(seconds=seconds)}


def limited(**limits: Any) -> Limits:
    return replace(UNLIMITED, **limits)


def long(quantity: str = "10", **changes: Any) -> RiskContext:
    """Buy 10 of a perpetual at 100, from a position of `quantity` in it."""
    return context("linear", position_quantity=D(quantity), **changes)


def standing(equity: str = "1000", **changes: Any) -> Standing:
    """An account that has 500 bound and is exposed by 2000, all of it in BTC."""
    fields = {"margin": D(500), "exposure": {"BTC": D(2000)}, "day_equity": D(1100), "peak_equity": D(1250)}
    return Standing(D(equity), **{**fields, **changes})


def levered(quantity: str = "10", **changes: Any) -> RiskContext:
    """The same at 3x, where no more is allowed."""
    return long(quantity, **{"leverage": 3, "limits": LEVERAGED, **changes})


SELL = {"side": "sell"}
LEVERAGED = limited(maximum_leverage=D(3))
USAGE = limited(maximum_margin_usage=D("0.6"))
LOSS = limited(maximum_daily_loss=D(101))
DRAWN = limited(maximum_drawdown=D("0.21"))
CONCENTRATED = limited(maximum_concentration=D(3))
CLOSED = limited(sessions=(("mon-wed 08:00-22:00", "thu 12:00-12:30"), ("sat-sun 00:00-24:00",)))
OPEN = limited(sessions=(("thu 12:00-12:30",), ("wed 22:00-13:00",)))
SELF = limited(prevent_self_trade=True)
TWICE = limited(duplicate_seconds=5)
BLOCKED = limited(blocked_instruments=frozenset({"BINANCE:BTC/USDT", "BINANCE:BTC/USDT:USDT"}))
REDUCING = limited(reduce_only=True)
DISTANT = limited(minimum_liquidation_distance=D("0.3"))
LIVE_VERIFIED, ALL_VERIFIED = limited(verified_only="live"), limited(verified_only="all")

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
    ("position_notional", context(side_quantity=D(70))),
    ("position_notional", context(side_quantity=D(-900), order={"side": "sell"})),
    ("position_notional", context(side_quantity=D(-900))),
    ("position_notional", context(side_quantity=D(900), limits=UNLIMITED)),
    ("position_notional", context(side_quantity=D(79), filled_quantity=D(9))),
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
    ("leverage", levered(standing=standing())),
    ("leverage", levered(leverage=None, limits=limited(maximum_leverage=D("0.9")), standing=standing("4000"))),
    ("leverage", levered(standing=standing("10"), order=SELL)),
    ("leverage", long(limits=UNLIMITED)),
    ("margin", long(limits=USAGE, standing=standing())),
    ("margin", context(limits=USAGE)),
    ("margin", long("20", limits=USAGE, order=SELL)),
    ("daily_loss", long(limits=LOSS, standing=standing())),
    ("daily_loss", long(limits=LOSS, standing=standing("9"), order=SELL)),
    ("daily_loss", long(limits=LOSS, standing=standing("2000"))),
    ("drawdown", long(limits=DRAWN, standing=standing())),
    ("drawdown", context(limits=DRAWN, standing=standing("1"), order=SELL)),
    ("drawdown", long(limits=DRAWN, standing=standing(peak_equity=D(0)))),
    ("concentration", long(limits=CONCENTRATED, standing=standing())),
    ("concentration", long("-10", limits=CONCENTRATED, standing=standing("1"))),
    ("concentration", long("0", order=SELL, limits=CONCENTRATED, standing=standing("400"))),
    ("cancel_rate", context(cancels_last_second=7, limits=UNLIMITED)),
    ("cancel_rate", context(cancels_last_second=7, limits=limited(maximum_cancels_per_second=7))),
    ("duplicate_order", context(same_order_seconds=5, limits=TWICE)),
    ("duplicate_order", context(same_order_seconds=0, limits=UNLIMITED)),
    ("duplicate_order", context(limits=TWICE)),
    ("self_trade", context(best_opposite=D("100.01"), limits=SELF)),
    ("self_trade", context(best_opposite=D(1), limits=UNLIMITED)),
    ("self_trade", context(order=SELL, best_opposite=D("99.99"), limits=SELF)),
    ("self_trade", context(order=MARKET, best_opposite=D("101.01"), limits=SELF)),
    ("self_trade", context(limits=SELF)),
    ("instrument_allowed", context()),
    ("instrument_allowed", context(limits=BLOCKED, order=SELL)),
    ("instrument_allowed", long("-10", limits=BLOCKED)),
    ("only_reducing", context()),
    ("only_reducing", context(limits=REDUCING, order=SELL)),
    ("only_reducing", long("-10", limits=REDUCING)),
    ("only_reducing", long("-6", limits=REDUCING, filled_quantity=D(5))),
    ("trading_hours", context()),
    ("trading_hours", context(limits=OPEN)),
    ("trading_hours", long("-10", limits=CLOSED)),
    ("liquidation_distance", long(limits=DISTANT, standing=standing())),
    ("liquidation_distance", context(limits=DISTANT)),
    ("liquidation_distance", long("20", limits=DISTANT, order=SELL)),
    ("verified_only", context(account_mode="live")),
    ("verified_only", context(limits=LIVE_VERIFIED)),
    ("verified_only", context(limits=LIVE_VERIFIED, account_mode="live", compliance="verified")),
    ("verified_only", context(limits=ALL_VERIFIED, compliance="verified")),
    ("verified_only", long("-10", limits=ALL_VERIFIED)),
]

FAILS: list[tuple[str, RiskContext, str, str]] = [
    ("kill_switch", context(halted=("platform",)), "account_id", "halted: platform"),
    ("kill_switch", context(halted=("held:trend@1",)), "strategy_id", "paused or stopped on this account"),
    ("kill_switch", context(halted=("tenant", "held:trend@1")), "account_id", "halted: tenant, held:trend@1"),
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
    (
        "minimum_notional",
        context(order={"quantity": "0.099"}),
        "quantity",
        "worth 9.9 USDT, the venue takes no less than 10",
    ),
    ("minimum_notional", context(order={"quantity": "0.01", "reduce_only": True}), "quantity", "less than 10"),
    ("minimum_notional", context("inverse", order={"quantity": "0.09"}), "quantity", "worth 9 USD,"),
    ("price_collar", context(order={"price": "110.01"}), "price", "more than 10 % above the reference price 100"),
    ("price_collar", context(order={"side": "sell", "price": "89.99"}), "price", "below the reference price 100"),
    ("price_collar", context(order={**STOP_BUY, "price": "165.01"}), "price", "above the reference price 150"),
    ("price_collar", context(order={"price": "132.01"}, price=price(mark=D(120))), "price", "above"),
    ("post_only", context(order={"price": "101", "post_only": True}), "price", "the ask is 101"),
    ("post_only", context(order={"price": "99", "side": "sell", "post_only": True}), "price", "the bid is 99"),
    ("expiry_in_the_future", context(order=gtd(0)), "expire_at", "later than now"),
    ("order_notional", context(order={"quantity": "50.001"}), "quantity", "up to 5000.1 USDT, the limit is 5000"),
    ("position_notional", context(side_quantity=D("70.001")), "quantity", "8000.1 USDT, the limit is 8000"),
    ("position_notional", context(side_quantity=D(71), order={"side": "sell"}), "quantity", "come to 8100 USDT"),
    ("position_notional", context(side_quantity=D(79), filled_quantity=D(8)), "quantity", "come to 8100"),
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
    ("reduce_only", context(order={"reduce_only": True}, position_quantity=D(-9)), "quantity", "the position, 9"),
    ("buying_power", context(available={"USDT": D("1000.99")}), "quantity", "needs 1001 USDT, 1000.99 is"),
    ("buying_power", context(available={"USDT": D("0.99")}, reserved=D(1000)), "quantity", "needs 1 USDT"),
    ("buying_power", context(available={}), "quantity", "0 is available"),
    ("buying_power", context(order={"side": "sell"}, available={"USDT": D(9999)}), "quantity", "needs 10 BTC"),
    ("leverage", levered(standing=standing("999")), "quantity", "3.003003 times, the limit is 3"),
    ("leverage", levered(standing=standing("0")), "quantity", "infinitely many times"),
    ("leverage", levered(), "account_id", "not known"),
    ("leverage", levered(leverage=4, standing=standing()), "leverage", "traded at 4x, the limit is 3x"),
    ("leverage", levered("-6", standing=standing("600")), "quantity", "5 times"),
    ("margin", long(limits=USAGE, standing=standing(margin=D("500.1"))), "quantity", "60.01 % of the equity"),
    ("margin", long(limits=USAGE), "account_id", "not known"),
    ("daily_loss", long(limits=LOSS, standing=standing("999")), "account_id", "has lost 101 since the day began"),
    ("daily_loss", long(limits=LOSS), "account_id", "not known"),
    ("drawdown", long(limits=DRAWN, standing=standing("987.5")), "account_id", "is 21 % below its peak equity"),
    ("drawdown", long(limits=DRAWN), "account_id", "not known"),
    ("concentration", long(limits=CONCENTRATED, standing=standing("999")), "quantity", "BTC would be 300.3003 %"),
    ("concentration", long(limits=CONCENTRATED, standing=standing("0")), "quantity", "more than all of the equity"),
    ("concentration", long(limits=CONCENTRATED), "account_id", "not known"),
    (
        "cancel_rate",
        context(cancels_last_second=8, limits=limited(maximum_cancels_per_second=7)),
        "account_id",
        "8 cancels",
    ),
    ("duplicate_order", context(same_order_seconds=4.96, limits=TWICE), "quantity", "was sent 5.0 s ago"),
    ("self_trade", context(best_opposite=D("100.0"), limits=SELF), "price", "your own sell at 100"),
    ("self_trade", context(order=SELL, best_opposite=D(100), limits=SELF), "price", "your own buy at 100"),
    ("self_trade", context(order=MARKET, best_opposite=D(101), limits=SELF), "price", "your own sell at 101"),
    ("self_trade", context(order=STOP_BUY, best_opposite=D(100), limits=SELF), "price", "your own sell at 100"),
    ("instrument_allowed", context(limits=BLOCKED), "instrument", "is blocked here"),
    ("instrument_allowed", long("-4", limits=BLOCKED), "instrument", "only reducing"),
    ("only_reducing", context(limits=REDUCING), "account_id", "would make one larger"),
    ("only_reducing", long("-4", limits=REDUCING), "account_id", "may only reduce"),
    ("only_reducing", long("0", limits=REDUCING), "account_id", "may only reduce"),
    ("trading_hours", context(limits=CLOSED), "account_id", "Thu 12:00 UTC; it is open sat-sun 00:00-24:00"),
    ("liquidation_distance", long(limits=DISTANT), "account_id", "not known"),
    ("liquidation_distance", long(limits=DISTANT, standing=standing("899")), "quantity", "the limit is 30 %"),
    ("liquidation_distance", long(limits=DISTANT, standing=standing(maintenance=D(101))), "quantity", "29.9"),
    ("verified_only", context(limits=LIVE_VERIFIED, account_mode="live"), "account_id", "you are unverified"),
    ("verified_only", context(limits=ALL_VERIFIED, compliance="rejected"), "account_id", "you are rejected"),
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
