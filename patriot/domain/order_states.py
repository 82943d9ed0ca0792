"""The state machine of an order, as a table: status x event -> status. What is not in the row is refused.

    pending ──submit_started──► submitted ──submit_unknown──► unknown
       │                            └──────────┬────────────────┘
       │ (never sent: cancelled,               │ the venue's proof, and nothing else
       │  modified at once)                    ▼
       │                     accepted ──► partially_filled ──► filled
       └──────────► cancelled | rejected | expired   ◄── from every open status

* `submit_started` is durable before the first byte leaves; a second start is refused, so nothing is sent twice.
* `unknown` is left only by proof: accepted, a fill, rejected, cancelled, expired.
* What the platform holds back (a stop that it watches itself, an exit that waits for its entry) is pending.
* Cancels and modifications are requests: the status stays.
* A trade that the venue takes back leaves the status, but a filled order is no longer so: it ended without the rest.
* A fill that comes after the end is recorded all the same. A cancelled or expired order stays so unless it turns out
  to be filled; a rejected order that trades was not rejected.
"""

from typing import Final

from schemas.events import (
    OrderAccepted,
    OrderArmed,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderModifyRejected,
    OrderModifyRequested,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReleased,
    OrderRouted,
    OrderStopMoved,
    OrderSubmitStarted,
    OrderSubmitUnknown,
    OrderTradeBusted,
    OrderTriggered,
)
from schemas.types import OrderStatus

_ENDS: Final[dict[type[OrderEvent], OrderStatus]] = {
    OrderRejected: "rejected",
    OrderCancelled: "cancelled",
    OrderExpired: "expired",
}
_FILLS: Final[dict[type[OrderEvent], OrderStatus]] = {
    OrderPartiallyFilled: "partially_filled",
    OrderFilled: "filled",
}
_REQUESTS: Final = (OrderCancelRequested, OrderCancelRejected, OrderModifyRequested, OrderModified, OrderModifyRejected)


def _stay(status: OrderStatus, *events: type[OrderEvent]) -> dict[type[OrderEvent], OrderStatus]:
    return dict.fromkeys(events, status)


TRANSITIONS: Final[dict[OrderStatus, dict[type[OrderEvent], OrderStatus]]] = {
    "pending": {
        **_stay("pending", OrderRouted, OrderCancelRequested, OrderModifyRequested, OrderModified),
        **_stay("pending", OrderArmed, OrderStopMoved, OrderTriggered, OrderReleased),
        OrderSubmitStarted: "submitted",
        OrderAccepted: "accepted",
        **_ENDS,
    },
    "submitted": {
        **_stay("submitted", OrderCancelRequested, OrderCancelRejected),
        OrderSubmitUnknown: "unknown",
        OrderAccepted: "accepted",
        **_ENDS,
    },
    "unknown": {**_stay("unknown", OrderCancelRequested, OrderCancelRejected), OrderAccepted: "accepted", **_ENDS},
    "accepted": {**_stay("accepted", OrderAccepted, *_REQUESTS), **_FILLS, **_ENDS},
    "partially_filled": {
        **_stay("partially_filled", OrderAccepted, OrderTradeBusted, *_REQUESTS),
        **_FILLS,
        OrderCancelled: "cancelled",
        OrderExpired: "expired",
    },
    "filled": {OrderFilled: "filled", OrderTradeBusted: "cancelled"},
    "cancelled": {**_stay("cancelled", OrderPartiallyFilled, OrderTradeBusted), OrderFilled: "filled"},
    "expired": {**_stay("expired", OrderPartiallyFilled, OrderTradeBusted), OrderFilled: "filled"},
    "rejected": {**_FILLS},
}

UNSENT: Final[frozenset[OrderStatus]] = frozenset({"pending"})
UNPROVED: Final[frozenset[OrderStatus]] = frozenset({"pending", "submitted", "unknown"})
LIVE: Final[frozenset[OrderStatus]] = frozenset({"accepted", "partially_filled"})
ENDED: Final[frozenset[OrderStatus]] = frozenset({"filled", "cancelled", "rejected", "expired"})
