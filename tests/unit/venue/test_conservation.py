"""Whatever customers do, money is only moved: a stateful property over random commands, and determinism of it all."""

import hashlib
import random
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feeds.venue.accounts import Account
from feeds.venue.errors import VenueError
from feeds.venue.orders import NewOrder, OrderType, SelfTrade, Side, TimeInForce, Trigger
from patriot.domain.instrument import Instrument
from patriot.protocols.market import BookSnapshot, Trade
from tests.unit.venue.world import PERPETUAL, SPOT, World

NAMES = st.sampled_from(["alice", "bob", "carol"])
SIDES = st.sampled_from(list(Side))
INSTRUMENTS = st.sampled_from([SPOT, PERPETUAL])
TICKS = st.integers(-30, 30)
LOTS = st.integers(1, 900)


def price_at(instrument: Instrument, ticks: int) -> Decimal:
    return Decimal(60_000) + ticks * 40 * instrument.tick_size


class Customers(RuleBasedStateMachine):
    """Random orders of every type on both instruments by three customers, external news, marks, funding."""

    @initialize(unified=st.booleans(), leverage=st.sampled_from([5, 20, 125]))
    def open(self, unified: bool, leverage: int) -> None:  # noqa: FBT001
        self.world = World(unified=unified)
        self.world.mark("60000")
        for account in self.accounts():
            self.world.exchange.set_leverage(account, PERPETUAL.id, leverage)

    def accounts(self) -> list[Account]:
        return [self.world.alice, self.world.bob, self.world.carol]

    def attempt(self, command: object, *arguments: object, **more: object) -> None:
        try:
            command(*arguments, **more)
        except VenueError:
            return

    @rule(
        name=NAMES, instrument=INSTRUMENTS, side=SIDES, ticks=TICKS, lots=LOTS,
        time_in_force=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
        post_only=st.booleans(), reduce_only=st.booleans(), self_trade=st.sampled_from(list(SelfTrade)),
    )  # fmt: skip
    def limit(self, name, instrument, side, ticks, lots, time_in_force, post_only, reduce_only, self_trade):  # noqa: PLR0917
        request = NewOrder(
            instrument_id=instrument.id, side=side, type=OrderType.LIMIT, quantity=lots * Decimal("0.001"),
            price=price_at(instrument, ticks), time_in_force=time_in_force, self_trade=self_trade,
            post_only=post_only and time_in_force is TimeInForce.GTC,
            reduce_only=reduce_only and instrument.is_derivative,
        )  # fmt: skip
        self.attempt(self.world.exchange.create, self.world.exchange.account(name), request)

    @rule(name=NAMES, side=SIDES, ticks=TICKS, lots=LOTS, parts=st.integers(2, 11))
    def iceberg(self, name, side, ticks, lots, parts):
        request = NewOrder(
            instrument_id=SPOT.id, side=side, type=OrderType.LIMIT, quantity=lots * Decimal("0.001"),
            price=price_at(SPOT, ticks), display_quantity=max(1, lots // parts) * Decimal("0.001"),
        )  # fmt: skip
        self.attempt(self.world.exchange.create, self.world.exchange.account(name), request)

    @rule(name=NAMES, side=SIDES, lots=LOTS, rate=st.integers(1, 50), ticks=TICKS, starts=st.booleans())
    def trailing_stop(self, name, side, lots, rate, ticks, starts):  # noqa: PLR0917
        request = NewOrder(
            instrument_id=PERPETUAL.id, side=side, type=OrderType.TRAILING_STOP, quantity=lots * Decimal("0.001"),
            callback_rate=rate * Decimal("0.0001"), activation_price=price_at(PERPETUAL, ticks) if starts else None,
        )  # fmt: skip
        self.attempt(self.world.exchange.create, self.world.exchange.account(name), request)

    @rule(name=NAMES, instrument=INSTRUMENTS, side=SIDES, lots=LOTS)
    def market(self, name, instrument, side, lots):
        request = NewOrder(
            instrument_id=instrument.id, side=side, type=OrderType.MARKET, quantity=lots * Decimal("0.001")
        )
        self.attempt(self.world.exchange.create, self.world.exchange.account(name), request)

    @rule(name=NAMES, side=SIDES, budget=st.integers(10, 50_000))
    def market_by_quote(self, name, side, budget):
        request = NewOrder(instrument_id=SPOT.id, side=side, type=OrderType.MARKET, quote_quantity=Decimal(budget))
        self.attempt(self.world.exchange.create, self.world.exchange.account(name), request)

    @rule(
        name=NAMES, instrument=INSTRUMENTS, side=SIDES, ticks=TICKS, lots=LOTS, trigger=st.sampled_from(list(Trigger)),
        kind=st.sampled_from([one for one in OrderType if one.is_conditional]),
    )  # fmt: skip
    def stop(self, name, instrument, side, ticks, lots, trigger, kind):  # noqa: PLR0917
        request = NewOrder(
            instrument_id=instrument.id, side=side, type=kind, quantity=lots * Decimal("0.001"),
            price=None if kind.is_market else price_at(instrument, ticks), trigger_price=price_at(instrument, ticks),
            trigger_by=trigger, trigger_checked=ticks % 2 == 0,
        )  # fmt: skip
        self.attempt(self.world.exchange.create, self.world.exchange.account(name), request)

    @rule(name=NAMES, pick=st.integers(0, 50), ticks=TICKS, lots=LOTS)
    def amend(self, name, pick, ticks, lots):
        account = self.world.exchange.account(name)
        if orders := self.world.exchange.open_orders(account):
            order = orders[pick % len(orders)]
            self.attempt(
                self.world.exchange.amend, account, order.instrument.id, order_id=order.id,
                price=price_at(order.instrument, ticks) if order.price_units and pick % 3 else None,
                quantity=lots * Decimal("0.001") if pick % 2 else None,
            )  # fmt: skip

    @rule(name=NAMES, pick=st.integers(0, 50))
    def cancel(self, name, pick):
        account = self.world.exchange.account(name)
        if orders := self.world.exchange.open_orders(account):
            order = orders[pick % len(orders)]
            self.world.exchange.cancel(account, order.instrument.id, order_id=order.id)

    @rule(ticks=st.integers(-6000, 6000), rate=st.sampled_from(["0", "0.0001", "-0.00037"]))
    def mark(self, ticks, rate):
        price = Decimal(60_000) + ticks * PERPETUAL.tick_size * 20
        self.world.mark(str(price), funding_rate=rate, next_funding_ms=self.world.now_ms + 500)

    @rule(milliseconds=st.integers(1, 2000))
    def wait(self, milliseconds):
        self.world.now_ms += milliseconds
        self.world.exchange.advance()

    @rule(instrument=INSTRUMENTS, ticks=TICKS, spread=st.integers(1, 9), lots=LOTS)
    def news(self, instrument, ticks, spread, lots):
        bid = instrument.price_units(price_at(instrument, ticks))
        bids = [(bid - step * 40, lots * 3) for step in range(3)]
        asks = [(bid + (spread + step) * 40, lots * 3) for step in range(3)]
        self.world.exchange.external_book(BookSnapshot(instrument.id, bids, asks, 1, self.world.now_ms))

    @rule(instrument=INSTRUMENTS, ticks=TICKS, lots=LOTS, buyer_is_maker=st.booleans())
    def outside_trade(self, instrument, ticks, lots, buyer_is_maker):
        price = instrument.price_units(price_at(instrument, ticks))
        trade = Trade(instrument.id, price, lots, buyer_is_maker, "1", self.world.now_ms)
        self.world.exchange.external_trade(trade)

    @rule(name=NAMES, amount=st.integers(1, 20_000))
    def transfer(self, name, amount):
        account = self.world.exchange.account(name)
        self.attempt(self.world.exchange.transfer, account, "USDT", Decimal(amount), "spot", "linear")

    @invariant()
    def money_is_conserved(self):
        assert self.world.money() == self.world.deposited

    @invariant()
    def sizes_sum_to_zero(self):
        every = self.world.exchange._clearing.accounts.values()
        assert sum(account.size(PERPETUAL) for account in every) == 0

    @invariant()
    def nothing_is_negative_and_locks_match_the_open_orders(self):
        for account in self.accounts():
            held = {"USDT": 0, "BTC": 0}
            buys = sells = 0
            for order in account.open_orders.values():
                assert order.left_units >= 0
                if not order.instrument.is_derivative:
                    held["USDT" if order.is_buy else "BTC"] += order.locked_amount
                elif order.is_buy:
                    buys += order.locked_amount
                else:
                    sells += order.locked_amount
            for asset, amount in held.items():
                holding = account.holding("spot", asset)
                assert holding.locked == amount
                assert self.world.exchange._clearing.unified or holding.total >= holding.locked
            position = account.position(PERPETUAL)
            assert (position.open_buys, position.open_sells) == (buys, sells)

    @invariant()
    def books_are_not_crossed(self):
        for instrument in (SPOT, PERPETUAL):
            quote = self.world.exchange.quote(instrument.id)
            assert not quote.bid or not quote.ask or quote.bid < quote.ask

    @invariant()
    def levels_are_the_sum_of_what_rests(self):
        for instrument in (SPOT, PERPETUAL):
            book = self.world.exchange._markets[instrument.id].book
            shown = self.world.exchange.book(instrument.id, 10_000)
            for buy, levels in ((True, shown.bids), (False, shown.asks)):
                resting: dict[int, int] = {}
                assert book.icebergs[buy] == sum(
                    bool(one.display_units) for one in book.owners.values() if one.is_buy == buy
                )
                for order, price, quantity in book.crossing(not buy, 0 if buy else 1 << 62):
                    public = quantity if order is None else book.shown(order)
                    assert order is None or public <= (order.display_units or quantity)
                    resting[price] = resting.get(price, 0) + public
                    assert order is None or (order.is_open and order.left_units == quantity)
                assert resting == dict(levels)

    @invariant()
    def reduce_only_orders_fit_their_positions(self):
        for account in self.accounts():
            size = account.size(PERPETUAL)
            for order in account.open_orders.values():
                if order.reduce_only and order.ticket:
                    assert order.left_units <= (-size if order.is_buy else size)


Customers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_money_is_conserved_by_every_command = pytest.mark.requirement("B11")(Customers.TestCase)


def run(seed: int, steps: int = 400) -> str:
    """Drive a world by a seeded random stream; return the hash of everything heard."""
    choose = random.Random(seed)
    world = World()
    accounts = [world.alice, world.bob, world.carol]
    for _ in range(steps):
        account = choose.choice(accounts)
        instrument = choose.choice([SPOT, PERPETUAL])
        try:
            if choose.random() < 0.2 and (orders := world.exchange.open_orders(account)):
                order = choose.choice(orders)
                world.exchange.cancel(account, order.instrument.id, order_id=order.id)
            else:
                price = str(price_at(instrument, choose.randint(-20, 20)))
                quantity = str(choose.randint(1, 100) * Decimal("0.001"))
                world.order(account, choose.choice(["buy", "sell"]), quantity, price, instrument)
        except VenueError:
            continue
        world.now_ms += choose.randint(0, 50)
    return hashlib.sha256(repr(world.heard).encode()).hexdigest()


def test_one_seed_gives_one_history():
    assert run(11) == run(11)
    assert run(11) != run(12)
