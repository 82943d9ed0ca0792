"""The whole platform in virtual time: whatever is lost, doubled, late or killed, from any seed, every rule holds."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import pytest
import structlog

from tests.simulation.many import quiet, run, run_many
from tests.simulation.planted import BUGS, Bug
from tests.simulation.robots import TURNS, Kind, seeds_of
from tests.simulation.world import Result

SEEDS = int(os.environ.get("PATRIOT_SEEDS", "10000"))
FIRST = int(os.environ.get("PATRIOT_SEED", "0"))
TOGETHER, ALONE = 40, 6
SEEDS_PER_BUG = 1000

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def results() -> Sequence[Result]:
    started, cores = time.perf_counter(), os.cpu_count() or 1
    played = list(run_many(range(FIRST, FIRST + SEEDS)))
    seconds = time.perf_counter() - started
    orders, faults, crashes = (sum(getattr(one, name) for one in played) for name in ("orders", "faults", "crashes"))
    print(
        f"\nseeds {FIRST} to {FIRST + SEEDS - 1}: {orders} orders, {crashes} crashes, {faults} venue faults, "
        f"{sum(one.seconds for one in played) / 3600:.1f} h of virtual time in {seconds:.0f} s, "
        f"{orders / seconds / cores:.0f} order journeys per second and core; "
        f"seeds with problems: {[one.seed for one in played if one.problems]}"
    )
    return played


@pytest.mark.requirement("P8", "P9", "B3", "B11", "B12", "A5", "A6")
def test_every_rule_holds_from_every_seed(results: Sequence[Result]) -> None:
    assert {one.seed: one.problems for one in results if one.problems} == {}


def test_the_runs_are_worth_their_time(results: Sequence[Result]) -> None:
    assert sum(one.orders for one in results) > SEEDS
    assert sum(one.crashes for one in results) > SEEDS / 4
    assert sum(one.faults for one in results) > SEEDS / 4
    assert sum(one.children for one in results) > SEEDS / TURNS
    assert sum(one.signals for one in results) > SEEDS / TURNS / 2


@pytest.mark.requirement("P2")
def test_a_seed_repeats_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone or after others, and whatever order the interpreter gives to its sets of texts."""
    seeds = range(FIRST, FIRST + TOGETHER)
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    forwards, alone = _digests(seeds), _digests(seeds[:ALONE], fresh=True)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert _digests(seeds[::-1]) == forwards
    assert alone.items() <= forwards.items()


def _digests(seeds: Sequence[int], *, fresh: bool = False) -> dict[int, str]:
    return {one.seed: one.digest for one in run_many(seeds, fresh=fresh)}


@pytest.fixture
def silence() -> Iterator[None]:
    quiet()
    yield
    structlog.reset_defaults()
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize(("planted", "kind"), BUGS.values(), ids=BUGS.keys())
def test_planted_bug_is_found(planted: Bug, kind: Kind) -> None:
    for seed in islice(seeds_of(kind), SEEDS_PER_BUG):
        if run(seed, bug=planted).problems:
            print(f"found by seed {seed}")
            return
    pytest.fail(f"{SEEDS_PER_BUG} seeds have not noticed")
