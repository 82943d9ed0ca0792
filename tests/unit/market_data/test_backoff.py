import random
from datetime import timedelta

from feeds.market_data.backoff import Backoff, Breaker
from feeds.market_data.timing import Timing
from patriot.runtime.clock import VirtualClock
from tests.unit.market_data.world import START

TIMING = Timing(backoff_seconds=1, backoff_seconds_max=60, breaker_failures_max=3, breaker_seconds=30)


def test_backoff_doubles_up_to_its_maximum_with_jitter():
    backoff = Backoff(TIMING, random.Random(7))
    pauses = [backoff.next_seconds() for _ in range(12)]
    for number, pause in enumerate(pauses):
        full = min(60, 2**number)
        assert full / 2 <= pause <= full
    assert len(set(pauses[6:])) == 6, "chance spreads those who failed together"


def test_backoff_begins_anew_after_a_success():
    backoff = Backoff(TIMING, random.Random(7))
    for _ in range(8):
        backoff.next_seconds()
    backoff.forget()
    assert backoff.next_seconds() <= 1


def test_backoff_survives_a_year_of_failures():
    backoff = Backoff(TIMING, random.Random(7))
    assert all(backoff.next_seconds() <= 60 for _ in range(5000))


def test_breaker_opens_after_failures_in_a_row():
    breaker = Breaker(TIMING, VirtualClock(START))
    for _ in range(2):
        breaker.failed()
    assert breaker.admits()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert breaker.admits(), "a success in between starts the count anew"
    breaker.failed()
    assert not breaker.admits()


def test_breaker_lets_one_try_at_a_time():
    clock = VirtualClock(START)
    breaker = Breaker(TIMING, clock)
    for _ in range(3):
        breaker.failed()
    clock.advance_to(START + timedelta(seconds=31))
    assert breaker.admits()
    assert not breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    clock.advance_to(START + timedelta(seconds=62))
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.admits()
    assert breaker.admits()


def test_breaker_abandoned_try_leaves_room_for_the_next():
    clock = VirtualClock(START)
    breaker = Breaker(TIMING, clock)
    for _ in range(3):
        breaker.failed()
    clock.advance_to(START + timedelta(seconds=31))
    assert breaker.admits()
    breaker.abandoned()
    assert breaker.admits()
