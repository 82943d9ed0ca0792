"""What clients ask for. Rule: mostly plain orders; now and then each of the other things that can be asked."""

import random
from decimal import Decimal
from typing import Any

from patriot.domain.instrument import Instrument
from tests.support.host import PERPETUAL, SPOT

Wish = tuple[str, dict[str, Any]]  # path and body of a POST

RARE = 0.15
_OFFSET_NEAR, _OFFSET_FAR = {"rule": "offset", "distance": "5"}, {"rule": "offset", "distance": "25"}
_PERCENT = {"rule": "percent", "distance": "0.1"}


def wish(rng: random.Random, middle: Decimal, account_id: str) -> Wish:
    if rng.random() < RARE:
        return rng.choice((_stop, _stop, _trailing, _iceberg, _oco, _bracket, _close))(rng, middle, account_id)
    return "/orders", _plain(rng, middle, account_id)


def _plain(rng: random.Random, middle: Decimal, account_id: str) -> dict[str, Any]:
    order = _order(rng, account_id, rng.choice((PERPETUAL, PERPETUAL, SPOT)))
    kind = rng.choice(("market", "limit", "limit", "limit", "IOC", "FOK", "post_only"))
    if kind == "market":
        return {**order, "order_type": "market"}
    price = middle + rng.choice((-30, -3, 0, 3, 30)) * _sign(order)
    more = {"post_only": {"post_only": True}, "limit": {}}.get(kind, {"time_in_force": kind})
    return {**order, "order_type": "limit", "price": f"{price:.1f}", **more}


def _stop(rng: random.Random, middle: Decimal, account_id: str) -> Wish:
    """At the venue, which has such orders of its own."""
    order = _order(rng, account_id, rng.choice((PERPETUAL, SPOT)))
    kind = rng.choice(("stop", "stop_limit", "take_profit", "take_profit_limit"))
    away = (15 if kind.startswith("stop") else -15) * _sign(order)
    price = {"price": f"{middle + 2 * away:.1f}"} if kind.endswith("limit") else {}
    return "/orders", {**order, "order_type": kind, "stop_price": f"{middle + away:.1f}", **price}


def _trailing(rng: random.Random, _: Decimal, account_id: str) -> Wish:
    """Held by the platform, or at the venue, which trails by percent."""
    trailing = rng.choice((_OFFSET_NEAR, _OFFSET_FAR, _PERCENT))
    return "/orders", {**_order(rng, account_id, PERPETUAL), "order_type": "trailing_stop", "trailing": trailing}


def _iceberg(rng: random.Random, middle: Decimal, account_id: str) -> Wish:
    """At the venue on spot, in slices of the platform on futures."""
    order = _order(rng, account_id, rng.choice((PERPETUAL, SPOT)))
    shown = Decimal(order["quantity"]) / 2
    price = f"{middle + rng.choice((-3, 3)) * _sign(order):.1f}"
    return "/orders", {**order, "order_type": "limit", "price": price, "display_quantity": str(shown)}


def _oco(rng: random.Random, middle: Decimal, account_id: str) -> Wish:
    order = _order(rng, account_id, PERPETUAL)
    return "/order-lists", {"kind": "oco", "orders": _exits(order, middle)}


def _bracket(rng: random.Random, middle: Decimal, account_id: str) -> Wish:
    entry = _order(rng, account_id, PERPETUAL)
    price = middle + rng.choice((-5, 5)) * _sign(entry)
    exits = _exits({**entry, "side": "sell" if entry["side"] == "buy" else "buy", "reduce_only": True}, middle)
    return "/order-lists", {
        "kind": "bracket",
        "orders": [{**entry, "order_type": "limit", "price": f"{price:.1f}"}, *exits],
    }


def _close(_rng: random.Random, _middle: Decimal, account_id: str) -> Wish:
    return "/positions/close", {"account_id": account_id}


def _exits(order: dict[str, Any], middle: Decimal) -> list[dict[str, Any]]:
    """What takes the profit, and what ends the loss."""
    away = 15 * _sign(order)
    profit = {**order, "order_type": "limit", "price": f"{middle - away:.1f}"}
    return [profit, {**order, "order_type": "stop", "stop_price": f"{middle + away:.1f}"}]


def _order(rng: random.Random, account_id: str, instrument: Instrument) -> dict[str, Any]:
    side, quantity = rng.choice(("buy", "sell")), rng.choice(("0.002", "0.005", "0.02", "0.04", "0.2"))
    return {"account_id": account_id, "instrument": instrument.id, "side": side, "quantity": quantity}


def _sign(order: dict[str, Any]) -> int:
    return 1 if order["side"] == "buy" else -1
