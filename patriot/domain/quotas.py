"""How much an account has used of its countable limits. Rule: exactly what its orders and positions say, at any time.

| quota | counts |
| --- | --- |
| orders | open orders |
| buy INSTRUMENT | the position, and what open buys may still add to it |
| sell INSTRUMENT | the position turned round, and what open sells may still add |

So a buy counts from its creation; its fills move it from order to position and change nothing; what is cancelled,
rejected or expired gives its open rest back. Each change is the difference of a state before an event and after it,
and lies in the commit of that event.
"""

from collections.abc import Mapping
from decimal import Decimal

from patriot.domain.money import ZERO, exact
from patriot.domain.order import Order
from patriot.domain.position import Position

OPEN_ORDERS = "orders"

Use = Mapping[str, Decimal]


def side_quota(side: str, instrument: str) -> str:
    return f"{side} {instrument}"


def of_order(order: Order | None) -> Use:
    if order is None or order.ended:
        return {}
    return {OPEN_ORDERS: Decimal(1), side_quota(order.side, order.instrument): order.open_quantity}


def of_position(position: Position | None) -> Use:
    if position is None or not position.quantity:
        return {}
    quantity = position.quantity
    name = position.instrument
    return {side_quota("buy", name): quantity, side_quota("sell", name): -quantity}


def of(state: object) -> Use:
    """What a state uses; nothing where it is neither order nor position."""
    if isinstance(state, Order):
        return of_order(state)
    return of_position(state) if isinstance(state, Position) else {}


@exact
def difference(before: object, after: object) -> dict[str, Decimal]:
    """What a change of state adds to each quota, without those that stay."""
    was, will_be = of(before), of(after)
    if was == will_be:
        return {}
    changes = {name: will_be.get(name, ZERO) - was.get(name, ZERO) for name in {**was, **will_be}}
    return {name: change for name, change in changes.items() if change}
