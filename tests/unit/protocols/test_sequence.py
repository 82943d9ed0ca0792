"""The one rule of sequence.py, as each venue uses it, and under loss, repetition and reorder."""

import random

import pytest

from patriot.domain.book import OrderBook
from patriot.protocols.events import Cause, Event, Resync
from patriot.protocols.market import BookDelta, BookSnapshot
from patriot.protocols.sequence import BookSequence, before


def resync(cause: Cause, detail: str) -> Resync:
    return Resync("X", cause, detail)


def delta(first: int, last: int, previous: int = -1) -> BookDelta:
    return BookDelta("X", [], [], first, last, previous, 0)


def snapshot(sequence: int) -> BookSnapshot:
    return BookSnapshot("X", [], [], sequence, 0)


def causes(events: list[Event]) -> list[str]:
    return [event.cause for event in events if isinstance(event, Resync)]


def test_spot_buffers_until_the_snapshot_then_applies_what_follows() -> None:
    sequence = BookSequence(resync)
    assert causes(list(sequence.delta(delta(157, 160)))) == ["no_snapshot"]
    assert sequence.delta(delta(161, 165)) == ()
    assert sequence.delta(delta(166, 167)) == ()
    assert sequence.snapshot(snapshot(162)) == (snapshot(162), delta(161, 165), delta(166, 167))
    assert (sequence.applied, sequence.dropped) == (167, 1)


def test_spot_live_stream_drops_old_and_applies_next() -> None:
    sequence = BookSequence(resync)
    sequence.snapshot(snapshot(100))
    assert sequence.delta(delta(90, 100)) == ()
    assert sequence.delta(delta(101, 103)) == (delta(101, 103),)
    assert sequence.delta(delta(101, 103)) == ()
    assert sequence.dropped == 2


def test_futures_first_diff_may_begin_after_a_snapshot_of_another_symbols_id() -> None:
    """Ids of futures count all symbols: nothing of this symbol lies between pu and U."""
    sequence = BookSequence(resync)
    assert sequence.snapshot(snapshot(150)) == (snapshot(150),)
    assert sequence.delta(delta(160, 170, previous=140)) == (delta(160, 170, previous=140),)
    assert sequence.delta(delta(200, 210, previous=170)) == (delta(200, 210, previous=170),)


def test_gap_asks_once_and_recovers_with_the_next_snapshot() -> None:
    sequence = BookSequence(resync)
    sequence.snapshot(snapshot(100))
    assert causes(list(sequence.delta(delta(103, 105)))) == ["gap"]
    assert sequence.delta(delta(106, 107)) == ()
    assert sequence.snapshot(snapshot(104)) == (snapshot(104), delta(103, 105), delta(106, 107))


def test_snapshot_older_than_the_buffer_is_asked_for_again() -> None:
    sequence = BookSequence(resync)
    sequence.delta(delta(110, 112))
    assert causes(list(sequence.snapshot(snapshot(105)))) == ["snapshot_too_old"]
    assert sequence.snapshot(snapshot(109)) == (snapshot(109), delta(110, 112))


def test_snapshot_behind_a_live_book_is_ignored() -> None:
    sequence = BookSequence(resync)
    sequence.snapshot(snapshot(100))
    sequence.delta(delta(101, 103))
    assert sequence.snapshot(snapshot(102)) == ()
    assert sequence.applied == 103


def test_gap_inside_the_buffer_is_found_when_the_snapshot_comes() -> None:
    sequence = BookSequence(resync)
    sequence.delta(delta(101, 102))
    sequence.delta(delta(105, 106))
    events = list(sequence.snapshot(snapshot(100)))
    assert events[:2] == [snapshot(100), delta(101, 102)]
    assert causes(events) == ["gap"]
    assert sequence.snapshot(snapshot(104)) == (snapshot(104), delta(105, 106))


def test_snapshot_between_two_runs_of_diffs_is_too_old_for_the_second() -> None:
    sequence = BookSequence(resync)
    sequence.delta(delta(101, 102))
    sequence.delta(delta(110, 112))
    assert causes(list(sequence.snapshot(snapshot(105)))) == ["snapshot_too_old"]
    assert sequence.snapshot(snapshot(109)) == (snapshot(109), delta(110, 112))
    assert sequence.dropped == 1


def test_buffer_is_bounded() -> None:
    sequence = BookSequence(resync, buffer_max=3)
    seen = [causes(list(sequence.delta(delta(number, number)))) for number in range(1, 6)]
    assert seen == [["no_snapshot"], [], [], ["overflow"], []]
    assert sequence.snapshot(snapshot(3)) == (snapshot(3), delta(4, 4), delta(5, 5))


def test_in_band_snapshots_need_no_buffer_and_may_start_lower() -> None:
    sequence = BookSequence(resync, buffer_max=0)
    assert causes(list(sequence.delta(delta(7, 7, previous=6)))) == ["no_snapshot"]
    assert sequence.delta(delta(8, 8, previous=7)) == ()
    assert sequence.restart(snapshot(50)) == (snapshot(50),)
    assert sequence.delta(delta(51, 51, previous=50)) == (delta(51, 51, previous=50),)
    assert sequence.restart(snapshot(1)) == (snapshot(1),)
    assert sequence.delta(delta(2, 2, previous=1)) == (delta(2, 2, previous=1),)
    assert sequence.dropped == 2


def test_before_is_previous_or_one_less_than_first() -> None:
    assert before(delta(5, 9)) == 4
    assert before(delta(5, 9, previous=2)) == 2


@pytest.mark.requirement("P6")
@pytest.mark.parametrize("futures", [False, True])
def test_book_under_loss_repetition_and_reorder_equals_an_oracle(*, futures: bool) -> None:
    """1e5 diffs; 1 % lost, 1 % twice, 1 % late. Whenever the sequence says it is live, the book is the truth."""
    rng = random.Random(20240808 + futures)
    truth: dict[int, dict[int, int]] = {0: {}, 1: {}}
    sequence, book = BookSequence(resync), OrderBook("X")
    update, late, compared, resyncs = 1000, None, 0, 0

    def handle(events: list[Event]) -> None:
        nonlocal resyncs
        for event in events:
            if isinstance(event, Resync):
                resyncs += 1
                image = [sorted(side.items(), reverse=not number) for number, side in truth.items()]
                handle(list(sequence.snapshot(BookSnapshot("X", image[0], image[1], update, 0))))
            elif isinstance(event, BookSnapshot | BookDelta):
                book.apply(event)

    for number in range(100_000):
        first = update + (rng.randrange(1, 4) if futures else 1)
        last = first + rng.randrange(3)
        changes: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for _ in range(rng.randrange(4)):
            side = rng.randrange(2)
            price = rng.randrange(1, 50) if side == 0 else rng.randrange(51, 100)
            changes[side].append((price, rng.choice((0, 0, 1, 2, 3))))
        for side, levels in enumerate(changes):
            for price, quantity in levels:
                truth[side][price] = quantity
                if not quantity:
                    del truth[side][price]
        message = BookDelta("X", changes[0], changes[1], first, last, update if futures else -1, 0)
        update = last
        fate = rng.random()
        if fate < 0.01:
            continue
        if fate < 0.02:
            late = message
            continue
        handle(list(sequence.delta(message)))
        if fate < 0.03:
            handle(list(sequence.delta(message)))
        if late is not None and fate > 0.9:
            late = handle(list(sequence.delta(late)))
        if sequence.applied == update and not number % 7:
            compared += 1
            assert book.bids == truth[0]
            assert book.asks == truth[1]
            assert not book.crossed
            assert book.best_bid() == (max(truth[0].items()) if truth[0] else None)
            assert book.best_ask() == (min(truth[1].items()) if truth[1] else None)
    assert compared > 10_000
    assert resyncs > 1_000
