"""How an order lives: launched, matched, rested, amended, triggered, ended. Rule: an error raised here changed nothing.

Matching goes through the engine in one sweep, except where a maker may be in the way (self-trade prevention,
reduce-only makers whose position is gone): then it goes maker by maker and clears each obstacle first.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from feeds.venue.accounts import Account
from feeds.venue.clearing import Clearing
from feeds.venue.errors import (
    FokKilled,
    InsufficientBalance,
    NoLiquidity,
    ReduceOnlyRejected,
    VenueError,
    WouldTake,
    WouldTriggerImmediately,
)
from feeds.venue.events import Change, Events
from feeds.venue.market import MarketState, is_triggered
from feeds.venue.matching import NO_LIMIT
from feeds.venue.orders import Order, OrderStatus, Reason, SelfTrade, TimeInForce, Trigger
from patriot.protocols.market import Trade

_REASONS: dict[type[VenueError], Reason] = {
    WouldTake: Reason.POST_ONLY,
    FokKilled: Reason.FOK,
    ReduceOnlyRejected: Reason.REDUCE_ONLY,
    InsufficientBalance: Reason.INSUFFICIENT_BALANCE,
    NoLiquidity: Reason.NO_LIQUIDITY,
}
_RECORDED = (WouldTake, FokKilled, NoLiquidity)


class Execution:
    """Moves orders through their life. `now_ms` is the time of the command in progress."""

    def __init__(self, markets: dict[str, MarketState], clearing: Clearing, events: Events) -> None:
        self.now_ms = 0
        self.moved: dict[str, None] = {}
        """Instruments whose last or mark price moved in this command and whose stops are not yet looked at."""
        self.revalued: dict[str, None] = {}
        """The same for margins."""
        self._markets = markets
        self._clearing = clearing
        self._events = events
        self._expiries: list[tuple[int, int, Order]] = []

    # beginnings

    def create(self, account: Account, market: MarketState, order: Order, *, record: bool, check_trigger: bool) -> None:
        """Accept an order or raise. `record` True turns a failure to stand into an EXPIRED order."""
        if order.type.is_conditional:
            self._wait(account, market, order, check_trigger=check_trigger)
        else:
            self._launch(account, market, order, record=record)
        if order.expire_ms and order.is_open:
            heappush(self._expiries, (order.expire_ms, order.id, order))

    def _wait(self, account: Account, market: MarketState, order: Order, *, check_trigger: bool) -> None:
        price = market.price_for(order.trigger_by)
        passed = bool(price) and is_triggered(order, price)
        if passed and check_trigger:
            raise WouldTriggerImmediately("the trigger price is already passed")
        order.status = OrderStatus.UNTRIGGERED
        self._hold_waiting(account, market, order)
        market.stops[order.trigger_by].add(order)
        account.remember(order)
        self._tell(Change.NEW, order)
        if passed:
            self.price_moved(market)

    def _hold_waiting(self, account: Account, market: MarketState, order: Order) -> None:
        """Reserve what a waiting spot order will need, where that is known; derivatives need margin when they fire."""
        if not market.instrument.is_derivative and (order.price_units or not order.is_buy):
            self._clearing.reserve(account, market, order, _limit_notional(market, order))

    def _launch(self, account: Account, market: MarketState, order: Order, *, record: bool) -> None:
        try:
            self._prepare(account, market, order)
        except _RECORDED as refusal:
            if not record:
                raise
            order.status, order.reason = OrderStatus.EXPIRED, _REASONS[type(refusal)]
            account.remember(order)
            self._tell(Change.EXPIRED, order)
            return
        account.remember(order)
        self._tell(Change.NEW, order)
        self._run(account, market, order)

    def _prepare(self, account: Account, market: MarketState, order: Order) -> None:
        """Everything that may refuse an order, then its reservation."""
        self._size(account, market, order)
        if not order.price_units and market.book.head(order.is_buy, _limit(order)) is None:
            raise NoLiquidity("the other side of the book is empty")
        self._check_post_only(market, order)
        if order.time_in_force is TimeInForce.FOK and self._fillable(account, market, order) < order.left_units:
            raise FokKilled("the order cannot be filled whole")
        if not order.locked_amount:
            self._clearing.reserve(account, market, order, self._cost(account, market, order))

    def _size(self, account: Account, market: MarketState, order: Order) -> None:
        """Fix the quantity: a reduce-only order is cut to its position, a quote budget becomes whole lots."""
        if order.reduce_only:
            room = _room(account.size(market.instrument), order)
            if not room:
                raise ReduceOnlyRejected("there is no position that this order would reduce")
            order.quantity_units = room if order.close_position else min(order.quantity_units, room)
        elif order.quote_amount:
            order.quantity_units = self._affordable(market, order)
            if not order.quantity_units:
                raise NoLiquidity("the quote quantity does not reach one lot")

    def _check_post_only(self, market: MarketState, order: Order) -> None:
        if order.post_only and market.book.head(order.is_buy, order.price_units) is not None:
            raise WouldTake("a post-only order would match at once")

    def _affordable(self, market: MarketState, order: Order) -> int:
        budget, quantity = order.quote_amount, 0
        for _, price, size in market.book.crossing(order.is_buy, _limit(order)):
            unit = price * market.notional_factor
            take = min(size, budget // unit)
            quantity, budget = quantity + take, budget - take * unit
            if take < size:
                break
        return quantity - quantity % market.lot_units

    def _reachable(self, account: Account, market: MarketState, order: Order) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity) that the order would match, its own account's orders treated as it asks."""
        left = order.left_units
        for maker, price, size in market.book.crossing(order.is_buy, _limit(order)):
            if maker is not None and maker.account == account.name and order.self_trade is not SelfTrade.NONE:
                if order.self_trade is SelfTrade.EXPIRE_MAKER:
                    continue
                return
            take = min(left, size)
            yield price, take
            left -= take
            if not left:
                return

    def _fillable(self, account: Account, market: MarketState, order: Order) -> int:
        return sum(quantity for _, quantity in self._reachable(account, market, order))

    def _cost(self, account: Account, market: MarketState, order: Order) -> int:
        """Notional to reserve: at the limit price, or what a market order would pay now."""
        if order.price_units:
            return _limit_notional(market, order)
        reachable = self._reachable(account, market, order)
        return sum(price * quantity for price, quantity in reachable) * market.notional_factor

    # matching

    def _run(self, account: Account, market: MarketState, order: Order) -> None:
        """Match a prepared order, then rest or end what is left of it."""
        self._match(account, market, order)
        if not order.is_open:
            return
        if order.price_units and order.time_in_force in {TimeInForce.GTC, TimeInForce.GTD}:
            market.book.rest(order)
        else:
            reason = Reason.NO_LIQUIDITY if order.type.is_market else Reason.IOC
            self.end(order, OrderStatus.EXPIRED, reason)

    def _match(self, account: Account, market: MarketState, order: Order) -> None:
        prevents = order.self_trade is not SelfTrade.NONE and bool(account.open_orders)
        limit = _limit(order)
        while order.is_open:
            careful = prevents or order.reduce_only or market.book.reduce_only[not order.is_buy]
            if careful:
                quantity = self._clear_way(account, market, order, limit)
            else:
                quantity = order.left_units
            matches = market.book.take(order.is_buy, limit, quantity) if quantity else ()
            for maker, price, size in matches:
                self.execute(market, order, maker, price, size)
            if not careful or not matches:
                return

    def _clear_way(self, account: Account, market: MarketState, order: Order, limit: int) -> int:
        """Clear the obstacles at the head of the book; return how much may match there, 0 where nothing may."""
        while head := market.book.head(order.is_buy, limit):
            maker, _, size = head
            left = order.left_units
            if order.reduce_only:
                left = min(left, _room(account.size(market.instrument), order))
            if maker is None:
                return min(left, size)
            if maker.account == account.name and order.self_trade is not SelfTrade.NONE:
                if not self._prevent(order, maker):
                    return 0
            elif self._trim(maker):
                return min(left, maker.left_units)
        return 0

    def _prevent(self, order: Order, maker: Order) -> bool:
        """Apply self-trade prevention; return whether the taker goes on."""
        if order.self_trade is not SelfTrade.EXPIRE_TAKER:
            self.end(maker, OrderStatus.EXPIRED, Reason.SELF_TRADE)
        if order.self_trade is SelfTrade.EXPIRE_MAKER:
            return True
        self.end(order, OrderStatus.EXPIRED, Reason.SELF_TRADE)
        return False

    def _trim(self, order: Order) -> bool:
        """Cut a resting reduce-only order to its position; return whether anything is left of it."""
        if not order.reduce_only:
            return True
        room = _room(self._clearing.accounts[order.account].size(order.instrument), order)
        if not room:
            self.end(order, OrderStatus.EXPIRED, Reason.REDUCE_ONLY)
            return False
        if room < order.left_units:
            order.quantity_units = order.filled_units + room
            self._markets[order.instrument.id].book.shrink(order, room)
            self._tell(Change.AMENDED, order)
        return True

    def trim_reduce_only(self, account: Account, instrument_id: str) -> None:
        """Cut the resting reduce-only orders of an account after its position changed."""
        for order in list(account.open_orders.values()):
            if order.reduce_only and order.ticket and order.instrument.id == instrument_id:
                self._trim(order)

    def execute(
        self,
        market: MarketState,
        taker: Order | None,
        maker: Order | None,
        price: int,
        quantity: int,
        *,
        buy: bool = True,
    ) -> None:
        """Settle one match and print it. `buy` is the aggressor's side where the taker is external (None)."""
        buy = buy if taker is None else taker.is_buy
        trade_id = market.next_trade_id()
        for order, buys in ((maker, not buy), (taker, buy)):
            if order is None:
                self._clearing.settle_external(market, price, quantity if buys else -quantity)
            else:
                self._fill(market, order, price, quantity, trade_id, is_maker=order is maker)
        if taker is not None:
            self.print_trade(market, price, quantity, trade_id, buyer_is_maker=not buy)

    def print_trade(
        self, market: MarketState, price: int, quantity: int, trade_id: int, *, buyer_is_maker: bool
    ) -> None:
        trade = Trade(market.instrument.id, price, quantity, buyer_is_maker, str(trade_id), self.now_ms)
        market.print_trade(trade)
        self._events.market(trade)
        self.price_moved(market)

    def price_moved(self, market: MarketState) -> None:
        self.moved[market.instrument.id] = None
        self.revalued[market.instrument.id] = None

    def _fill(
        self, market: MarketState, order: Order, price: int, quantity: int, trade_id: int, *, is_maker: bool
    ) -> None:
        fill = self._clearing.settle(market, order, price, quantity, trade_id, self.now_ms, is_maker=is_maker)
        account = self._clearing.accounts[order.account]
        account.fills.append(fill)
        order.status = OrderStatus.PARTIALLY_FILLED if order.left_units else OrderStatus.FILLED
        if not order.left_units:
            self._clearing.release(account, order)
            account.retire(order)
        order.updated_ms = self.now_ms
        order.version += 1
        self._events.order(Change.TRADE, order, fill, self.now_ms)

    def close_out(self, account: Account, market: MarketState, order: Order) -> None:
        """Execute a liquidation order; what finds no liquidity the insurance takes over at the mark price."""
        account.remember(order)
        self._tell(Change.NEW, order)
        self._match(account, market, order)
        if order.is_open:
            left = order.left_units
            self._clearing.take_over(market, market.mark, -left if order.is_buy else left)
            self._fill(market, order, market.mark, left, market.next_trade_id(), is_maker=False)

    # ends

    def end(self, order: Order, status: OrderStatus, reason: Reason) -> None:
        """Take an open order out of the book, give back what it holds, tell it."""
        account = self._clearing.accounts[order.account]
        self._markets[order.instrument.id].book.remove(order)
        self._clearing.release(account, order)
        order.status, order.reason = status, reason
        account.retire(order)
        self._tell(Change.CANCELLED if status is OrderStatus.CANCELLED else Change.EXPIRED, order)

    def expire_due(self) -> None:
        """End the good-till-date orders whose time has come."""
        while self._expiries and self._expiries[0][0] <= self.now_ms:
            order = heappop(self._expiries)[2]
            if order.is_open:
                self.end(order, OrderStatus.EXPIRED, Reason.GTD)

    # amends and triggers

    def amend(
        self, account: Account, market: MarketState, order: Order, price: int, quantity: int, trigger: int
    ) -> None:
        """Change an open order: a mere decrease keeps its place, anything else joins the back and may match."""
        if order.status is OrderStatus.UNTRIGGERED:
            self._amend_waiting(account, market, order, price, quantity, trigger)
        elif price == order.price_units and quantity < order.quantity_units:
            self._decrease(account, market, order, quantity)
        else:
            self._revalue(account, market, order, price, quantity)
            market.book.remove(order)
            self._tell(Change.AMENDED, order)
            self._run(account, market, order)

    def _amend_waiting(
        self, account: Account, market: MarketState, order: Order, price: int, quantity: int, trigger: int
    ) -> None:
        current, before = market.price_for(order.trigger_by), order.trigger_units
        order.trigger_units = trigger
        if trigger != before and current and is_triggered(order, current):
            order.trigger_units = before
            raise WouldTriggerImmediately("the trigger price is already passed")
        order.trigger_units = before
        self._revalue(account, market, order, price, quantity)
        order.trigger_units = trigger
        self._tell(Change.AMENDED, order)
        if trigger != before:
            market.stops[order.trigger_by].add(order)

    def _decrease(self, account: Account, market: MarketState, order: Order, quantity: int) -> None:
        gone = order.quantity_units - quantity
        order.quantity_units = quantity
        market.book.shrink(order, order.left_units)
        is_spot_sale = not market.instrument.is_derivative and not order.is_buy
        freed = gone * (market.base_factor if is_spot_sale else order.price_units * market.notional_factor)
        self._clearing.release(account, order, freed)
        self._tell(Change.AMENDED, order)

    def _revalue(self, account: Account, market: MarketState, order: Order, price: int, quantity: int) -> None:
        """Give an order a new price and quantity with a reservation to match, or raise and leave all as it was."""
        before = order.price_units, order.quantity_units, order.locked_amount
        self._clearing.release(account, order)
        order.price_units, order.quantity_units = price, quantity
        try:
            if order.status is OrderStatus.UNTRIGGERED:
                self._hold_waiting(account, market, order)
            else:
                self._check_post_only(market, order)
                self._clearing.reserve(account, market, order, _limit_notional(market, order))
        except VenueError:
            order.price_units, order.quantity_units, held = before
            self._clearing.retake(account, order, held)
            raise

    def fire_stops(self) -> None:
        """Launch the conditional orders that the moved prices have reached, until prices rest."""
        while self.moved:
            instrument_id = next(iter(self.moved))
            del self.moved[instrument_id]
            market = self._markets[instrument_id]
            for trigger in Trigger:
                while order := market.stops[trigger].due(market.price_for(trigger)):
                    self._fire(market, order)

    def _fire(self, market: MarketState, order: Order) -> None:
        account = self._clearing.accounts[order.account]
        order.status, order.triggered_ms = OrderStatus.NEW, self.now_ms
        self._tell(Change.TRIGGERED, order)
        try:
            self._prepare(account, market, order)
        except (*_RECORDED, InsufficientBalance, ReduceOnlyRejected) as refusal:
            self.end(order, OrderStatus.EXPIRED, _REASONS[type(refusal)])
            return
        self._run(account, market, order)

    # external liquidity

    def external_match(self, market: MarketState, *, buy: bool, limit: int, quantity: int, sweep: bool) -> int:
        """Let anonymous flow meet the book up to `limit`; return what of it is left.

        Orders of accounts fill. `sweep` True drops external levels in the way without using up the flow (they are
        stale news); False consumes them like orders.
        """
        while quantity and (head := market.book.head(buy, limit)):
            maker, price, size = head
            if maker is None and sweep:
                market.book.set_external(not buy, price, 0)
                continue
            if maker is not None and not self._trim(maker):
                continue
            take = min(quantity, size if maker is None else maker.left_units)
            market.book.take(buy, price, take)
            quantity -= take
            if maker is not None:
                self.execute(market, None, maker, price, take, buy=buy)
        return quantity

    def external_levels(self, market: MarketState, levels: list[tuple[int, int]], *, buy: bool) -> None:
        """Set external levels one by one; what crosses the other side meets it first."""
        for price, quantity in levels:
            left = self.external_match(market, buy=buy, limit=price, quantity=quantity, sweep=True)
            market.book.set_external(buy, price, left)

    def external_trade(self, market: MarketState, trade: Trade) -> None:
        """Let a trade that happened elsewhere pass through the book, then print it."""
        buy = not trade.buyer_is_maker
        better = trade.price - 1 if buy else trade.price + 1
        left = self.external_match(market, buy=buy, limit=better, quantity=trade.quantity, sweep=True)
        self.external_match(market, buy=buy, limit=trade.price, quantity=left, sweep=False)
        market.print_trade(trade)
        self._events.market(trade)
        self.price_moved(market)

    def _tell(self, change: Change, order: Order) -> None:
        order.updated_ms = self.now_ms
        order.version += 1
        self._events.order(change, order, None, self.now_ms)


def _limit(order: Order) -> int:
    return order.price_units or (NO_LIMIT if order.is_buy else -NO_LIMIT)


def _limit_notional(market: MarketState, order: Order) -> int:
    return order.price_units * order.left_units * market.notional_factor


def _room(size: int, order: Order) -> int:
    """How much of a position of `size` an order may reduce."""
    return max(0, -size if order.is_buy else size)
