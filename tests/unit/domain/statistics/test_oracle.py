"""Every statistic against an independent library, to 1e-9, on real trade lists: empyrical, pandas, scipy."""

import math
from itertools import groupby

import empyrical
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from patriot.domain.statistics.record import STATISTICS
from patriot.domain.statistics.summary import summary
from tests.data import recording
from tests.unit.domain.statistics.recorded import CASH, SECONDS, replayed

RECORDINGS = ("usdm_btcusdt_20240719.gz", "usdm_btcusdt_20240808.gz", "usdm_btcusdt_20230405.dat.gz")
PERIODS = 365 * 86_400 / SECONDS
RATE = 0.03 / PERIODS
MONEY = {"rel": 1e-9, "abs": 1e-9}


@pytest.fixture(scope="module", params=RECORDINGS)
def measured(request):
    trips, record = replayed(recording(f"hftbacktest/{request.param}"))
    assert len(trips) >= 10
    return trips, record, summary(record)


def capture(returns, factor):
    """empyrical.capture with our number of periods, which it cannot be told."""
    return empyrical.cagr(returns, annualization=PERIODS) / empyrical.cagr(factor, annualization=PERIODS)


def of_returns(record):
    """What empyrical and pandas say; they are told plain series and know nothing of ours."""
    equity = pd.Series(record.equity)
    returns = equity.pct_change().dropna()
    curve = (1 + returns).cumprod()
    under = curve / curve.cummax().clip(lower=1) - 1
    given = {"annualization": PERIODS}
    sharpe = (returns - RATE).mean() / (returns - RATE).std()
    shape = 1 - stats.skew(returns) * sharpe + (stats.kurtosis(returns, fisher=False) - 1) / 4 * sharpe**2
    weighted = (returns - RATE).ewm(halflife=120)
    tail = under[under < stats.norm.ppf(0.05, under.mean(), under.std())]
    serene = (np.sqrt((under**2).sum() / (len(under) - 1))) * (-tail.mean() / returns.std())
    cagr = empyrical.cagr(returns, **given)
    drawdown = empyrical.max_drawdown(returns)
    ulcer = np.sqrt((under**2).mean())
    return {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": cagr,
        "average_return": returns.mean(),
        "median_return": returns.median(),
        "average_gain": returns[returns > 0].mean(),
        "average_shortfall": returns[returns < 0].mean(),
        "best_period": returns.max(),
        "worst_period": returns.min(),
        "positive_periods": (returns > 0).mean(),
        "annual_volatility": empyrical.annual_volatility(returns, **given),
        "annual_variance": empyrical.annual_volatility(returns, **given) ** 2,
        "downside_deviation": empyrical.downside_risk(returns, RATE, **given),
        "sharpe_ratio": empyrical.sharpe_ratio(returns, RATE, **given),
        "weighted_sharpe_ratio": (weighted.mean() / weighted.std()).iloc[-1] * math.sqrt(PERIODS),
        "sortino_ratio": empyrical.sortino_ratio(returns, RATE, **given),
        "risk_return_ratio": returns.mean() / returns.std(),
        "omega_ratio": empyrical.omega_ratio(returns, RATE, annualization=1),
        "gain_to_pain_ratio": returns.sum() / -returns[returns < 0].sum(),
        "skewness": returns.skew(),
        "kurtosis": returns.kurt(),
        "probabilistic_sharpe_ratio": stats.norm.cdf(sharpe * math.sqrt((len(returns) - 1) / shape)),
        "value_at_risk_95": empyrical.value_at_risk(returns, 0.05),
        "value_at_risk_99": empyrical.value_at_risk(returns, 0.01),
        "expected_shortfall_95": empyrical.conditional_value_at_risk(returns, 0.05),
        "tail_ratio": empyrical.tail_ratio(returns),
        "stability": empyrical.stability_of_timeseries(returns),
        "autocorrelation": returns.autocorr(),
        "max_drawdown": drawdown,
        "max_drawdown_amount": (equity - equity.cummax()).min(),
        "time_underwater": (under < 0).mean(),
        "calmar_ratio": cagr / -drawdown,
        "recovery_factor": empyrical.cum_returns_final(returns) / -drawdown,
        "ulcer_index": ulcer,
        "martin_ratio": (cagr - 0.03) / ulcer,
        "pain_index": -under.mean(),
        "pain_ratio": (cagr - 0.03) / -under.mean(),
        "serenity_index": returns.sum() / serene,
        "sterling_ratio": cagr / (-drawdown + 0.1),
        "drawdown_volatility_ratio": -drawdown / empyrical.annual_volatility(returns, **given),
        "start_equity": CASH,
        "end_equity": equity.iloc[-1],
        "turnover": record.traded / equity.mean() / (len(returns) * SECONDS / 86_400),
    }


def of_benchmark(record):
    """The same against the benchmark's prices."""
    returns = pd.Series(record.equity).pct_change().dropna()
    factor = pd.Series(record.benchmark).pct_change().dropna()
    alpha, beta = empyrical.alpha_beta(returns, factor, risk_free=RATE, annualization=PERIODS)
    cagr = empyrical.cagr(returns, annualization=PERIODS)
    up, down = factor[factor > 0].index, factor[factor < 0].index
    return {
        "benchmark_return": empyrical.cum_returns_final(factor),
        "alpha": alpha,
        "beta": beta,
        "correlation": stats.pearsonr(returns, factor)[0],
        "r_squared": stats.linregress(factor, returns).rvalue ** 2,
        "tracking_error": (returns - factor).std() * math.sqrt(PERIODS),
        "information_ratio": empyrical.excess_sharpe(returns, factor) * math.sqrt(PERIODS),
        "treynor_ratio": (cagr - 0.03) / beta,
        "up_capture": capture(returns[up], factor[up]),
        "down_capture": capture(returns[down], factor[down]),
        "batting_average": (returns > factor).mean(),
    }


def of_drawdowns(record):
    """Drawdowns found by walking, one period after the other."""
    curve = (1 + pd.Series(record.equity).pct_change().fillna(0)).cumprod()
    stretches, recoveries, depths = [], [], []
    for under, group in groupby(range(len(curve)), lambda at: curve[at] < curve[: at + 1].max()):
        inside = list(group)
        if under:
            trough = curve[inside].idxmin()
            depths.append(curve[trough] / curve[: inside[0]].max() - 1)
            stretches.append((min(inside[-1] + 1, len(curve) - 1) - (inside[0] - 1)) * SECONDS)
            recoveries += [(inside[-1] + 1 - trough) * SECONDS] if inside[-1] + 1 < len(curve) else []
    return {
        "average_drawdown": np.mean(depths),
        "max_underwater": max(stretches),
        "drawdown_recovery": max(recoveries, default=None),
    }


def frame(trips, record):
    table = pd.DataFrame(
        {
            "profit": [float(trip.profit) for trip in trips],
            "fees": [float(trip.fees) for trip in trips],
            "cost": [float(trip.cost) for trip in trips],
            "held": [(trip.closed_at - trip.opened_at).total_seconds() for trip in trips],
            "closed": [trip.closed_at.timestamp() for trip in trips],
            "long": [trip.side == "buy" for trip in trips],
            "adverse": [float(trip.adverse) for trip in trips],
            "favourable": [float(trip.favourable) for trip in trips],
        }
    )
    return table.sort_values("closed", kind="stable").reset_index(drop=True)


def of_trades(trips, record):
    """What pandas says about the list of trips."""
    table = frame(trips, record)
    profit = table.profit
    won, lost = table[profit > 0], table[profit < 0]
    win_rate, loss_rate = len(won) / len(table), len(lost) / len(table)
    payoff = won.profit.mean() / -lost.profit.mean() if len(won) and len(lost) else None
    expectancy = win_rate * (won.profit.mean() if len(won) else 0) + loss_rate * (
        lost.profit.mean() if len(lost) else 0
    )
    downside = math.sqrt((profit.clip(upper=0) ** 2).mean())
    days = (len(record.equity) - 1) * SECONDS / 86_400
    return {
        "total_trades": len(table),
        "winning_trades": len(won),
        "losing_trades": len(lost),
        "long_trades": table.long.sum(),
        "short_trades": (~table.long).sum(),
        "long_ratio": table.long.mean(),
        "short_ratio": 1 - table.long.mean(),
        "open_trades": record.open_trips,
        "total_orders": record.orders,
        "open_profit": record.open_profit,
        "trades_per_day": len(table) / days,
        "trades_per_week": len(table) / (days / 7),
        "trades_per_month": len(table) / (days / (365.25 / 12)),
        "net_profit": profit.sum(),
        "net_profit_percent": profit.sum() / CASH,
        "gross_profit": won.profit.sum(),
        "gross_loss": lost.profit.sum(),
        "total_fees": table.fees.sum(),
        "average_trade": profit.mean(),
        "median_trade": profit.median(),
        "average_win": won.profit.mean(),
        "average_loss": lost.profit.mean(),
        "largest_win": won.profit.max(),
        "smallest_win": won.profit.min(),
        "largest_loss": lost.profit.min(),
        "smallest_loss": lost.profit.max(),
        "average_win_percent": (won.profit / won.cost).mean(),
        "average_loss_percent": (lost.profit / lost.cost).mean(),
        "win_rate": win_rate,
        "loss_rate": loss_rate,
        "win_rate_long": (table[table.long].profit > 0).mean(),
        "win_rate_short": (table[~table.long].profit > 0).mean(),
        "win_loss_ratio": len(won) / len(lost),
        "profit_loss_ratio": payoff,
        "profit_factor": won.profit.sum() / -lost.profit.sum(),
        "expectancy": expectancy,
        "expectancy_ratio": None if payoff is None else win_rate * payoff - loss_rate,
        "expectancy_percent": expectancy / CASH,
        "expected_per_100_trades": expectancy * 100,
        "system_quality_number": math.sqrt(len(table)) * profit.mean() / profit.std(),
        "kelly_fraction": None if payoff is None else win_rate - loss_rate / payoff,
        "profit_deviation": profit.std(),
        "profit_downside_deviation": downside,
        "trade_sharpe_ratio": profit.mean() / profit.std(),
        "trade_sortino_ratio": profit.mean() / downside,
    }


def of_durations(trips, record):
    """How long the trips were open."""
    table = frame(trips, record)
    won, lost = table[table.profit > 0], table[table.profit < 0]
    return {
        "average_duration": table.held.mean(),
        "average_winning_duration": won.held.mean(),
        "average_losing_duration": lost.held.mean(),
        "median_duration": table.held.median(),
        "median_winning_duration": won.held.median(),
        "median_losing_duration": lost.held.median(),
    }


def of_sequences(trips, record):
    """Streaks and drawdowns by walking through the trips, as LEAN does."""
    table = frame(trips, record)
    streaks = [(sign, len(list(group))) for sign, group in groupby(np.sign(table.profit))]
    total = peak = peak_with_open = closed_drawdown = intra_drawdown = 0.0
    peak_at, longest, below = table.closed[0], None, False
    for row in table.itertuples():
        peak_with_open = max(peak_with_open, total + row.favourable)
        intra_drawdown = min(intra_drawdown, total + row.adverse - peak_with_open)
        total += row.profit
        if total >= peak:
            if below:
                longest = max(longest or 0.0, row.closed - peak_at)
            peak, peak_at, below = total, row.closed, False
        else:
            below = True
            closed_drawdown = min(closed_drawdown, total - peak)
    if below:
        longest = max(longest or 0.0, table.closed.iloc[-1] - peak_at)
    given_back = table.profit - table.favourable
    return {
        "longest_winning_streak": max((length for sign, length in streaks if sign > 0), default=0),
        "longest_losing_streak": max((length for sign, length in streaks if sign < 0), default=0),
        "current_streak": streaks[-1][0] * streaks[-1][1],
        "average_adverse_excursion": table.adverse.mean(),
        "average_favourable_excursion": table.favourable.mean(),
        "largest_adverse_excursion": table.adverse.min(),
        "largest_favourable_excursion": table.favourable.max(),
        "average_given_back": given_back.mean(),
        "largest_given_back": given_back.min(),
        "closed_trade_drawdown": closed_drawdown,
        "intra_trade_drawdown": intra_drawdown,
        "profit_to_drawdown_ratio": table.profit.sum() / -closed_drawdown if closed_drawdown else None,
        "closed_drawdown_duration": longest,
    }


def expected(trips, record):
    alone = of_returns(record) | of_benchmark(record) | of_drawdowns(record)
    return alone | of_trades(trips, record) | of_durations(trips, record) | of_sequences(trips, record)


def agrees(ours, theirs):
    if theirs is None or not math.isfinite(theirs):
        return ours is None
    return ours is not None and ours == pytest.approx(float(theirs), **MONEY)


@pytest.mark.requirement("T7")
def test_every_statistic_agrees_with_the_oracle(measured):
    trips, record, figures = measured
    with np.errstate(all="ignore"):
        told = expected(trips, record)
    assert told.keys() == STATISTICS.keys() == figures.keys()
    wrong = {name: (figures[name], told[name]) for name in told if not agrees(figures[name], told[name])}
    assert not wrong


def test_most_statistics_say_something(measured):
    """An oracle that knows nothing agrees with everything."""
    _, _, figures = measured
    silent = [name for name, figure in figures.items() if figure is None]
    assert len(silent) <= 12, silent


def test_trips_add_up_to_what_the_positions_realised(measured):
    trips, record, _ = measured
    assert float(sum(trip.fees for trip in trips)) == pytest.approx(record.trips.fees.sum(), rel=1e-12)
    assert all(trip.closed_at > trip.opened_at or trip.quantity for trip in trips)
    assert all(trip.adverse <= 0 <= trip.favourable for trip in trips)
