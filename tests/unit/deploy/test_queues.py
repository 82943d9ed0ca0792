"""The simulation behind the capacity table: it agrees with theory where there is one, and the runbook with it."""

import re
from itertools import pairwise

import pytest

from patriot.deploy.__main__ import ROOT
from patriot.deploy.capacity import BASE_EVENTS, BASE_USERS, EVENT_SECONDS, EVENTS_PER_ORDER, FACTORS, document
from patriot.deploy.queues import SESSION_SECONDS, USE_MAX, Load, rates_of, recovery, size, waits

pytestmark = pytest.mark.requirement("B13", "P19", "P20")


def load(factor: float) -> Load:
    return Load(BASE_EVENTS * factor, int(BASE_USERS * factor), EVENTS_PER_ORDER, EVENT_SECONDS)


@pytest.mark.parametrize("use", [0.3, 0.5, 0.7])
def test_mean_wait_is_that_of_the_theory(use: float):
    """Poisson arrivals, exponential service, one server: use / (1 - use) service times."""
    found = waits(use / EVENT_SECONDS, EVENT_SECONDS, 300)
    assert sum(found) / len(found) == pytest.approx(EVENT_SECONDS * use / (1 - use), rel=0.1)


@pytest.mark.parametrize("use", [0.3, 0.5, 0.7])
def test_backlog_of_a_killed_consumer_is_worked_off_with_what_is_left(use: float):
    assert recovery(use / EVENT_SECONDS, EVENT_SECONDS) == pytest.approx(SESSION_SECONDS / (1 - use), rel=0.15)


def test_partitions_share_all_the_events_and_nobody_passes_the_limit():
    rates = rates_of(load(10), 48)
    assert sum(rates) == pytest.approx(BASE_EVENTS * 10)
    assert max(rates) > 1.2 * min(rates), "users are not alike"
    alone = rates_of(Load(10_000, 1, EVENTS_PER_ORDER, EVENT_SECONDS), 6)
    assert max(alone) == 10_000, "one user's events stay in one partition"


def test_more_load_needs_more_partitions_and_stays_in_time():
    found = [size(load(factor)) for factor in FACTORS]
    assert all(less.partitions < more.partitions for less, more in pairwise(found))
    assert all(one.use <= USE_MAX for one in found)
    with pytest.raises(ValueError, match="do not carry"):
        size(Load(10_000, 1, EVENTS_PER_ORDER, EVENT_SECONDS))


def test_runbook_names_the_partitions_of_the_table():
    rows = {cells[1]: cells for line in document().splitlines() if len(cells := re.split(r" ?\| ?", line)) == 12}
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    for factor in ("3×", "10×"):
        (told,) = re.findall(rf"- \*\*{factor}\*\*: (\d+) partitions for order topics", text)
        assert told == rows[factor][3]
