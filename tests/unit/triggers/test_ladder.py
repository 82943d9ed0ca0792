"""A ladder against an oracle that looks at every stop at every tick."""

from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.triggers.domain import Terms, stop_at
from feeds.triggers.ladder import SWEEP_MIN, Ladder, Resting

pytestmark = pytest.mark.requirement("P9")


@dataclass
class Slow:
    """One stop, looked at with every tick."""

    number: int
    stop: int | None
    terms: Terms | None
    activation: int | None
    best: int | None = None

    def fires(self, price: int) -> bool:
        if self.terms is not None and (self.best is not None or self.activation is None or price >= self.activation):
            self.best = price if self.best is None else max(self.best, price)
        return self.level is not None and price <= self.level

    @property
    def level(self) -> int | None:
        found = stop_at(self.terms, self.best) if self.terms is not None and self.best is not None else None
        levels = [level for level in (self.stop, found) if level is not None]
        return max(levels, default=None)


TERMS = st.one_of(
    st.none(),
    st.builds(Terms, st.just("offset"), st.integers(1, 30)),
    st.builds(Terms, st.just("percent"), st.integers(1_000, 300_000)),
    st.builds(Terms, st.just("step"), st.integers(1, 30), st.integers(1, 10)),
    st.builds(
        lambda entry, width: Terms("break_even", ladder=((entry + width, entry),)),
        st.integers(60, 140),
        st.integers(1, 20),
    ),
)
ADD = st.tuples(
    st.just("add"), TERMS, st.one_of(st.none(), st.integers(40, 160)), st.one_of(st.none(), st.integers(60, 140))
)
TICK = st.tuples(st.just("tick"), st.integers(40, 160))
REMOVE = st.tuples(st.just("remove"), st.integers(0, 30))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(ADD, TICK, TICK, REMOVE), max_size=60), st.sampled_from([1, -1]))
def test_ladder_fires_what_the_oracle_fires_when_it_does(steps: list[tuple[object, ...]], sign: int):
    ladder, last = Ladder(), None
    slow: dict[int, Slow] = {}
    known: dict[int, Resting] = {}
    for number, step in enumerate(steps):
        match step:
            case ("add", terms, stop, activation):
                if stop is None and terms is None:
                    continue
                mirrored = [None if price is None else sign * price for price in (stop, activation)]
                known[number] = Resting(UUID(int=number), mirrored[0], terms, mirrored[1] if terms else None)
                slow[number] = Slow(number, mirrored[0], terms, mirrored[1] if terms else None)
                if last is not None and slow[number].activation is None and terms is not None:
                    slow[number].best = last
                ladder.add(known[number], last)
            case ("remove", which) if known:
                chosen = sorted(known)[int(str(which)) % len(known)]
                ladder.remove(known.pop(chosen))
                del slow[chosen]
            case ("tick", price):
                last = sign * int(str(price))
                expected = {one.number for one in slow.values() if one.fires(last)}
                levels = {number: slow[number].level for number in expected}
                fired = ladder.move(last)
                assert {one.identifier.int for one in fired} == expected
                assert len(fired) == len(expected), "each once"
                assert all(one.stop <= (levels[one.identifier.int] or 0) for one in fired)
                for gone in expected:
                    del slow[gone], known[gone]
    assert ladder.alive == len(slow)
    assert {one: resting.stop_now for one, resting in known.items()} == {one: slow[one].level for one in known}


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=200), st.integers(1, 5_000))
def test_a_stop_never_loosens(prices: list[int], distance: int):
    ladder, resting = Ladder(), Resting(UUID(int=1), terms=Terms("offset", distance))
    ladder.add(resting, prices[0])
    before = resting.stop_now
    for price in prices:
        if ladder.move(price):
            return
        assert before is not None
        assert resting.stop_now is not None
        assert resting.stop_now >= before
        before = resting.stop_now


def test_what_is_dead_is_swept_away():
    ladder = Ladder()
    for number in range(5 * SWEEP_MIN):
        resting = Resting(UUID(int=number), 100, Terms("offset", 10))
        ladder.add(resting, 1000)
        ladder.move(1000 + number)
        ladder.remove(resting)
    assert len(ladder._falls) <= SWEEP_MIN + 2
    assert len(ladder._trails["offset"]._tops) <= 2 * SWEEP_MIN


def test_a_restored_stop_goes_on_where_it_stood():
    ladder = Ladder()
    resting = Resting(UUID(int=1), 950, Terms("offset", 50), best=1000)
    ladder.add(resting, 960)
    assert resting.stop_now == 950
    assert ladder.move(951) == []
    assert [one.stop for one in ladder.move(950)] == [950]
