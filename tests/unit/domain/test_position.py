"""Positions: open, increase, reduce, close, flip, for every kind; profit, margin and postings to the last digit."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.ledger import check
from patriot.domain.money import AMOUNT_MAX, EXACT, exact
from patriot.domain.position import Position, apply_fill, fold, position_id, unrealised
from schemas.events import OrderPartiallyFilled, PositionUpdated
from schemas.types import Side
from tests.unit.domain.examples import ACCOUNT, NOW, ORDER, USER, instrument

Kind = Literal["spot", "linear", "inverse"]
Trade = tuple[Side, str, str]


def fill(quantity: str, price: str, fee: str = "0", fee_asset: str = "USDT") -> OrderPartiallyFilled:
    fields: dict[str, Any] = {"quantity": quantity, "price": price, "fee": fee, "fee_asset": fee_asset}
    names = {"order_id": ORDER, "account_id": ACCOUNT, "user_id": USER, "trade_id": "T1"}
    return OrderPartiallyFilled.model_validate({**fields, **names, "liquidity": "taker", "filled_quantity": quantity})


def trade(position: Position | None, event: PositionUpdated) -> Position:
    return fold(position, event, (position.version if position else 0) + 1, NOW)


def traded(kind: Kind, *trades: Trade, leverage: int = 10) -> tuple[Position, PositionUpdated]:
    """The position after (side, quantity, price) trades, and the last event."""
    position, traded_instrument = None, instrument(kind)
    for side, quantity, price in trades:
        event = apply_fill(position, fill(quantity, price), side=side, instrument=traded_instrument, leverage=leverage)
        position = trade(position, event)
    assert position is not None
    return position, event


# --- examples --------------------------------------------------------------------------------------------------------
def test_fill_without_leverage_binds_its_whole_value():
    event = apply_fill(None, fill("2", "100"), side="buy", instrument=instrument("linear"))
    assert (trade(None, event).margin, event.leverage, Position(ACCOUNT, "X").leverage) == (Decimal(200), 1, 1)


@pytest.mark.requirement("B3")
@pytest.mark.parametrize("kind", ["spot", "linear"])
@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realised", "total"),
    [
        ([("buy", "2", "100")], "2", "100", "0", "0"),
        ([("buy", "2", "100"), ("buy", "1", "130")], "3", "110", "0", "0"),
        ([("buy", "3", "110"), ("sell", "1", "120")], "2", "110", "10", "10"),
        ([("buy", "3", "110"), ("sell", "3", "100")], "0", "0", "-30", "-30"),
        ([("buy", "3", "110"), ("sell", "5", "120")], "-2", "120", "30", "30"),
        ([("sell", "2", "100")], "-2", "100", "0", "0"),
        ([("sell", "2", "100"), ("sell", "2", "120")], "-4", "110", "0", "0"),
        ([("sell", "4", "110"), ("buy", "1", "100")], "-3", "110", "10", "10"),
        ([("sell", "4", "110"), ("buy", "4", "120")], "0", "0", "-40", "-40"),
        ([("sell", "4", "110"), ("buy", "6", "100")], "2", "100", "40", "40"),
        ([("buy", "2", "100"), ("sell", "1", "110"), ("sell", "1", "90")], "0", "0", "-10", "0"),
    ],
)
def test_fill_opens_increases_reduces_closes_and_flips(*, kind, trades, quantity, average, realised, total):
    position, event = traded(kind, *trades)
    assert (position.quantity, position.average_price) == (Decimal(quantity), Decimal(average))
    assert (event.realised_pnl, position.realised_pnl) == (Decimal(realised), Decimal(total))


@pytest.mark.requirement("B3")
@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realised"),
    [
        ([("buy", "10", "100")], "10", "100", "0"),  # 10 contracts of 100 USD at 100: 10 BTC
        ([("buy", "10", "100"), ("buy", "10", "400")], "20", "160", "0"),  # 2000 USD for 12.5 BTC
        ([("buy", "10", "100"), ("sell", "10", "200")], "0", "0", "5"),  # 10 BTC in, 5 BTC out: 5 BTC left over
        ([("sell", "10", "200"), ("buy", "10", "100")], "0", "0", "5"),
        ([("buy", "10", "100"), ("sell", "20", "200")], "-10", "200", "5"),
        ([("sell", "10", "100"), ("buy", "5", "200")], "-5", "100", "-2.5"),
    ],
)
def test_inverse_contracts_make_their_profit_in_the_base_asset(trades, quantity, average, realised):
    position, event = traded("inverse", *trades)
    assert (position.quantity, position.average_price) == (Decimal(quantity), Decimal(average))
    assert event.realised_pnl == Decimal(realised)
    assert {posting.asset for posting in event.postings} <= {"BTC"}


@pytest.mark.parametrize(
    ("kind", "trades", "mark", "profit"),
    [
        ("linear", [("buy", "2", "100")], "110", "20"),
        ("linear", [("sell", "2", "100")], "110", "-20"),
        ("spot", [("buy", "2", "100")], "95", "-10"),
        ("inverse", [("buy", "10", "100")], "200", "5"),
        ("inverse", [("sell", "10", "100")], "200", "-5"),
        ("linear", [("buy", "2", "100"), ("sell", "2", "100")], "500", "0"),
    ],
)
def test_unrealised_profit_at_the_mark_price(kind, trades, mark, profit):
    position, _ = traded(kind, *trades)
    assert unrealised(position, instrument(kind), Decimal(mark)) == Decimal(profit)


def lines(event: PositionUpdated) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for posting in event.postings:
        sums[posting.ledger, posting.asset] += posting.amount
    return dict(sums)


def test_spot_postings_of_a_buy_and_a_sell():
    bought = apply_fill(None, fill("2", "100", "0.2"), side="buy", instrument=instrument())
    assert lines(bought) == {
        ("cash", "BTC"): 2,
        ("position", "BTC"): -2,
        ("cash", "USDT"): Decimal("-200.2"),
        ("position", "USDT"): 200,
        ("fees", "USDT"): Decimal("0.2"),
    }
    sold = apply_fill(trade(None, bought), fill("1", "120"), side="sell", instrument=instrument())
    assert lines(sold) == {
        ("cash", "BTC"): -1,
        ("position", "BTC"): 1,
        ("cash", "USDT"): 120,
        ("position", "USDT"): -100,
        ("realised", "USDT"): -20,
    }


def test_spot_fee_in_a_third_asset_leaves_the_position_whole():
    event = apply_fill(None, fill("2", "100", "0.01", "BNB"), side="buy", instrument=instrument())
    assert event.quantity == 2
    assert lines(event)["cash", "BNB"] == Decimal("-0.01")
    assert lines(event)["fees", "BNB"] == Decimal("0.01")


def test_spot_fee_kept_in_base_lowers_the_position_so_that_it_can_be_sold_completely():
    bought = apply_fill(None, fill("2", "100", "0.002", "BTC"), side="buy", instrument=instrument())
    assert (bought.quantity, bought.average_price) == (Decimal("1.998"), 100)
    assert lines(bought) == {
        ("cash", "BTC"): Decimal("1.998"),
        ("position", "BTC"): Decimal("-1.998"),
        ("cash", "USDT"): -200,
        ("position", "USDT"): Decimal("199.8"),
        ("fees", "USDT"): Decimal("0.2"),
    }
    sold = apply_fill(trade(None, bought), fill("1.998", "100", "0.1998"), side="sell", instrument=instrument())
    assert (sold.quantity, sold.entry_value, sold.realised_pnl) == (0, 0, 0)


def test_spot_fee_that_takes_everything_leaves_no_position():
    event = apply_fill(None, fill("0.001", "100", "0.001", "BTC"), side="buy", instrument=instrument())
    assert (event.quantity, event.entry_value, event.average_price) == (0, 0, 0)
    assert lines(event) == {("cash", "USDT"): Decimal("-0.1"), ("fees", "USDT"): Decimal("0.1")}


def test_linear_postings_are_profit_and_fee_only():
    opened = apply_fill(None, fill("2", "100", "0.08"), side="buy", instrument=instrument("linear"))
    assert lines(opened) == {("cash", "USDT"): Decimal("-0.08"), ("fees", "USDT"): Decimal("0.08")}
    closed = apply_fill(trade(None, opened), fill("2", "90"), side="sell", instrument=instrument("linear"))
    assert lines(closed) == {("cash", "USDT"): -20, ("realised", "USDT"): 20}


def test_rebate_is_a_negative_fee():
    event = apply_fill(None, fill("2", "100", "-0.02"), side="buy", instrument=instrument("linear"))
    assert lines(event) == {("cash", "USDT"): Decimal("0.02"), ("fees", "USDT"): Decimal("-0.02")}
    assert trade(None, event).fees == {"USDT": Decimal("-0.02")}


@pytest.mark.parametrize(
    ("kind", "asset", "margins"),
    [("linear", "USDT", ["20", "-10", "-10"]), ("inverse", "BTC", ["0.2", "-0.1", "-0.1"])],
)
def test_margin_is_bound_and_freed_with_the_position(kind, asset, margins):
    position, seen = None, []
    for side, quantity in (("buy", "2"), ("sell", "1"), ("sell", "1")):
        event = apply_fill(position, fill(quantity, "100"), side=side, instrument=instrument(kind), leverage=10)
        position = trade(position, event)
        seen += [(hold.asset, hold.margin, hold.reserved) for hold in event.holds]
    assert seen == [(asset, Decimal(margin), 0) for margin in margins]
    assert position.margin == 0


@pytest.mark.requirement("B3")
def test_an_open_position_keeps_its_leverage_and_a_flat_one_takes_the_next_orders():
    traded_instrument = instrument("linear")
    position, _ = traded("linear", ("buy", "2", "100"), leverage=10)
    more = apply_fill(position, fill("2", "100"), side="buy", instrument=traded_instrument, leverage=20)
    position = trade(position, more)
    assert (more.leverage, position.margin) == (10, 40)
    closed = apply_fill(position, fill("4", "100"), side="sell", instrument=traded_instrument, leverage=20)
    position = trade(position, closed)
    assert position.margin == 0
    opened = apply_fill(position, fill("2", "100"), side="sell", instrument=traded_instrument, leverage=20)
    assert (opened.leverage, trade(position, opened).margin) == (20, 10)


def test_spot_binds_no_margin():
    assert traded("spot", ("buy", "2", "100"))[1].holds == ()


def test_fold_refuses_a_gap_and_a_repetition():
    position, event = traded("spot", ("buy", "2", "100"))
    for version in (1, 3):
        with pytest.raises(InvalidTransition, match="cannot follow 1"):
            fold(position, event, version, NOW)


def test_fill_worth_more_than_an_amount_can_be_is_refused():
    with pytest.raises(InvalidValue, match="larger"):
        apply_fill(None, fill("10000000000", "1000000000"), side="buy", instrument=instrument())


def test_position_id_is_the_same_for_ever():
    assert str(position_id(ACCOUNT, "BINANCE:BTC/USDT")) == "9861f752-208d-58bb-9f4e-4e2c40931596"
    assert position_id(USER, "BINANCE:BTC/USDT") != position_id(ACCOUNT, "BINANCE:BTC/USDT")


# --- properties ------------------------------------------------------------------------------------------------------
kinds = st.sampled_from(["spot", "linear", "inverse"])
fills = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.decimals("0.001", "20", places=3),
        st.decimals("0.01", "99999", places=2),
        st.decimals("-0.0005", "0.001", places=8),
        st.sampled_from(["USDT", "BTC", "BNB"]),
    ),
    min_size=1,
    max_size=25,
)


def history(kind: Kind, trades: list[Any]) -> tuple[list[Position], list[PositionUpdated], Instrument]:
    traded_instrument = instrument(kind)
    positions, events = [Position(ACCOUNT, traded_instrument.id)], []
    for side, quantity, price, fee, fee_asset in trades:
        execution = fill(f"{quantity:f}", f"{price:f}", f"{fee:f}", fee_asset)
        events.append(apply_fill(positions[-1], execution, side=side, instrument=traded_instrument, leverage=7))
        positions.append(trade(positions[-1], events[-1]))
    return positions, events, traded_instrument


@given(kind=kinds, trades=fills)
@pytest.mark.requirement("B3", "B11")
@exact
def test_every_event_balances_and_its_ledgers_mirror_the_position(kind, trades):
    positions, events, _ = history(kind, trades)
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    margin = Decimal(0)
    for position, event in zip(positions[1:], events, strict=True):
        check(event.postings)
        for key, amount in lines(event).items():
            sums[key] += amount
        margin += sum(hold.margin for hold in event.holds)
        assert margin == position.margin >= 0
        assert (position.quantity == 0) == (position.entry_value == 0)
        assert position.quantity * position.entry_value >= 0
        if kind == "spot":
            assert sums["position", "BTC"] == -position.quantity == -sums["cash", "BTC"]
            assert sums["position", "USDT"] == position.entry_value
            assert sums["realised", "USDT"] == -position.realised_pnl
        else:
            asset = "USDT" if kind == "linear" else "BTC"
            assert sums["realised", asset] == -position.realised_pnl


@given(kind=kinds, trades=fills, mark=st.decimals("0.01", "99999", places=2))
@pytest.mark.requirement("B3")
@exact
def test_realised_plus_unrealised_is_what_the_trades_are_worth_at_the_mark(kind, trades, mark):
    positions, events, traded_instrument = history(kind, trades)
    last = positions[-1]
    worth = traded_instrument.notional(last.quantity, mark)
    for (before, after), event in zip(pairwise(positions), events, strict=True):
        worth -= traded_instrument.notional(after.quantity - before.quantity, event.price)
    profit = last.realised_pnl + unrealised(last, traded_instrument, mark)
    expected = -worth if kind == "inverse" else worth
    tolerance = Decimal("1E-16") if kind == "inverse" else 0  # one rounded division per trade
    assert abs(profit - expected) <= tolerance


@given(kind=kinds, trades=fills)
@exact
def test_position_agrees_with_an_independent_average_cost_calculation(kind, trades):
    positions, events, traded_instrument = history(kind, trades)
    quantity, entry, realised = Fraction(0), Fraction(0), Fraction(0)  # entry: value per unit, in the profit's asset
    for (before, after), event in zip(pairwise(positions), events, strict=True):
        signed = Fraction(after.quantity) - Fraction(before.quantity)
        unit = Fraction(traded_instrument.contract_size) * (
            1 / Fraction(event.price) if kind == "inverse" else Fraction(event.price)
        )
        if quantity * signed < 0:
            closed = min(abs(quantity), abs(signed)) * (1 if quantity > 0 else -1)
            realised += closed * ((entry - unit) if kind == "inverse" else (unit - entry))
        opened = (
            signed if quantity * signed >= 0 else (quantity + signed if abs(signed) > abs(quantity) else Fraction(0))
        )
        if quantity + signed == 0:
            entry = Fraction(0)
        elif quantity * signed < 0 and opened:
            entry = unit
        elif opened:
            entry = (entry * quantity + unit * opened) / (quantity + opened)
        quantity += signed
        assert abs(Fraction(after.realised_pnl) - realised) < Fraction(1, 10**14)
        assert abs(Fraction(after.entry_value) - entry * quantity) < Fraction(1, 10**14)
        if quantity:
            average = 1 / (entry / 100) if kind == "inverse" else entry
            assert abs(Fraction(after.average_price) - average) <= average * Fraction(1, 10**9)


@given(trades=fills)
@exact
def test_round_trip_earns_exactly_proceeds_minus_cost(trades):
    positions, _, spot = history("spot", [(*each[:3], Decimal(0), "USDT") for each in trades])
    last = positions[-1]
    if not last.quantity:
        return
    side: Side = "sell" if last.quantity > 0 else "buy"
    quantity = format(abs(last.quantity), "f")
    closed = trade(last, apply_fill(last, fill(quantity, "50000"), side=side, instrument=spot))
    paid = sum((q * p * (1 if s == "buy" else -1) for s, q, p, _, _ in trades), Decimal(0))
    assert closed.realised_pnl == EXACT.multiply(last.quantity, Decimal(50000)) - paid
    assert (closed.quantity, closed.entry_value, closed.average_price) == (0, 0, 0)


def test_fees_cannot_be_changed_from_outside_and_the_time_is_that_of_the_event():
    spot = instrument("spot")
    position = trade(Position(ACCOUNT, spot.id), apply_fill(None, fill("1", "100"), side="buy", instrument=spot))
    assert position.updated_at == NOW
    with pytest.raises(TypeError):
        position.fees["USDT"] = Decimal(1)  # type: ignore[index]


def test_fill_may_be_worth_as_much_as_an_amount_can_be():
    spot, most = instrument("spot"), str(10**9)
    event = apply_fill(None, fill(most, most), side="buy", instrument=spot)
    assert event.entry_value == AMOUNT_MAX
    with pytest.raises(InvalidValue, match="larger than"):
        apply_fill(None, fill(most, most + ".01"), side="buy", instrument=spot)


def test_position_that_has_cost_less_than_can_be_told_has_no_average():
    inverse = instrument("inverse")
    event = apply_fill(None, fill("0.000000000000000001", "99999999"), side="buy", instrument=inverse)
    assert (event.entry_value, event.average_price, event.quantity) == (0, 0, Decimal("1E-18"))


def test_event_says_who_made_the_market_and_fees_are_kept_by_asset():
    spot, position = instrument("spot"), None
    for asset, liquidity in (("USDT", "maker"), ("BNB", "taker"), ("USDT", "maker")):
        execution = fill("1", "100", "0.1", asset).model_copy(update={"liquidity": liquidity})
        event = apply_fill(position, execution, side="buy", instrument=spot)
        assert event.liquidity == liquidity
        position = trade(position, event)
    assert position is not None
    assert dict(position.fees) == {"USDT": Decimal("0.2"), "BNB": Decimal("0.1")}
