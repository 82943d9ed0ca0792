"""How an order lives: launched, matched, rested, triggered, ended. Rule: an error raised here changed nothing.

Matching goes through the engine in one sweep, except where a maker may be in the way (self-trade prevention,
reduce-only makers whose position is gone) or hides a part: then it goes maker by maker and clears each obstacle first.
"""

from heapq import heappop, heappush

from feeds.venue.accounts import Account
from feeds.venue.clearing import Clearing, Match
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
from feeds.venue.gate import Gate, limit_of, room_of
from feeds.venue.market import MarketState, Stops, is_triggered
from feeds.venue.orders import Order, OrderStatus, Reason, SelfTrade, TimeInForce
from patriot.protocols.market import Trade

_REASONS: dict[type[VenueError], Reason] = {
    WouldTake: Reason.POST_ONLY,
    FokKilled: Reason.FOK,
    NoLiquidity: Reason.NO_LIQUIDITY,
    ReduceOnlyRejected: Reason.REDUCE_ONLY,
    InsufficientBalance: Reason.INSUFFICIENT_BALANCE,
}
NEVER = 1 << 62
"""A time in milliseconds that does not come."""
TRAIL_TOLD_MS = 1000
"""How often at most a stop tells that it has moved."""
_RECORDED = (WouldTake, FokKilled, NoLiquidity)


class Execution:
    """Moves orders through their life. `now_ms` is the time of the command in progress."""

    def __init__(self, markets: dict[str, MarketState], clearing: Clearing, events: Events) -> None:
        self.now_ms = 0
        self.gate = Gate(clearing)
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
        self.gate.hold(account, market, order)
        market.stops[order.trigger_by].add(order, price)
        account.remember(order)
        self.tell(Change.NEW, order)
        if passed:
            self.price_moved(market)

    def _launch(self, account: Account, market: MarketState, order: Order, *, record: bool) -> None:
        try:
            self.gate.prepare(account, market, order)
        except _RECORDED as refusal:
            if not record:
                raise
            order.status, order.reason = OrderStatus.EXPIRED, _REASONS[type(refusal)]
            account.remember(order)
            self.tell(Change.EXPIRED, order)
            return
        account.remember(order)
        self.tell(Change.NEW, order)
        self.run(account, market, order)

    def restore(self, account: Account, market: MarketState, order: Order) -> None:
        """Bring back an order of before a restart; see `Exchange.restore`."""
        order.locked_amount = order.ticket = 0
        account.remember(order)
        if not order.is_open:
            return
        try:
            self.gate.hold(account, market, order)
        except InsufficientBalance:
            self.end(order, OrderStatus.EXPIRED, Reason.INSUFFICIENT_BALANCE)
            return
        if order.expire_ms:
            heappush(self._expiries, (order.expire_ms, order.id, order))
        if order.status is OrderStatus.UNTRIGGERED:
            market.stops[order.trigger_by].add(order, 0)
        else:
            self.run(account, market, order)

    # matching

    def run(self, account: Account, market: MarketState, order: Order) -> None:
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
        limit = limit_of(order)
        makers = not order.is_buy
        while order.is_open:
            book = market.book
            careful = prevents or order.reduce_only or book.reduce_only[makers] or book.icebergs[makers]
            quantity = self._clear_way(account, market, order, limit) if careful else order.left_units
            matches = market.book.take(order.is_buy, limit, quantity) if quantity else ()
            for maker, price, size in matches:
                self._execute(market, order, maker, Match(price, size, market.next_trade_id(), self.now_ms))
            if not careful or not matches:
                return

    def _clear_way(self, account: Account, market: MarketState, order: Order, limit: int) -> int:
        """Clear the obstacles at the head of the book; return how much may match there, 0 where nothing may."""
        while head := market.book.head(order.is_buy, limit):
            maker, _, size = head
            left = order.left_units
            if order.reduce_only:
                left = min(left, room_of(account.size(market.instrument), order))
            if maker is None:
                return min(left, size)
            if maker.account == account.name and order.self_trade is not SelfTrade.NONE:
                if not self._prevent(order, maker):
                    return 0
            elif self.trim(maker):
                return min(left, market.book.shown(maker))
        return 0

    def _prevent(self, order: Order, maker: Order) -> bool:
        """Apply self-trade prevention; return whether the taker goes on."""
        if order.self_trade is not SelfTrade.EXPIRE_TAKER:
            self.end(maker, OrderStatus.EXPIRED, Reason.SELF_TRADE)
        if order.self_trade is SelfTrade.EXPIRE_MAKER:
            return True
        self.end(order, OrderStatus.EXPIRED, Reason.SELF_TRADE)
        return False

    def trim(self, order: Order) -> bool:
        """Cut a resting reduce-only order to its position; return whether anything is left of it."""
        if not order.reduce_only:
            return True
        room = room_of(self._clearing.accounts[order.account].size(order.instrument), order)
        if not room:
            self.end(order, OrderStatus.EXPIRED, Reason.REDUCE_ONLY)
            return False
        if room < order.left_units:
            order.quantity_units = order.filled_units + room
            self._markets[order.instrument.id].book.shrink(order, room)
            self.tell(Change.AMENDED, order)
        return True

    def trim_reduce_only(self, account: Account, instrument_id: str) -> None:
        """Cut the resting reduce-only orders of an account after its position changed."""
        for order in list(account.open_orders.values()):
            if order.reduce_only and order.ticket and order.instrument.id == instrument_id:
                self.trim(order)

    def _execute(self, market: MarketState, taker: Order, maker: Order | None, match: Match) -> None:
        """Settle one match and print it."""
        if maker is None:
            signed_quantity = -match.quantity if taker.is_buy else match.quantity
            self._clearing.settle_external(self._clearing.house, market, match.price, signed_quantity)
        else:
            self.fill(market, maker, match, is_maker=True)
        self.fill(market, taker, match, is_maker=False)
        trade = Trade(
            market.instrument.id, match.price, match.quantity, not taker.is_buy, str(match.trade_id), self.now_ms
        )
        self.print_trade(market, trade)

    def fill(self, market: MarketState, order: Order, match: Match, *, is_maker: bool) -> None:
        """Book one order's side of a match and tell its owner."""
        account = self._clearing.accounts[order.account]
        fill = self._clearing.settle(account, market, order, match, is_maker=is_maker)
        account.record(fill)
        order.status = OrderStatus.PARTIALLY_FILLED if order.left_units else OrderStatus.FILLED
        if not order.left_units:
            account.retire(order)
        order.updated_ms = self.now_ms
        order.version += 1
        self._events.order(Change.TRADE, order, fill, self.now_ms)

    def print_trade(self, market: MarketState, trade: Trade) -> None:
        market.print_trade(trade)
        self._events.market(trade)
        self.price_moved(market)

    def minds(self, market: MarketState, price: int) -> bool:
        """Whether a price can have consequences: it moved, and stops wait for it or positions are valued by it."""
        if price == market.last == market.mark:
            return False
        return any(market.stops.values()) or bool(self._clearing.holders[market.instrument.id])

    def price_moved(self, market: MarketState) -> None:
        self.moved[market.instrument.id] = None
        self.revalued[market.instrument.id] = None

    def close_out(self, account: Account, market: MarketState, order: Order) -> None:
        """Execute a liquidation order; what finds no liquidity the insurance takes over at the mark price."""
        account.remember(order)
        self.tell(Change.NEW, order)
        self._match(account, market, order)
        if order.is_open:
            match = Match(market.mark, order.left_units, market.next_trade_id(), self.now_ms)
            signed_quantity = -match.quantity if order.is_buy else match.quantity
            self._clearing.settle_external(self._clearing.insurance, market, match.price, signed_quantity)
            self.fill(market, order, match, is_maker=False)

    # ends

    def end(self, order: Order, status: OrderStatus, reason: Reason) -> None:
        """Take an open order out of the book, give back what it holds, tell it."""
        account = self._clearing.accounts[order.account]
        self._markets[order.instrument.id].book.remove(order)
        self._clearing.release(account, order)
        order.status, order.reason = status, reason
        account.retire(order)
        self.tell(Change.CANCELLED if status is OrderStatus.CANCELLED else Change.EXPIRED, order)

    @property
    def next_expiry_ms(self) -> int:
        """When the next good-till-date order may end; `NEVER` where there is none."""
        return self._expiries[0][0] if self._expiries else NEVER

    def expire_due(self) -> None:
        """End the good-till-date orders whose time has come."""
        while self._expiries and self._expiries[0][0] <= self.now_ms:
            order = heappop(self._expiries)[2]
            if order.is_open:
                self.end(order, OrderStatus.EXPIRED, Reason.GTD)

    # stops

    def fire_stops(self) -> None:
        """Launch the conditional orders that the moved prices have reached, until prices rest."""
        while self.moved:
            instrument_id = next(iter(self.moved))
            del self.moved[instrument_id]
            market = self._markets[instrument_id]
            for trigger, stops in market.stops.items():
                if price := market.price_for(trigger):
                    self._show(stops, price)
                while price and (order := stops.due(price)):
                    self._fire(market, order)

    def _show(self, stops: Stops, price: int) -> None:
        for order in stops.follow(price):
            if self.now_ms - order.updated_ms >= TRAIL_TOLD_MS:
                self.tell(Change.TRAILED, order)

    def _fire(self, market: MarketState, order: Order) -> None:
        account = self._clearing.accounts[order.account]
        order.status, order.triggered_ms = OrderStatus.NEW, self.now_ms
        self.tell(Change.TRIGGERED, order)
        try:
            self.gate.prepare(account, market, order)
        except tuple(_REASONS) as refusal:
            self.end(order, OrderStatus.EXPIRED, _REASONS[type(refusal)])
            return
        self.run(account, market, order)

    def tell(self, change: Change, order: Order) -> None:
        """Stamp a change of an order and queue it for its listeners."""
        order.updated_ms = self.now_ms
        order.version += 1
        self._events.order(change, order, None, self.now_ms)
