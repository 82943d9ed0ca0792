"""What is measured, and the tables of it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from patriot.domain.statistics.drawdowns import drawdowns
from patriot.domain.statistics.record import NOTHING, STATISTICS, Record, Trips
from patriot.domain.statistics.summary import GROUPS, summary
from patriot.domain.statistics.tables import KEYS, by_hour, by_month, grouped, histogram
from tests.support.host import PERPETUAL
from tests.unit.domain.statistics.test_trips import fill, round_trips

HOUR = 3600.0


def record(*equity, flows=NOTHING, start=datetime(2026, 1, 31, 22, tzinfo=UTC), seconds=HOUR, **more):
    times = start.timestamp() + seconds * np.arange(len(equity))
    return Record(times, np.array(equity, float), seconds, np.array(flows, float), **more)


def test_deposit_is_no_return():
    assert record(100, 210, flows=[0, 100]).returns == pytest.approx([0.1])
    assert record(100, 50, flows=[0, -50]).returns == pytest.approx([0.0])


def test_first_deposit_into_an_empty_account_is_no_return():
    assert record(0, 100, 110, flows=[0, 100, 0]).returns == pytest.approx([0.0, 0.1])


def test_nothing_says_nothing():
    figures = summary(Record(NOTHING, NOTHING, 60.0))
    assert figures.keys() == STATISTICS.keys()
    assert {name for name, figure in figures.items() if figure} == set()


def test_flat_equity_has_no_ratio():
    figures = summary(record(*[100.1] * 50))
    assert figures["sharpe_ratio"] is None
    assert figures["total_return"] == 0


@pytest.mark.parametrize("name", STATISTICS)
def test_statistic_names_group_and_formula(name):
    assert STATISTICS[name].group in GROUPS
    assert len(STATISTICS[name].text) > 20


def test_every_statistic_is_finite_or_none():
    broke = record(100, 0, 0, 5, benchmark=np.array([1.0, 2.0, 1.0, 1.0]))
    assert all(figure is None or np.isfinite(figure) for figure in summary(broke).values())


def test_drawdowns_deepest_first_and_the_open_one():
    found = drawdowns(record(100, 90, 100, 120, 60, 90))
    assert [(one.start, one.trough, one.end) for one in found] == [(3, 4, None), (0, 1, 2)]
    assert found[0].depth == pytest.approx(-0.5)


def test_months_compound_and_midnight_belongs_to_the_day_before():
    assert by_month(record(100, 110, 121, 242)) == pytest.approx({(2026, 1): 0.21, (2026, 2): 1.0})


def test_hours_compound_over_days():
    two_days = record(*[100 * 1.1**n for n in range(25)])
    assert by_hour(two_days) == pytest.approx(dict.fromkeys(range(24), 0.1))


@pytest.mark.parametrize("by", KEYS)
def test_groups_add_up(by):
    fills = [
        fill("buy", "1", "100"),
        fill("sell", "1", "110", 5),
        fill("sell", "1", "110", 7200),
        fill("buy", "1", "120", 9000),
    ]
    trips, _ = round_trips(fills, PERPETUAL)
    groups = grouped(trips, by)
    assert sum(group.trips for group in groups) == 2
    assert sum(group.profit for group in groups) == Decimal(0)
    assert sum(group.wins for group in groups) == 1


def test_groups_of_hours_are_those_of_the_entry():
    fills = [fill("buy", "1", "100", 3600), fill("sell", "1", "110", 7200)]
    trips, _ = round_trips(fills, PERPETUAL)
    assert [(group.key, group.win_rate) for group in grouped(trips, "hour")] == [("01", 1.0)]


def test_histogram_never_mixes_gains_and_losses():
    bins = histogram([-3.0, -1.0, 0.5, 2.0, 8.0])
    assert sum(count for _, _, count in bins) == 5
    assert all(low >= 0 or high <= 0 for low, high, _ in bins)
    assert histogram([]) == []
    assert sum(count for _, _, count in histogram([0.0, 0.0])) == 2


def test_trips_are_columns_in_order_of_their_end():
    fills = [fill("buy", "1", "100"), fill("sell", "1", "110", 5)]
    trips, _ = round_trips(fills, PERPETUAL)
    late = replace(trips[0], closed_at=datetime(2027, 1, 1, tzinfo=UTC), side="sell")
    columns = Trips.of([late, trips[0]])
    assert list(columns.is_long) == [True, False]
    assert columns.held[0] == 5
