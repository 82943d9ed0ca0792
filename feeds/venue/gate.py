"""The last check before an order goes live. Rule: it either reserves what the order may cost or raises, never both.

What an order would meet is read off the book with its own account's orders treated as its self-trade prevention asks.
"""

from collections.abc import Iterator

from feeds.venue.accounts import Account
from feeds.venue.clearing import Clearing
from feeds.venue.errors import FokKilled, NoLiquidity, ReduceOnlyRejected, WouldTake
from feeds.venue.market import MarketState
from feeds.venue.matching import NO_LIMIT
from feeds.venue.orders import Order, OrderStatus, SelfTrade, TimeInForce


class Gate:
    """Sizes, checks and reserves."""

    def __init__(self, clearing: Clearing) -> None:
        self._clearing = clearing

    def prepare(self, account: Account, market: MarketState, order: Order) -> None:
        """Make an order ready to match.

        Raises ReduceOnlyRejected, NoLiquidity, WouldTake, FokKilled, InsufficientBalance.
        """
        self._size(account, market, order)
        if not order.price_units and market.book.head(order.is_buy, limit_of(order)) is None:
            raise NoLiquidity("the other side of the book is empty")
        check_post_only(market, order)
        if order.time_in_force is TimeInForce.FOK and _fillable(account, market, order) < order.left_units:
            raise FokKilled("the order cannot be filled whole")
        if not order.locked_amount:
            self._clearing.reserve(account, market, order, _cost(account, market, order))

    def hold(self, account: Account, market: MarketState, order: Order) -> None:
        """Reserve for an order that will rest or wait, at its limit price.

        A waiting order holds spot funds where they are known; a derivative's margin is asked for when it fires.
        """
        waits = order.status is OrderStatus.UNTRIGGERED
        is_known = order.price_units or not order.is_buy
        if not waits or (is_known and not market.instrument.is_derivative):
            self._clearing.reserve(account, market, order, _limit_notional(market, order))

    def _size(self, account: Account, market: MarketState, order: Order) -> None:
        """Fix the quantity: a reduce-only order is cut to its position, a quote budget becomes whole lots."""
        if order.reduce_only:
            room = room_of(account.size(market.instrument), order)
            if not room:
                raise ReduceOnlyRejected("there is no position that this order would reduce")
            order.quantity_units = room if order.close_position else min(order.quantity_units, room)
        elif order.quote_amount:
            order.quantity_units = _affordable(market, order)
            if not order.quantity_units:
                raise NoLiquidity("the quote quantity does not reach one lot")


def limit_of(order: Order) -> int:
    """Return the worst price that the order accepts."""
    return order.price_units or (NO_LIMIT if order.is_buy else -NO_LIMIT)


def room_of(size: int, order: Order) -> int:
    """Return how much of a position of `size` the order may reduce."""
    return max(0, -size if order.is_buy else size)


def check_post_only(market: MarketState, order: Order) -> None:
    if order.post_only and market.book.head(order.is_buy, order.price_units) is not None:
        raise WouldTake("a post-only order would match at once")


def _limit_notional(market: MarketState, order: Order) -> int:
    return order.price_units * order.left_units * market.notional_factor


def _affordable(market: MarketState, order: Order) -> int:
    """Return the most whole lots whose cost (or proceeds) stay within the quote budget."""
    budget, quantity = order.quote_amount, 0
    for _, price, size in market.book.crossing(order.is_buy, limit_of(order)):
        unit = price * market.notional_factor
        take = min(size, budget // unit)
        quantity, budget = quantity + take, budget - take * unit
        if take < size:
            break
    return quantity - quantity % market.lot_units


def _reachable(account: Account, market: MarketState, order: Order) -> Iterator[tuple[int, int]]:
    """Yield (price, quantity) that the order would match now."""
    left = order.left_units
    for maker, price, size in market.book.crossing(order.is_buy, limit_of(order)):
        if maker is not None and maker.account == account.name and order.self_trade is not SelfTrade.NONE:
            if order.self_trade is SelfTrade.EXPIRE_MAKER:
                continue
            return
        take = min(left, size)
        yield price, take
        left -= take
        if not left:
            return


def _fillable(account: Account, market: MarketState, order: Order) -> int:
    return sum(quantity for _, quantity in _reachable(account, market, order))


def _cost(account: Account, market: MarketState, order: Order) -> int:
    """Notional to reserve: at the limit price, or what a market order would pay now."""
    if order.price_units:
        return _limit_notional(market, order)
    reachable = _reachable(account, market, order)
    return sum(price * quantity for price, quantity in reachable) * market.notional_factor
