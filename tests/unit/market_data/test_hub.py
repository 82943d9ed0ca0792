"""The hub: conflation, staleness, books that are not shown, bars."""

from dataclasses import replace
from datetime import timedelta

import pytest

from feeds.market_data.hub import LATENESS_MS, REFRESH_SECONDS, MarketHub
from feeds.market_data.market import TRADES_MAX, Top
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from tests.unit.market_data.world import BTC, ETH, START

START_MS = int(START.timestamp() * 1000)


class Flushed:
    """A hub and the time."""

    def __init__(self):
        self.hub = MarketHub(60)
        self.hub.define(BTC)
        self.seconds = 0.0

    def __call__(self, *messages, after=0.1):
        for message in messages:
            self.hub.on_market(message)
        self.seconds += after
        return self.hub.collect(START + timedelta(seconds=self.seconds), self.seconds)


@pytest.fixture
def flush():
    return Flushed()


def quote(bid, ask, *, sequence=1, time_ms=0):
    return Quote(BTC.id, bid, 1, ask, 1, sequence, time_ms)


def trade(price, number=1, time_ms=START_MS):
    return Trade(BTC.id, price, 10, False, str(number), time_ms)


def snapshot(bids=((100, 1),), asks=((101, 1),), sequence=10, time_ms=0):
    return BookSnapshot(BTC.id, list(bids), list(asks), sequence, time_ms)


def delta(bids=(), asks=(), *, first=11, last=None, time_ms=0):
    return BookDelta(BTC.id, list(bids), list(asks), first, last or first, -1, time_ms)


@pytest.mark.requirement("P13")
def test_hub_conflates_prices_between_two_flushes(flush):
    due = flush(*(quote(100 + number, 200 + number, sequence=number) for number in range(50)))
    assert [(price.top, price.stale) for price in due.prices] == [(Top(149, 249), False)]
    assert flush().prices == []


def test_hub_price_without_change_is_told_again_before_it_runs_out(flush):
    flush(quote(100, 200))
    assert flush(after=REFRESH_SECONDS - 0.2).prices == []
    assert len(flush(after=0.3).prices) == 1


def test_hub_as_of_is_when_the_instrument_was_last_heard(flush):
    flush(quote(100, 200))
    due = flush(after=REFRESH_SECONDS + 1)
    assert due.prices[0].as_of == START + timedelta(seconds=0.1)


@pytest.mark.requirement("P6")
def test_hub_silent_instrument_becomes_stale_and_says_so(flush):
    flush(quote(100, 200))
    assert flush(after=59).became_stale == []
    due = flush(after=2)
    assert due.became_stale == [BTC.id]
    assert due.prices[-1].stale
    assert flush(after=11).prices[0].stale, "as long as it lasts"
    due = flush(quote(100, 201))
    assert not due.prices[0].stale
    assert due.became_stale == []


def test_hub_one_instrument_may_be_stale_while_others_live(flush):
    flush.hub.define(ETH)
    flush(quote(100, 200), Quote(ETH.id, 1, 1, 2, 1, 1, 0))
    for _ in range(13):
        due = flush(Quote(ETH.id, 1, 1, 2, 1, 1, 0), after=5)
    assert flush.hub.is_stale(BTC.id)
    assert not flush.hub.is_stale(ETH.id)
    assert {price.instrument.id for price in due.prices if price.stale} <= {BTC.id}


def test_hub_top_of_book_is_the_newer_of_book_and_quote(flush):
    assert flush(snapshot()).prices[0].top == Top(100, 101)
    assert flush(quote(99, 101, sequence=9)).prices[0].top == Top(100, 101)
    assert flush(quote(99, 102, sequence=12)).prices[0].top == Top(99, 102)
    assert flush(delta([(98, 1), (100, 0)], first=11, last=13)).prices[0].top == Top(98, 101)


def test_hub_top_of_book_compares_times_where_there_are_some(flush):
    flush(snapshot(sequence=1_000_000, time_ms=5))
    assert flush(quote(99, 102, sequence=3, time_ms=6)).prices[0].top == Top(99, 102)
    assert flush(quote(98, 102, sequence=4, time_ms=4)).prices[0].top == Top(100, 101)


def test_hub_crossed_book_is_not_shown_and_asked_for_again(flush):
    flush(snapshot())
    due = flush(delta([(105, 1)]))
    assert due.to_resync == [BTC.id]
    assert due.prices[-1].top == Top(100, 101), "the last that could be true"
    image = flush.hub.book(BTC.id, 5)
    assert (image.bids, image.asks, image.in_sync, image.stale) == ([], [], False, True)
    due = flush(snapshot([(105, 1)], [(106, 1)], sequence=20), after=0.3)
    assert due.books[-1].in_sync
    assert not due.books[-1].stale


def test_hub_gap_in_the_diffs_is_not_shown_and_asked_for_again(flush):
    flush(snapshot())
    assert flush(delta([(99, 1)], first=13)).to_resync == [BTC.id]
    assert not flush.hub.book(BTC.id, 5).in_sync
    assert flush(delta([(98, 1)], first=14)).to_resync == [], "asked once"
    assert not flush.hub.book(BTC.id, 5).in_sync, "diffs without a snapshot make no book"


def test_hub_book_that_begins_with_its_first_update_needs_no_snapshot(flush):
    flush(delta([(100, 1)], [(101, 1)], first=1), delta([(99, 1)], first=2))
    assert flush.hub.book(BTC.id, 5).in_sync
    assert flush.hub.book(BTC.id, 5).bids == [(100, 1), (99, 1)]


def test_hub_crossed_quote_is_not_shown(flush):
    flush(quote(100, 101))
    assert flush(quote(102, 101, sequence=2)).prices[0].top == Top(100, 101)


def test_hub_book_snapshots_are_conflated_and_cut(flush):
    levels = [(1000 - number, 1) for number in range(50)]
    assert len(flush(snapshot(levels, [(1001, 1)])).books[0].bids) == 20
    told = [flush(delta([(1000, number + 1)], first=11 + number), after=0.1).books for number in range(10)]
    assert [len(books) for books in told] == [0, 0, 1, 0, 0, 1, 0, 0, 1, 0]


def test_hub_trades_are_handed_out_once(flush):
    due = flush(trade(100, 1), trade(101, 2))
    assert [one.trade_id for one in due.trades[0][1]] == ["1", "2"]
    assert due.prices[0].last == 101
    assert flush().trades == []


def test_hub_trades_alone_make_a_price(flush):
    assert flush(trade(100)).prices[0].top == Top(100, 100)


def test_hub_waiting_trades_are_bounded_and_the_oldest_go(flush):
    due = flush(*(trade(100, number) for number in range(TRADES_MAX + 5)))
    trades = due.trades[0][1]
    assert len(trades) == TRADES_MAX
    assert trades[-1].trade_id == str(TRADES_MAX + 4)
    assert next(iter(flush.hub)).dropped_trades == 5


def test_hub_mark_price_and_ticker(flush):
    flush(Ticker(BTC.id, 55, 1, 1, 1, 1, 0))
    due = flush(MarkPrice(BTC.id, 100, 100, "0", 0, 0), quote(99, 101))
    assert (due.prices[0].mark, due.prices[0].last) == (100, 55)


def test_hub_bar_closes_after_its_end_also_without_a_trade(flush):
    due = flush(trade(100), trade(120, 2), trade(110, 3))
    assert due.bars == []
    due = flush(after=1 + LATENESS_MS / 1000)
    assert due.bars == [(BTC, [Bar(BTC.id, 1, START_MS, 100, 120, 100, 110, 30, 3, closed=True)])]
    assert [bar.closed for bar in flush.hub.bars(BTC.id, 60, 10)] == [False]
    flush(trade(90, 4, START_MS + 60_000), after=60)
    assert [(bar.close, bar.closed) for bar in flush.hub.bars(BTC.id, 60, 10)] == [(110, True), (90, False)]


def test_hub_history_of_bars_is_bounded(flush):
    for number in range(600):
        flush(trade(100, number, START_MS + number * 1000), after=1)
    assert len(flush.hub.bars(BTC.id, 1, 10_000)) == 501


def test_hub_instrument_without_a_definition_waits_for_it(flush):
    assert flush(Quote(ETH.id, 1, 1, 2, 1, 1, 0)).prices == []
    assert flush.hub.undefined() == [ETH.id]
    flush.hub.define(ETH)
    assert [price.instrument for price in flush().prices] == [ETH]


def test_hub_changed_scale_forgets_what_was_counted_in_the_old_one(flush):
    flush(snapshot(), trade(100))
    finer = replace(BTC, price_decimals=4, version=2)
    flush.hub.define(finer)
    assert flush(after=REFRESH_SECONDS + 1).prices == []
    assert not flush.hub.book(BTC.id, 5).in_sync
    assert flush(quote(10_000, 10_100)).prices[0].instrument is finer


def test_hub_new_version_in_the_same_scale_keeps_everything(flush):
    flush(snapshot())
    flush.hub.define(replace(BTC, maker_fee=BTC.taker_fee + 1, version=2))
    assert flush.hub.book(BTC.id, 5).in_sync


def test_hub_forgotten_instrument_does_not_come_back_with_a_late_message(flush):
    flush(quote(100, 101))
    flush.hub.forget(BTC.id)
    assert flush(quote(100, 102)).prices == []
    assert flush.hub.book(BTC.id, 5) is None
    flush.hub.define(BTC)
    assert flush(quote(100, 102)).prices[0].top == Top(100, 102)
