"""Stops that follow the market inside the venue. Rule: a stop never loosens; one that has not begun cannot fire.

A trailing stop begins at once, or when the price reaches its activation price. From then on it keeps the best price
(the highest for a sale, the lowest for a purchase) and fires when the price has come back from there by its rate.
Source: Binance USDⓈ-M futures, TRAILING_STOP_MARKET.

Prices are *mirrored* here, negative for purchases, so that every stop lies below its best price.
"""

from feeds.venue.amounts import share_of
from feeds.venue.orders import Order, OrderStatus

_NOWHERE = (0, 0)
_HIGHEST = 1 << 62


class Trails:
    """The trailing stops of one instrument that follow one kind of price.

    Between two prices nothing can happen to any of them: one in there costs a comparison, whatever their number.
    """

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._calm = _NOWHERE

    def __bool__(self) -> bool:
        return bool(self._orders)

    def add(self, order: Order, price: int) -> None:
        """Let an order wait; `price` is that of now, 0 where none is known yet."""
        if price and not order.activation_units:
            see(order, price)
        self._orders[order.id] = order
        self._calm = _NOWHERE

    def follow(self, price: int) -> list[Order]:
        """Show all a price; return those for which it is a new best one, oldest first."""
        low, high = self._calm
        if low < price < high:
            return []
        self._orders = {key: one for key, one in self._orders.items() if one.status is OrderStatus.UNTRIGGERED}
        moved = [order for order in self._orders.values() if see(order, price)]
        self._calm = self._calm_around(price)
        return moved

    def due(self, price: int) -> Order | None:
        """Take out the oldest that fires at `price`, which was shown before."""
        low, high = self._calm
        if low < price < high:
            return None
        return next((self._orders.pop(key) for key, one in self._orders.items() if _is_due(one, price)), None)

    def _calm_around(self, price: int) -> tuple[int, int]:
        if any(_is_due(order, price) for order in self._orders.values()):
            return _NOWHERE
        bounds = [bound for order in self._orders.values() for bound in _bounds(order)]
        lower, upper = ([one for one in bounds if one <= price], [one for one in bounds if one >= price])
        return max(lower, default=0), min(upper, default=_HIGHEST)


def is_past_activation(order: Order, price: int) -> bool:
    """Whether the price at which it shall begin to trail lies behind already."""
    return bool(order.activation_units) and _mirrored(order, price) >= _mirrored(order, order.activation_units)


def see(order: Order, price: int) -> bool:
    """Show a stop a price; return whether it is the best one so far."""
    if order.best_units:
        is_best = _mirrored(order, price) > _mirrored(order, order.best_units)
    else:
        is_best = not order.activation_units or is_past_activation(order, price)
    if is_best:
        order.best_units = price
    return is_best


def _is_due(order: Order, price: int) -> bool:
    waits = order.status is OrderStatus.UNTRIGGERED and order.best_units
    return bool(waits) and _mirrored(order, price) <= _stop(order)


def _bounds(order: Order) -> tuple[int, ...]:
    """The prices at which something happens to it next."""
    if not order.best_units:
        return (order.activation_units,)
    return order.best_units, abs(_stop(order))


def _stop(order: Order) -> int:
    best = _mirrored(order, order.best_units)
    return best - share_of(order.best_units, order.callback_rate)


def _mirrored(order: Order, price: int) -> int:
    return -price if order.is_buy else price
