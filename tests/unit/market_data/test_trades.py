from hypothesis import given
from hypothesis import strategies as st

from feeds.market_data.trades import HELD_MAX, SEEN_MAX, TradeLog
from patriot.protocols.market import Trade


def trade(number, time_ms=None):
    return Trade("BINANCE:BTC/USDT", 100, 1, False, str(number), number if time_ms is None else time_ms)


def ids(trades):
    return [int(one.trade_id) for one in trades]


def test_trade_log_passes_trades_in_order():
    log = TradeLog(contiguous=True)
    assert ids([one for number in (1, 2, 3) for one in log.accept(trade(number))]) == [1, 2, 3]


def test_trade_log_drops_a_repeated_trade():
    log = TradeLog(contiguous=False)
    log.accept(trade(1))
    assert log.accept(trade(1)) == ()


def test_trade_log_holds_after_a_hole_and_releases_in_order():
    log = TradeLog(contiguous=True)
    log.accept(trade(1))
    assert log.accept(trade(4)) == ()
    assert log.is_held
    assert log.accept(trade(5)) == ()
    assert ids(log.fill([trade(2), trade(3), trade(4)])) == [2, 3, 4]
    assert log.is_closed
    assert ids(log.release(())) == [5]
    assert log.missed == 0


def test_trade_log_hole_among_the_waiting_trades_is_known():
    log = TradeLog(contiguous=True)
    for number in (1, 3, 5):
        log.accept(trade(number))
    log.fill([trade(2)])
    assert not log.is_closed
    log.fill([trade(3), trade(4)])
    assert log.is_closed
    assert ids(log.release(())) == [5]
    assert log.missed == 0


def test_trade_log_counts_what_stays_missing():
    log = TradeLog(contiguous=True)
    log.accept(trade(1))
    log.accept(trade(5))
    log.fill([trade(2)])
    assert not log.is_closed
    assert ids(log.release(())) == [5]
    assert log.missed == 2


def test_trade_log_numbering_that_starts_anew_is_no_repetition():
    log = TradeLog(contiguous=True)
    for number in range(1, 10):
        log.accept(trade(number))
    assert ids(log.accept(trade(1, time_ms=5000))) == [1]
    assert ids(log.accept(trade(2, time_ms=5001))) == [2]


def test_trade_log_does_not_tell_history_as_news():
    log = TradeLog(contiguous=False)
    log.accept(trade(50))
    log.hold()
    assert ids(log.release([trade(number) for number in range(40, 53)])) == [51, 52]


def test_trade_log_waiting_is_bounded():
    log = TradeLog(contiguous=False)
    log.accept(trade(1))
    log.hold()
    told = [one for number in range(2, HELD_MAX + 2) for one in log.accept(trade(number))]
    assert len(told) == HELD_MAX
    assert not log.is_held


def test_trade_log_memory_is_bounded():
    log = TradeLog(contiguous=True)
    for number in range(1, 3 * SEEN_MAX):
        log.accept(trade(number))
    assert len(log._seen) == len(log._order) == SEEN_MAX


@given(
    st.lists(st.sampled_from(["stream", "lose", "cut"]), min_size=1, max_size=60),
    st.integers(0, 3),
)
def test_trade_log_tells_every_trade_once_whatever_is_lost(steps, repeats):
    """Whatever the stream loses, repeats or cuts: with a REST that has all, everything is told once, in order."""
    log, told, printed = TradeLog(contiguous=True), [], []
    told += log.accept(trade(1))
    printed.append(trade(1))
    for step in steps:
        printed.append(trade(len(printed) + 1))
        if step == "cut":
            log.hold()
        if step != "lose":
            for one in printed[-1 - repeats :]:  # a second connection repeats
                if one is printed[-1] or not log.is_held:
                    told += log.accept(one)
        if log.is_held:
            told += log.fill(printed[log.last_id :])
            told += log.release(())
    log.hold()
    told += log.release(printed[log.last_id :])
    assert ids(told) == list(range(1, len(printed) + 1))
    assert log.missed == 0
