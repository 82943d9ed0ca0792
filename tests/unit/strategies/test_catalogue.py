"""The example strategies: when they enter, when they leave, and that their memory survives."""

from decimal import Decimal
from random import Random

import pytest

from feeds.strategies.catalog.breakout import Breakout
from feeds.strategies.catalog.grid import Grid
from feeds.strategies.catalog.mean_reversion import MeanReversion
from patriot.domain.listing import instruments
from patriot.runtime.discovery import strategies
from patriot.strategy import StrategyBar

SPOT, _, PERPETUAL, _ = instruments("BINANCE")
CATALOGUE = strategies()


def bar(close, number, *, seconds=1, low=None, high=None):
    values = (Decimal(str(value)) for value in (close, high or close, low or close, close))
    return StrategyBar(PERPETUAL.id, seconds, number * seconds * 1000, *values, Decimal(1))


def made(kind, instrument=PERPETUAL, **parameters):
    return kind(instrument, kind.Parameters.model_validate({"bar_seconds": 1, "notional": "6000", **parameters}))


def last(strategy, closes):
    intents = []
    for number, close in enumerate(closes):
        intents = list(strategy.on_bar(bar(close, number)))
    return intents


def test_catalogue_holds_the_examples():
    assert CATALOGUE.keys() >= {"ema_cross", "mean_reversion", "breakout", "grid"}
    assert all(name == kind.NAME and kind.__doc__ for name, kind in CATALOGUE.items())


NOISE = [60_000, 60_010, 59_990, 60_005, 59_995]


@pytest.mark.parametrize(("close", "side"), [(59_970, "buy"), (60_030, "sell")])
def test_mean_reversion_enters_far_from_the_mean(close, side):
    (intent,) = last(made(MeanReversion, length=5), [*NOISE, close])
    assert intent.side == side


@pytest.mark.parametrize("close", [60_005, 59_000])
def test_mean_reversion_stays_out_near_the_mean_and_beyond_the_stop(close):
    assert last(made(MeanReversion, length=5), [*NOISE, close]) == []


@pytest.mark.parametrize(("close", "leaves"), [(59_985, False), (60_000, True), (60_020, True), (59_000, True)])
def test_mean_reversion_leaves_at_the_mean_beyond_it_and_at_the_stop(close, leaves):
    strategy = made(MeanReversion, length=5)
    last(strategy, NOISE)
    strategy.on_position(Decimal("0.1"))
    intents = list(strategy.on_bar(bar(close, 9)))
    assert [(one.side, one.quantity) for one in intents] == ([("sell", Decimal("0.1"))] if leaves else [])


def test_mean_reversion_of_a_still_market_does_nothing():
    assert last(made(MeanReversion, length=3), [60_000] * 10) == []


def broken_out(trend, closes, instrument=PERPETUAL):
    strategy = made(Breakout, instrument, entry=3, exit=2, long_bars=2, trend=2)
    for number, close in enumerate(trend):
        list(strategy.on_bar(bar(close, number, seconds=2)))
    return strategy, last(strategy, closes)


def test_breakout_buys_a_new_high_in_a_rising_trend():
    _, (intent,) = broken_out([100, 110], [60_000, 60_010, 60_005, 60_011])
    assert (intent.side, intent.quantity) == ("buy", Decimal("0.099"))


def test_breakout_of_the_wrong_side_is_left():
    assert broken_out([110, 100], [60_000, 60_010, 60_005, 60_011])[1] == []
    assert broken_out([100, 110], [60_000, 60_010, 60_005, 59_999])[1] == []
    assert broken_out([110, 100], [60_000, 60_010, 60_005, 59_999], SPOT)[1] == []


def test_breakout_sells_short_in_a_falling_trend_and_leaves_at_the_opposite_extreme():
    strategy, (intent,) = broken_out([110, 100], [60_000, 60_010, 60_005, 59_999])
    assert intent.side == "sell"
    strategy.on_position(Decimal("-0.1"))
    assert list(strategy.on_bar(bar(60_001, 4))) == []
    (out,) = strategy.on_bar(bar(60_006, 5))
    assert (out.side, out.quantity) == ("buy", Decimal("0.1"))


def quotes(strategy, position="0"):
    strategy.on_position(Decimal(position))
    intents = []
    for number in range(3):
        intents = list(strategy.on_bar(bar(60_000, number, low=59_990, high=60_010)))
    return [(one.side, one.price) for one in intents]


def test_grid_rests_on_both_sides():
    strategy = made(Grid, length=3, levels=2)
    assert quotes(strategy) == [("buy", 59_980), ("buy", 59_960), ("sell", 60_020), ("sell", 60_040)]
    assert all(one.post_only for one in strategy.on_bar(bar(60_000, 9)))


def test_grid_leans_against_its_position_and_stops_at_the_maximum():
    strategy = made(Grid, length=3, levels=2, maximum_position="2", lean="1")
    leaning = quotes(strategy, "0.1")
    assert [side for side, _ in leaning] == ["buy", "sell", "sell"]
    assert leaning[1][1] < 60_020
    assert [side for side, _ in quotes(strategy, "0.2")] == ["sell", "sell"]


def test_grid_on_spot_sells_only_what_it_holds():
    strategy = made(Grid, SPOT, length=3, levels=2)
    assert {side for side, _ in quotes(strategy)} == {"buy"}


@pytest.mark.requirement("P12")
@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_memory_survives_and_goes_on_alike(kind):
    """A strategy that was saved and put back does from then on what one does that never stopped."""
    random, price, bars = Random(5), 60_000.0, []
    for number in range(400):
        price *= 1 + random.gauss(0, 0.0005)
        bars.append(bar(round(price, 1), number, low=round(price - 5, 1), high=round(price + 5, 1)))
    first, second = made(kind), made(kind)
    for one in bars[:300]:
        list(first.on_bar(one))
    second.restore(first.snapshot())
    for one in bars[300:]:
        assert list(first.on_bar(one)) == list(second.on_bar(one))
    assert first.snapshot() == second.snapshot()
    assert first.state is not made(kind).state


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_parameters_have_a_schema_and_refuse_strangers(kind):
    assert kind.Parameters.model_json_schema()["properties"].keys() >= {"bar_seconds", "notional"}
    with pytest.raises(ValueError, match="extra"):
        kind.Parameters.model_validate({"no_such": 1})
