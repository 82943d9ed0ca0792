"""Round trips: from flat to flat, whatever the fills do in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.statistics.trips import Fill, round_trips, with_excursion
from tests.support.host import PERPETUAL, SPOT

START = datetime(2026, 1, 1, tzinfo=UTC)
INVERSE = replace(PERPETUAL, id="BINANCE:BTC/USD:BTC", kind="inverse", settle="BTC", quote="USD", contract_size=100)


def fill(side, quantity, price, second=0, fee="0", *, fee_asset="USDT", instrument=PERPETUAL, label=""):
    when = START + timedelta(seconds=second)
    return Fill(instrument.id, side, Decimal(quantity), Decimal(price), Decimal(fee), fee_asset, when, label)


def test_long_trip():
    fills = [fill("buy", "2", "100", 0, "0.1"), fill("sell", "2", "110", 60, "0.2")]
    (trip,), still_open = round_trips(fills, PERPETUAL)
    assert still_open is None
    assert (trip.side, trip.quantity, trip.cost, trip.gross, trip.fees) == ("buy", 2, 200, 20, Decimal("0.3"))
    assert trip.profit == Decimal("19.7")
    assert trip.closed_at - trip.opened_at == timedelta(seconds=60)


def test_scaling_in_and_out_is_one_trip():
    fills = [fill("buy", "1", "100"), fill("buy", "1", "110"), fill("sell", "1", "120"), fill("sell", "1", "90")]
    (trip,), _ = round_trips(fills, PERPETUAL)
    assert (trip.quantity, trip.entry_price, trip.exit_price, trip.gross, trip.fills) == (2, 105, 105, 0, 4)


def test_flip_closes_one_and_opens_the_next_with_its_share_of_the_fee():
    fills = [fill("buy", "1", "100"), fill("sell", "3", "110", 1, "0.3"), fill("buy", "2", "105", 2)]
    (first, second), still_open = round_trips(fills, PERPETUAL)
    assert (first.gross, first.fees) == (10, Decimal("0.1"))
    assert (second.side, second.gross, second.fees) == ("sell", 10, Decimal("0.2"))
    assert still_open is None


def test_open_trip_is_told_apart():
    trips, still_open = round_trips([fill("sell", "1", "100", label="grid")], PERPETUAL)
    assert trips == []
    assert (still_open.side, still_open.held, still_open.label) == ("sell", 1, "grid")


def test_spot_fee_kept_in_base_makes_the_trip_smaller_and_is_a_cost():
    fills = [
        fill("buy", "1", "100", fee="0.001", fee_asset="BTC", instrument=SPOT),
        fill("sell", "0.999", "100", 1, instrument=SPOT),
    ]
    (trip,), still_open = round_trips(fills, SPOT)
    assert still_open is None
    assert (trip.gross, trip.fees) == (0, Decimal("0.1"))


def test_inverse_trip_earns_the_base_asset():
    fills = [fill("buy", "10", "50000", instrument=INVERSE), fill("sell", "10", "100000", 1, instrument=INVERSE)]
    (trip,), _ = round_trips(fills, INVERSE)
    assert trip.gross == Decimal("0.01")
    assert (trip.entry_price, trip.exit_price) == (50000, 100000)


def test_excursion_of_a_short():
    (trip,), _ = round_trips([fill("sell", "2", "100"), fill("buy", "2", "98", 5)], PERPETUAL)
    seen = with_excursion(trip, Decimal(90), Decimal(103), PERPETUAL)
    assert (seen.adverse, seen.favourable) == (-6, 20)


def test_excursion_reaches_at_least_entry_and_exit():
    (trip,), _ = round_trips([fill("buy", "1", "100"), fill("sell", "1", "98", 5)], PERPETUAL)
    seen = with_excursion(trip, Decimal(99), Decimal(99), PERPETUAL)
    assert (seen.adverse, seen.favourable) == (-2, 0)


lots = st.integers(1, 50).map(lambda lots: Decimal(lots) / 1000)
prices = st.integers(50_000, 70_000).map(Decimal)


@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), lots, prices), max_size=30))
def test_profit_of_all_trips_is_cash_flow(orders):
    """Closing what is left at the end, the trips together made exactly what came in less what went out."""
    fills = [fill(side, quantity, price, second) for second, (side, quantity, price) in enumerate(orders)]
    held = sum((one.quantity if one.side == "buy" else -one.quantity for one in fills), Decimal(0))
    if held:
        fills.append(fill("sell" if held > 0 else "buy", abs(held), "60000", len(fills)))
    trips, still_open = round_trips(fills, PERPETUAL)
    assert still_open is None
    cash = sum(one.quantity * one.price * (1 if one.side == "sell" else -1) for one in fills)
    assert sum((trip.gross for trip in trips), Decimal(0)) == cash
    assert sum(trip.fills for trip in trips) >= len(fills)


def test_trip_of_no_fills():
    assert round_trips([], PERPETUAL) == ([], None)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_third_asset_fee_is_left_to_the_ledger(side):
    fills = [fill(side, "1", "100", fee="5", fee_asset="BNB"), fill("sell" if side == "buy" else "buy", "1", "100", 1)]
    (trip,), _ = round_trips(fills, PERPETUAL)
    assert trip.fees == 0
