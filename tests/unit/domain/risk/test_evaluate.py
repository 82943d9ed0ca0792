"""The verdict: all rules found, gates first, approved only when none is broken."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.order import Reservation
from patriot.domain.risk.context import Approved, Denied, RiskContext, Rule, Stage, rule
from patriot.domain.risk.evaluate import discovered, evaluate
from patriot.domain.risk.limits import Limits
from tests.unit.domain.examples import instrument
from tests.unit.domain.risk.examples import LIMITS, context, price

CODES = {
    "buying_power",
    "cancel_rate",
    "concentration",
    "daily_loss",
    "drawdown",
    "duplicate_order",
    "expiry_in_the_future",
    "instrument_allowed",
    "instrument_known_and_trading",
    "kill_switch",
    "leverage",
    "liquidation_distance",
    "margin",
    "minimum_notional",
    "only_reducing",
    "open_orders",
    "order_notional",
    "order_rate",
    "position_notional",
    "post_only",
    "price_collar",
    "price_tick",
    "quantity_lot",
    "quantity_range",
    "reduce_only",
    "self_trade",
    "stale_price",
    "trading_hours",
    "verified_only",
}


def test_discovered_finds_every_rule_once_and_gates_first():
    found = discovered()
    assert [each.code for each in found if each.stage is Stage.GATE] == [
        "instrument_known_and_trading",
        "kill_switch",
        "stale_price",
    ]
    assert [each.stage for each in found] == sorted(each.stage for each in found)
    assert sorted(each.code for each in found) == sorted(CODES)
    assert all(each.text.endswith(".") for each in found), "each rule says in a sentence what it demands"


@pytest.mark.requirement("P11")
def test_evaluate_approves_with_reservation_and_limits_version():
    maxima = {"orders": Decimal(3), "buy BINANCE:BTC/USDT": Decimal(80)}
    assert evaluate(context()) == Approved(Reservation("USDT", Decimal(1001)), limits_version=7, maxima=maxima)


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(("kind", "maximum"), [("linear", Decimal(80)), ("inverse", Decimal(80))])
def test_evaluate_tells_the_commit_how_large_a_position_may_be(kind: str, maximum: Decimal):
    verdict = evaluate(context(kind, order={"quantity": "1"}, available={"USDT": Decimal(1000), "BTC": Decimal(10)}))
    assert isinstance(verdict, Approved)
    assert verdict.maxima[f"buy {context(kind).order.instrument}"] == maximum
    free = evaluate(context(kind, limits=Limits(None, None, None, None, None)), [])
    assert isinstance(free, Approved)
    assert free.maxima == {}


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("spoiled", [{"instrument": None}, {"price": None}, {"halted": ("account:1",)}])
def test_evaluate_refuses_what_it_cannot_answer(spoiled):
    verdict = evaluate(context(**spoiled))
    assert isinstance(verdict, Denied)
    assert verdict.code in {"instrument_known_and_trading", "kill_switch", "stale_price"}


def test_evaluate_denies_by_the_first_broken_rule():
    verdict = evaluate(context(order={"price": "100.001", "quantity": "500"}, open_orders=99))
    assert isinstance(verdict, Denied)
    assert verdict.code == "price_tick"


def test_evaluate_with_chosen_rules_only():
    @rule(Stage.ORDER)
    def never(_: RiskContext) -> tuple[str, str] | None:
        """Nothing passes."""
        return "quantity", "no"

    assert isinstance(never, Rule)
    assert evaluate(context(), [never]) == Denied(never.code, "no", "quantity")
    assert isinstance(evaluate(context(halted=("platform",)), []), Approved)


def test_evaluate_sees_one_unit_in_the_last_of_thirty_digits():
    free = instrument(tick_size=Decimal(0), taker_fee=Decimal(0), maker_fee=Decimal(0))
    order = {"quantity": "1", "price": "123456789012.123456789012345612"}
    unlimited = Limits(None, None, None, None, None)
    just_enough = {"USDT": Decimal("123456789012.123456789012345612")}
    one_short = {"USDT": Decimal("123456789012.123456789012345611")}
    enough = context(order=order, instrument=free, limits=unlimited, available=just_enough)
    short = context(order=order, instrument=free, limits=unlimited, available=one_short)
    assert isinstance(evaluate(enough), Approved)
    assert isinstance(evaluate(short), Denied)


def test_evaluate_denies_what_no_amount_can_hold():
    huge = context(order={"quantity": "1000000000", "price": "10000000000"})
    verdict = evaluate(huge, [])
    assert isinstance(verdict, Denied)
    assert (verdict.code, verdict.field) == ("buying_power", "quantity")


def test_rule_without_text_is_refused():
    with pytest.raises(AssertionError, match="says what it demands"):
        rule(Stage.ORDER)(lambda _: None)


def test_default_limits_hold():
    verdict = evaluate(context(limits=Limits(), order={"quantity": "1000"}, available={"USDT": Decimal(10) ** 9}))
    assert isinstance(verdict, Approved)
    assert isinstance(evaluate(context(limits=Limits(), open_orders=200)), Denied)


@given(
    kind=st.sampled_from(["spot", "linear", "inverse"]),
    side=st.sampled_from(["buy", "sell"]),
    quantity=st.decimals("0.000000000000000001", 10**17, places=18),
    price_text=st.none() | st.decimals("0.000000000000000001", 10**17, places=18).map("{:f}".format),
    bid=st.decimals(0, 10**15, places=8),
    spread=st.decimals(0, 100, places=8),
    available=st.decimals(-100, 10**17, places=8),
    position=st.decimals(-(10**6), 10**6, places=3),
)
@pytest.mark.requirement("P11")
def test_evaluate_always_answers_and_never_approves_more_than_is_available(
    *,
    kind: str,
    side: str,
    quantity: Decimal,
    price_text: str | None,
    bid: Decimal,
    spread: Decimal,
    available: Decimal,
    position: Decimal,
):
    order_type = "market" if price_text is None else "limit"
    verdict = evaluate(
        context(
            kind,
            order={"side": side, "quantity": f"{quantity:f}", "price": price_text, "order_type": order_type},
            instrument=instrument(kind, tick_size=Decimal(0), lot_size=Decimal(0), maximum_quantity=Decimal(0)),
            price=price(str(bid), str(bid + spread)),
            limits=Limits(None, None, None, None, LIMITS.price_collar),
            available={"USDT": available, "BTC": available},
            position_quantity=position,
        )
    )
    if isinstance(verdict, Approved):
        assert 0 <= verdict.reservation.amount <= available
