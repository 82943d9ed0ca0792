"""After failures in a row a venue is left alone, then tried again."""

from feeds.account_data.breaker import FAILURES_MAX, OPEN_SECONDS, Breaker


def test_breaker_opens_after_failures_in_a_row_and_closes_with_time():
    now = [100.0]
    breaker = Breaker(lambda: now[0])
    assert [breaker.failed() for _ in range(FAILURES_MAX)] == [False] * (FAILURES_MAX - 1) + [True]
    assert breaker.wait_seconds == OPEN_SECONDS
    now[0] += OPEN_SECONDS
    assert breaker.wait_seconds == 0


def test_success_forgets_the_failures_before_it():
    breaker = Breaker(lambda: 0.0)
    for _ in range(FAILURES_MAX - 1):
        breaker.failed()
    breaker.succeeded()
    assert not breaker.failed()
    assert breaker.wait_seconds == 0
