"""Changing an open order. Rule: a mere decrease keeps the place in the queue, anything else goes to the back.

A change that cannot be paid for, or would make a post-only order match, raises and leaves the order as it was.
"""

from dataclasses import dataclass

from feeds.venue.accounts import Account
from feeds.venue.admission import check_notional
from feeds.venue.clearing import Clearing
from feeds.venue.errors import InvalidRequest, NothingToAmend, ReduceOnlyRejected, VenueError, WouldTriggerImmediately
from feeds.venue.events import Change
from feeds.venue.execution import Execution
from feeds.venue.gate import check_post_only, room_of
from feeds.venue.market import MarketState, is_triggered
from feeds.venue.orders import Order, OrderStatus


@dataclass(frozen=True, slots=True)
class Terms:
    """What an amend may change, in units: limit price, total quantity, trigger price."""

    price: int
    quantity: int
    trigger: int

    @classmethod
    def of(cls, order: Order) -> "Terms":
        return cls(order.price_units, order.quantity_units, order.trigger_units)

    def put_on(self, order: Order) -> None:
        order.price_units, order.quantity_units, order.trigger_units = self.price, self.quantity, self.trigger


class Amendment:
    """Amends orders through the execution that owns them."""

    def __init__(self, clearing: Clearing, execution: Execution) -> None:
        self._clearing = clearing
        self._execution = execution

    def amend(self, account: Account, market: MarketState, order: Order, new: Terms) -> None:
        """Give an open order new terms. Raises VenueError and changes nothing."""
        old = Terms.of(order)
        _check(order, old, new)
        if order.status is OrderStatus.UNTRIGGERED:
            self._amend_waiting(account, market, order, new)
        elif new.price == old.price and new.quantity < old.quantity:
            self._decrease(account, market, order, new.quantity)
        else:
            self._revalue(account, market, order, new)
            self._execution.run(account, market, order)

    def _decrease(self, account: Account, market: MarketState, order: Order, quantity: int) -> None:
        gone = order.quantity_units - quantity
        order.quantity_units = quantity
        market.book.shrink(order, order.left_units)
        is_spot_sale = not market.instrument.is_derivative and not order.is_buy
        unit = market.base_factor if is_spot_sale else order.price_units * market.notional_factor
        self._clearing.release(account, order, gone * unit)
        self._execution.tell(Change.AMENDED, order)

    def _amend_waiting(self, account: Account, market: MarketState, order: Order, new: Terms) -> None:
        moves = new.trigger != order.trigger_units
        self._revalue(account, market, order, new)
        if moves:
            market.stops[order.trigger_by].add(order, 0)

    def _revalue(self, account: Account, market: MarketState, order: Order, new: Terms) -> None:
        """Put the new terms on the order with a reservation to match, out of the book, or raise."""
        old, held, place = Terms.of(order), order.locked_amount, order.price_units
        self._clearing.release(account, order)
        new.put_on(order)
        try:
            _check_new_terms(account, market, order, old)
            self._execution.gate.hold(account, market, order)
        except VenueError:
            old.put_on(order)
            self._clearing.retake(account, order, held)
            raise
        market.book.remove(order, place)
        self._execution.tell(Change.AMENDED, order)


def _check(order: Order, old: Terms, new: Terms) -> None:
    if new == old:
        raise NothingToAmend("the amend changes nothing")
    if new.quantity <= order.filled_units:
        raise InvalidRequest("quantity", "must be more than what is filled")
    if new.price and not old.price:
        raise InvalidRequest("price", "does not go with a market order")
    if new.trigger and not old.trigger:
        raise InvalidRequest("trigger_price", "does not go with this order")
    if new.trigger != old.trigger and order.status is not OrderStatus.UNTRIGGERED:
        raise InvalidRequest("trigger_price", "the order is already triggered")


def _check_new_terms(account: Account, market: MarketState, order: Order, old: Terms) -> None:
    if not order.reduce_only:
        check_notional(market, order)
    if order.status is OrderStatus.UNTRIGGERED:
        price = market.price_for(order.trigger_by)
        if order.trigger_units != old.trigger and price and is_triggered(order, price):
            raise WouldTriggerImmediately("the trigger price is already passed")
        return
    if order.reduce_only and order.left_units > room_of(account.size(market.instrument), order):
        raise ReduceOnlyRejected("the order would be larger than its position")
    check_post_only(market, order)
