"""The synthetic market: alive, deep, deterministic, indifferent to customers."""

import hashlib
from decimal import Decimal
from itertools import pairwise

import pytest

from feeds.venue.clearing import total_money
from feeds.venue.events import EVERY
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderStatus, OrderType, Side
from feeds.venue.synthetic import PAST_DAYS, SyntheticMarket
from patriot.domain.listing import instruments

START_MS = 1_700_000_000_000
SPOT = "BINANCE:BTC/USDT"
PERPETUAL = "BINANCE:BTC/USDT:USDT"


class Live:
    def __init__(self, seed: int, venue: str = "BINANCE") -> None:
        self.now_ms = START_MS
        self.exchange = Exchange(venue, instruments(venue), lambda: self.now_ms)
        self.market = SyntheticMarket(self.exchange, seed)
        self.heard: list[object] = []
        self.exchange.on_market(EVERY, self.heard.append)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.now_ms += 100
            self.market.step()

    def digest(self) -> str:
        return hashlib.sha256(repr(self.heard).encode()).hexdigest()


def test_one_seed_gives_one_market():
    first, second, other = Live(7), Live(7), Live(8)
    for live in (first, second, other):
        live.run(150)
    assert first.digest() == second.digest() != other.digest()


@pytest.mark.parametrize("venue", ["BINANCE", "BYBIT"])
def test_books_are_deep_and_never_crossed_after_any_step(venue):
    live = Live(3, venue)
    for _ in range(300):
        live.run(1)
        for instrument in live.exchange.instruments:
            book = live.exchange.book(instrument.id)
            assert len(book.bids) >= 8
            assert len(book.asks) >= 8
            assert book.bids[0][0] < book.asks[0][0]
            assert book.bids[-1][0] < book.bids[0][0] * 0.96
    assert all(live.exchange.recent_trades(instrument.id) for instrument in live.exchange.instruments)


def test_prices_do_not_depend_on_customers():
    alone, visited = Live(5), Live(5)
    customer = visited.exchange.open_account("customer")
    visited.exchange.deposit(customer, "spot", "USDT", Decimal(10_000_000))
    request = NewOrder(instrument_id=SPOT, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.5"))
    for _ in range(100):
        alone.run(1)
        visited.run(1)
        visited.exchange.create(customer, request)
        for instrument in alone.exchange.instruments:
            assert alone.market.fair_price(instrument) == visited.market.fair_price(instrument)


def test_a_customers_resting_order_is_filled_by_the_flow():
    live = Live(9)
    live.run(5)
    customer = live.exchange.open_account("customer")
    live.exchange.deposit(customer, "spot", "USDT", Decimal(100_000))
    quote = live.exchange.quote(SPOT)
    best = live.exchange.instrument(SPOT).price_of(quote.bid + 1)
    order = live.exchange.create(
        customer,
        NewOrder(instrument_id=SPOT, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.001"), price=best),
    )
    live.run(600)
    assert order.status is OrderStatus.FILLED


def test_the_perpetual_has_mark_index_and_funding():
    live = Live(2)
    live.run(50)
    mark = live.exchange.mark_price(PERPETUAL)
    assert abs(mark.mark - mark.index) < mark.index // 1000
    assert abs(Decimal(mark.funding_rate)) <= Decimal("0.0005")
    assert mark.next_funding_ms > live.now_ms


def test_money_is_conserved_across_a_funding():
    live = Live(4)
    live.run(20)
    live.now_ms = live.exchange.mark_price(PERPETUAL).next_funding_ms - 500
    live.run(20)
    assert set(total_money(live.exchange._clearing).values()) == {0}, "nothing was paid in"


def test_a_base_without_a_known_price_starts_at_100():
    from dataclasses import replace

    odd = replace(instruments("BINANCE")[0], id="BINANCE:ODD/USDT", base="ODD")
    market = SyntheticMarket(Exchange("BINANCE", [odd], lambda: START_MS), 1)
    market.step()
    assert abs(market.fair_price(odd) - 100) < 1


def test_makers_are_heard_by_those_who_name_them_only():
    live = Live(7)
    everyone, maker = [], []
    live.exchange.on_account(EVERY, everyone.append)
    live.exchange.on_account("maker-1", maker.append)
    live.run(5)
    assert maker
    assert {event.account for event in everyone} == {"fees"}


def test_past_is_a_year_of_days_that_leads_to_the_start():
    live = Live(7)
    live.run(20)
    days = live.exchange.bars(SPOT, 86_400)
    assert len(days) == PAST_DAYS + 1, "the last is today"
    assert [later.open_ms - earlier.open_ms for earlier, later in pairwise(days)] == [86_400_000] * PAST_DAYS
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in days)
    assert days[-2].closed
    assert not days[-1].closed
    assert days[-2].close == 60_000 * 100
    assert days == Live(7).exchange.bars(SPOT, 86_400) + days[-1:]


def test_day_that_ends_is_kept_whole():
    live = Live(7)
    live.run(20)
    live.now_ms += 30 * 3_600_000
    live.run(20)
    days = live.exchange.bars(SPOT, 86_400)
    assert [bar.closed for bar in days[-2:]] == [True, False]
    assert (days[-1].open_ms - days[-2].open_ms) % 86_400_000 == 0
    assert len(days) == PAST_DAYS + 2
