"""First in, first out: which lot is sold, and that nothing is gained or lost by the division."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.lots import first_in_first_out
from patriot.domain.statistics.trips import round_trips
from tests.support.host import PERPETUAL, SPOT
from tests.unit.domain.statistics.test_trips import INVERSE, fill


@pytest.mark.requirement("T7")
def test_oldest_lot_is_sold_first():
    fills = [fill("buy", "1", "100", 0), fill("buy", "1", "200", 1), fill("sell", "1.5", "300", 2)]
    lots, disposals = first_in_first_out(fills, PERPETUAL)
    assert [(one.quantity, one.cost, one.gain) for one in disposals] == [(1, 100, 200), (Decimal("0.5"), 100, 50)]
    assert [(one.quantity, one.cost, one.price) for one in lots] == [(Decimal("0.5"), 100, 200)]
    assert disposals[0].opened_at < disposals[1].opened_at < disposals[0].closed_at


def test_fees_belong_to_cost_and_proceeds():
    fills = [fill("buy", "2", "100", 0, "4"), fill("sell", "1", "110", 1, "1")]
    (lot,), (disposal,) = first_in_first_out(fills, PERPETUAL)
    assert (disposal.cost, disposal.proceeds, disposal.gain) == (102, 109, 7)
    assert lot.cost == 102


def test_short_is_a_lot_that_was_sold_first():
    fills = [fill("sell", "1", "100", 0, "1"), fill("buy", "3", "90", 1, "3")]
    (lot,), (disposal,) = first_in_first_out(fills, PERPETUAL)
    assert (disposal.side, disposal.cost, disposal.proceeds, disposal.gain) == ("sell", 99, 91, 8)
    assert (lot.side, lot.quantity, lot.cost) == ("buy", 2, 182)


def test_inverse_gain_is_in_coins():
    fills = [fill("buy", "10", "50000", instrument=INVERSE), fill("sell", "10", "100000", 1, instrument=INVERSE)]
    _, (disposal,) = first_in_first_out(fills, INVERSE)
    assert disposal.gain == Decimal("0.01")


def test_spot_fee_in_base_leaves_a_smaller_lot():
    fills = [fill("buy", "1", "100", fee="0.001", fee_asset="BTC", instrument=SPOT)]
    (lot,), _ = first_in_first_out(fills, SPOT)
    assert (lot.quantity, lot.cost) == (Decimal("0.999"), Decimal(100))


lots = st.integers(1, 50).map(lambda lots: Decimal(lots) / 1000)
prices = st.integers(50_000, 70_000).map(Decimal)
fees = st.integers(0, 10**6).map(lambda units: str(Decimal(units) / 10**6))


@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), lots, prices, fees), max_size=30))
def test_gains_of_lots_are_profits_of_trips(orders):
    fills = [fill(side, quantity, price, second, fee) for second, (side, quantity, price, fee) in enumerate(orders)]
    held = sum((one.quantity if one.side == "buy" else -one.quantity for one in fills), Decimal(0))
    if held:
        fills.append(fill("sell" if held > 0 else "buy", abs(held), "60000", len(fills)))
    left, disposals = first_in_first_out(fills, PERPETUAL)
    trips, _ = round_trips(fills, PERPETUAL)
    assert left == []
    gained, profits = sum(one.gain for one in disposals), sum(one.profit for one in trips)
    assert abs(gained - profits) <= Decimal("1E-16")
