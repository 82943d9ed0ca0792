"""Value at risk: against scipy's distributions, a closed form, and the recorded crashes."""

import csv
import io
import math
from decimal import Decimal

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from patriot.domain.risk.backtest import backtest, christoffersen, hits_of, kupiec
from patriot.domain.risk.stress import SCENARIOS, loss, worst_loss
from patriot.domain.risk.value_at_risk import (
    CONFIDENCES,
    HORIZONS_DAYS,
    METHODS,
    daily_returns,
    growths,
    historical,
    measure,
    parametric,
)
from tests.data import recording

YEAR_2020 = "crash/binance-BTCUSDT-15m-2020-01-01_2020-07-12.csv.zst"


def candles(name: str) -> list[list[str]]:
    with zstandard.open(recording(name), "rt") as file:
        return list(csv.reader(io.StringIO(file.read())))


def closes_of_2020(every: int = 96) -> np.ndarray:
    """The last prices of each UTC day, or of as many candles of 15 minutes; the recording has gaps."""
    last = {float(row[0]) // (900 * every): float(row[4]) for row in candles(YEAR_2020)}
    return np.array([last[period] for period in sorted(last)])


@pytest.mark.requirement("P11")
def test_historical_is_the_loss_of_the_worst_share_of_days():
    profits = np.array([*range(-10, 90)], dtype=float)  # the five worst: -10 … -6
    found = historical(profits, 0.95)
    assert (found.value_at_risk, found.expected_shortfall) == (6, 8)
    assert historical(profits, 0.99) == historical(profits, 0.995)
    assert historical(profits, 0.95, days=4).value_at_risk == 12


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("days", HORIZONS_DAYS)
def test_parametric_agrees_with_the_normal_distribution(confidence: float, days: int):
    mean, deviation = 3.0, 40.0
    distribution = stats.norm(mean * days, deviation * math.sqrt(days))
    worst = distribution.ppf(1 - confidence)
    shortfall = -distribution.expect(lambda x: x, ub=worst, conditional=True)
    found = parametric(mean, deviation, confidence, days)
    assert found.value_at_risk == pytest.approx(-worst, rel=1e-12)
    assert found.expected_shortfall == pytest.approx(shortfall, rel=1e-6)


@pytest.mark.requirement("P11")
def test_monte_carlo_of_a_day_converges_to_the_parametric():
    generator = np.random.default_rng(1)
    returns = generator.multivariate_normal([0.001, 0.002], [[0.0004, 0.0001], [0.0001, 0.0009]], 5_000)
    exposures = np.array([1000.0, -400.0])
    draws = {days: growths(returns, days, seed=7, paths=100_000) for days in HORIZONS_DAYS}
    found = measure(exposures, returns, draws)
    for confidence in CONFIDENCES:
        drawn, closed = found["monte_carlo", confidence, 1], found["parametric", confidence, 1]
        assert drawn.value_at_risk == pytest.approx(closed.value_at_risk, rel=0.02)
        assert drawn.expected_shortfall == pytest.approx(closed.expected_shortfall, rel=0.02)
        assert found["historical", confidence, 1].value_at_risk == pytest.approx(closed.value_at_risk, rel=0.1)


def test_same_seed_draws_the_same_and_assets_may_move_as_one():
    one = np.random.default_rng(2).normal(0, 0.02, (100, 1))
    returns = np.hstack([one, one])
    drawn = growths(returns, 2, seed=3, paths=50)
    assert np.array_equal(drawn, growths(returns, 2, seed=3, paths=50))
    assert np.allclose(drawn[:, 0], drawn[:, 1], atol=1e-6)


@given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=300), st.sampled_from([0.9, 0.95, 0.99]))
@pytest.mark.requirement("P11")
def test_shortfall_is_never_below_value_at_risk_and_both_grow_with_confidence(profits: list[float], level: float):
    array = np.array(profits)
    found, higher = historical(array, level), historical(array, 0.999)
    assert 0 <= found.value_at_risk <= found.expected_shortfall
    assert higher.value_at_risk >= found.value_at_risk
    assert found.expected_shortfall <= max(0.0, -array.min()) + 1e-9


@pytest.mark.requirement("P11")
def test_every_method_sees_the_crash_of_2020():
    """The worst of 193 days lost 39.5 %: the historical method knows it, the normal ones are calmer."""
    returns = daily_returns(closes_of_2020())[:, None]
    draws = {days: growths(returns, days, seed=1) for days in HORIZONS_DAYS}
    found = measure(np.array([1000.0]), returns, draws)
    assert set(found) == {(way, level, days) for way in METHODS for level in CONFIDENCES for days in HORIZONS_DAYS}
    worst = -1000 * returns.min()
    assert 390 < worst < 400
    assert found["historical", 0.99, 1].expected_shortfall > found["parametric", 0.99, 1].expected_shortfall
    assert found["historical", 0.99, 1].value_at_risk < worst
    for key, risk in found.items():
        print(*key, f"VaR {risk.value_at_risk:.1f}, shortfall {risk.expected_shortfall:.1f} of 1000")


# Back-tests


def _chi2(ratio: float, degrees: int) -> float:
    return float(stats.chi2.sf(ratio, degrees))


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(("days", "failures"), [(250, 0), (250, 2), (250, 12), (1000, 50), (10, 10)])
def test_kupiec_agrees_with_the_binomial_likelihood(days: int, failures: int):
    hits = np.zeros(days, dtype=bool)
    hits[:failures] = True
    wanted = stats.binom.logpmf(failures, days, 0.05)
    seen = stats.binom.logpmf(failures, days, failures / days)
    found = kupiec(hits, 0.95)
    assert found.ratio == pytest.approx(2 * (seen - wanted), abs=1e-8)
    assert found.p_value == pytest.approx(_chi2(found.ratio, 1), rel=1e-9)


@given(st.lists(st.booleans(), min_size=2, max_size=200))
@pytest.mark.requirement("P11")
def test_christoffersen_agrees_with_the_test_of_a_two_by_two_table(days: list[bool]):
    """Independence of two successive days is what the likelihood ratio (G) test of their table asks."""
    hits = np.array(days)
    table = np.array([[np.sum(~hits[:-1] & ~hits[1:]), np.sum(~hits[:-1] & hits[1:])],
                      [np.sum(hits[:-1] & ~hits[1:]), np.sum(hits[:-1] & hits[1:])]])  # fmt: skip
    found = christoffersen(hits)
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        assert found.ratio == pytest.approx(0, abs=1e-9)
        return
    oracle = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    assert found.ratio == pytest.approx(oracle.statistic, abs=1e-8)
    assert found.p_value == pytest.approx(oracle.pvalue, abs=1e-6)


@pytest.mark.requirement("P11")
def test_backtests_tell_a_right_model_from_a_wrong_one():
    generator = np.random.default_rng(4)
    right = backtest(generator.random(2_000) < 0.05, 0.95)
    assert min(right.kupiec.p_value, right.independence.p_value, right.coverage.p_value) > 0.05
    too_many = backtest(generator.random(2_000) < 0.08, 0.95)
    assert too_many.kupiec.p_value < 0.001
    clustered = np.repeat(generator.random(400) < 0.05, 5)
    assert backtest(clustered, 0.95).independence.p_value < 0.001
    assert backtest(clustered, 0.95).coverage.p_value == pytest.approx(
        _chi2(backtest(clustered, 0.95).coverage.ratio, 2)
    )


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_value_at_risk_is_back_tested_on_the_crash_of_2020(confidence: float):
    """Four hours at a time. Losses come in clusters when markets crash: independence is rejected, as it should be."""
    profits = daily_returns(closes_of_2020(every=16))
    found = backtest(hits_of(profits, confidence, window=250), confidence)
    print(
        f"{confidence:.0%}: {found.exceptions} exceptions of {found.expected:.1f} expected in {found.days} periods;"
        f" Kupiec p {found.kupiec.p_value:.3f}, Christoffersen p {found.independence.p_value:.4f},"
        f" both p {found.coverage.p_value:.4f}"
    )
    assert found.days == profits.size - 250
    assert 0.3 < found.exceptions / found.expected < 3


# Stress


def worst_fall(rows: list[tuple[float, float, float]], hours: int) -> float:
    """From (seconds, high, low): the worst fall from a high to a low at most so many hours later."""
    worst, highs = 0.0, list[tuple[float, float]]()
    for at, high, low in rows:
        while highs and highs[0][0] < at - hours * 3600:
            highs.pop(0)
        if highs:
            worst = max(worst, 1 - low / highs[0][1])
        while highs and highs[-1][1] <= high:
            highs.pop()
        highs.append((at, high))
    return worst


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenarios_are_what_was_recorded(scenario):
    if scenario.source.startswith("Binance BTC"):
        rows = [(float(row[0]), float(row[2]), float(row[3])) for row in candles(YEAR_2020)]
    elif scenario.since.year == 2023:
        name = "crash/binance_us-BTCUSDT_1m_20230301_20230321.csv.zst"
        rows = [(60.0 * n, float(row[2]), float(row[3])) for n, row in enumerate(candles(name)[1:])]
    else:
        days = ("2018-11-19", "2018-11-20") if scenario.since.year == 2018 else ("2017-12-22",)
        found = [row for day in days for row in candles(f"crash/bitfinex-BTCUSD-1m-{day}.csv.zst")[1:]]
        rows = [(float(row[0]) / 1000, float(row[3]), float(row[4])) for row in found]
    assert worst_fall(rows, scenario.hours) == pytest.approx(float(scenario.fall), abs=0.0001)


@pytest.mark.requirement("P11")
def test_stress_hits_long_and_short_alike():
    crash = max(SCENARIOS, key=lambda scenario: scenario.fall)
    long, short = {"BTC": Decimal(1000)}, {"BTC": Decimal(-1000)}
    assert loss(long, crash) == Decimal("513.2")
    assert loss(short, crash) == Decimal("-513.2")
    assert worst_loss(long) == worst_loss(short) == Decimal("513.2")
    assert loss({"ETH": Decimal(100)}, crash, {"ETH": Decimal("1.5")}) == Decimal("76.98")
    assert worst_loss({"BTC": Decimal(100), "ETH": Decimal(-100)}) == worst_loss({}) == 0
