"""What goes out for each kind of order, to the letter of each exchange's own documentation."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from patriot.domain.venue import VenueOrder
from schemas.types import Trailing
from tests.unit.venues.recorder import ACCOUNT, LINEAR, SPOT, sent

MARKETS = [("BINANCE", "spot"), ("BINANCE", "linear"), ("BYBIT", "spot"), ("BYBIT", "linear")]
PATHS = {
    ("BINANCE", "spot"): "POST /api/v3/order",
    ("BINANCE", "linear"): "POST /fapi/v1/order",
    ("BYBIT", "spot"): "POST /v5/order/create",
    ("BYBIT", "linear"): "POST /v5/order/create",
}
ALGO_PATH = "POST /fapi/v1/algoOrder"
EXPIRY = datetime(2027, 1, 1, tzinfo=UTC)
TRIGGER = {"stop_price": Decimal(61_000)}
AT_MARKET: dict[str, Any] = {"price": None}

ORDERS: dict[str, dict[str, Any]] = {
    "limit": {},
    "market": {"order_type": "market", **AT_MARKET},
    "IOC": {"time_in_force": "IOC"},
    "FOK": {"time_in_force": "FOK"},
    "GTD": {"time_in_force": "GTD", "expire_at": EXPIRY},
    "post-only": {"post_only": True},
    "reduce-only": {"reduce_only": True},
    "stop": {"order_type": "stop", **AT_MARKET, **TRIGGER},
    "stop sell": {"order_type": "stop", "side": "sell", **AT_MARKET, **TRIGGER},
    "stop_limit": {"order_type": "stop_limit", **TRIGGER},
    "take_profit": {"order_type": "take_profit", **AT_MARKET, **TRIGGER},
    "take_profit sell": {"order_type": "take_profit", "side": "sell", **AT_MARKET, **TRIGGER},
    "take_profit_limit": {"order_type": "take_profit_limit", **TRIGGER},
    "iceberg": {"display_quantity": Decimal("0.00100")},
    "trailing_stop": {"order_type": "trailing_stop", "trailing": Trailing(distance=Decimal("1.5")), **AT_MARKET},
    "trailing_stop sell": {
        "order_type": "trailing_stop", "side": "sell", "reduce_only": True, **AT_MARKET,
        "trailing": Trailing(distance=Decimal("0.1"), activation_price=Decimal("61000.10")),
    },
}  # fmt: skip
GTC, PRICE, BINANCE_STOP, ALGO = {"timeInForce": "GTC"}, {"price": "59000"}, {"stopPrice": "61000"}, {"algo": True}
BYBIT_MARKET, BYBIT_LIMIT, BYBIT_STOP = {"orderType": "Market"}, {"orderType": "Limit"}, {"triggerPrice": "61000"}
BASE_COIN, STOP_ORDER = {"marketUnit": "baseCoin"}, {"orderFilter": "StopOrder"}
RISING, FALLING = {"triggerDirection": 1}, {"triggerDirection": 2}
BINANCE_TRAIL = {"type": "TRAILING_STOP_MARKET"}
SELL_BINANCE, SELL_BYBIT = {"side": "SELL"}, {"side": "Sell"}

EXPECTED: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("BINANCE", "spot"): {
        "limit": {"type": "LIMIT", **GTC, **PRICE},
        "market": {"type": "MARKET"},
        "IOC": {"type": "LIMIT", "timeInForce": "IOC", **PRICE},
        "FOK": {"type": "LIMIT", "timeInForce": "FOK", **PRICE},
        "post-only": {"type": "LIMIT_MAKER", **PRICE},
        "stop": {"type": "STOP_LOSS", **BINANCE_STOP},
        "stop sell": {"type": "STOP_LOSS", **BINANCE_STOP, **SELL_BINANCE},
        "stop_limit": {"type": "STOP_LOSS_LIMIT", **GTC, **PRICE, **BINANCE_STOP},
        "take_profit": {"type": "TAKE_PROFIT", **BINANCE_STOP},
        "take_profit sell": {"type": "TAKE_PROFIT", **BINANCE_STOP, **SELL_BINANCE},
        "take_profit_limit": {"type": "TAKE_PROFIT_LIMIT", **GTC, **PRICE, **BINANCE_STOP},
        "iceberg": {"type": "LIMIT", "icebergQty": "0.001", **GTC, **PRICE},
    },
    ("BINANCE", "linear"): {
        "limit": {"type": "LIMIT", **GTC, **PRICE},
        "market": {"type": "MARKET"},
        "IOC": {"type": "LIMIT", "timeInForce": "IOC", **PRICE},
        "FOK": {"type": "LIMIT", "timeInForce": "FOK", **PRICE},
        "GTD": {"type": "LIMIT", "timeInForce": "GTD", "goodTillDate": "1798761600000", **PRICE},
        "post-only": {"type": "LIMIT", "timeInForce": "GTX", **PRICE},
        "reduce-only": {"type": "LIMIT", "reduceOnly": "true", **GTC, **PRICE},
        "stop": {"type": "STOP_MARKET", **BYBIT_STOP, **ALGO},
        "stop sell": {"type": "STOP_MARKET", **BYBIT_STOP, **ALGO, **SELL_BINANCE},
        "stop_limit": {"type": "STOP", **GTC, **PRICE, **BYBIT_STOP, **ALGO},
        "take_profit": {"type": "TAKE_PROFIT_MARKET", **BYBIT_STOP, **ALGO},
        "take_profit sell": {"type": "TAKE_PROFIT_MARKET", **BYBIT_STOP, **ALGO, **SELL_BINANCE},
        "take_profit_limit": {"type": "TAKE_PROFIT", **GTC, **PRICE, **BYBIT_STOP, **ALGO},
        "trailing_stop": {**BINANCE_TRAIL, "callbackRate": "1.5", **ALGO},
        "trailing_stop sell": {
            **BINANCE_TRAIL,
            "callbackRate": "0.1",
            "activatePrice": "61000.1",
            "reduceOnly": "true",
            **ALGO,
            **SELL_BINANCE,
        },
    },
    ("BYBIT", "spot"): {
        "limit": {**BYBIT_LIMIT, **GTC, **PRICE},
        "market": {**BYBIT_MARKET, **BASE_COIN},
        "IOC": {**BYBIT_LIMIT, "timeInForce": "IOC", **PRICE},
        "FOK": {**BYBIT_LIMIT, "timeInForce": "FOK", **PRICE},
        "post-only": {**BYBIT_LIMIT, "timeInForce": "PostOnly", **PRICE},
        "stop": {**BYBIT_MARKET, **BASE_COIN, **STOP_ORDER, **BYBIT_STOP},
        "stop sell": {**BYBIT_MARKET, **BASE_COIN, **STOP_ORDER, **BYBIT_STOP, **SELL_BYBIT},
        "stop_limit": {**BYBIT_LIMIT, **GTC, **PRICE, **STOP_ORDER, **BYBIT_STOP},
        "take_profit": {**BYBIT_MARKET, **BASE_COIN, **STOP_ORDER, **BYBIT_STOP},
        "take_profit sell": {**BYBIT_MARKET, **BASE_COIN, **STOP_ORDER, **BYBIT_STOP, **SELL_BYBIT},
        "take_profit_limit": {**BYBIT_LIMIT, **GTC, **PRICE, **STOP_ORDER, **BYBIT_STOP},
    },
    ("BYBIT", "linear"): {
        "limit": {**BYBIT_LIMIT, **GTC, **PRICE},
        "market": BYBIT_MARKET,
        "IOC": {**BYBIT_LIMIT, "timeInForce": "IOC", **PRICE},
        "FOK": {**BYBIT_LIMIT, "timeInForce": "FOK", **PRICE},
        "post-only": {**BYBIT_LIMIT, "timeInForce": "PostOnly", **PRICE},
        "reduce-only": {**BYBIT_LIMIT, "reduceOnly": True, **GTC, **PRICE},
        "stop": {**BYBIT_MARKET, **BYBIT_STOP, **RISING},
        "stop sell": {**BYBIT_MARKET, **BYBIT_STOP, **FALLING, **SELL_BYBIT},
        "stop_limit": {**BYBIT_LIMIT, **GTC, **PRICE, **BYBIT_STOP, **RISING},
        "take_profit": {**BYBIT_MARKET, **BYBIT_STOP, **FALLING},
        "take_profit sell": {**BYBIT_MARKET, **BYBIT_STOP, **RISING, **SELL_BYBIT},
        "take_profit_limit": {**BYBIT_LIMIT, **GTC, **PRICE, **BYBIT_STOP, **FALLING},
    },
}
"""What differs from the common part. A kind that is missing cannot be expressed there and is never sent."""

pytestmark = pytest.mark.requirement("P7")


def common(venue: str, kind: str, *, is_algo: bool) -> dict[str, Any]:
    if venue == "BYBIT":
        return {"symbol": "BTCUSDT", "side": "Buy", "orderLinkId": "n1", "category": kind, "qty": "0.002"}
    name = {"clientAlgoId": "n1", "algoType": "CONDITIONAL"} if is_algo else {"newClientOrderId": "n1"}
    answer = "FULL" if kind == "spot" else "RESULT"
    return {"symbol": "BTCUSDT", "side": "BUY", "newOrderRespType": answer, "quantity": "0.002", **name}


def made(venue: str, kind: str, **changes: object) -> VenueOrder:
    given: dict[str, Any] = {
        "account_id": ACCOUNT,
        "instrument": f"{venue}:{SPOT if kind == 'spot' else LINEAR}",
        "client_order_id": "n1",
        "side": "buy",
        "order_type": "limit",
        "quantity": Decimal("0.002"),
        "price": Decimal(59_000),
    }
    return VenueOrder(**(given | changes))


@pytest.mark.parametrize(("venue", "kind"), MARKETS)
@pytest.mark.parametrize("name", ORDERS)
async def test_order_goes_out_as_the_exchange_wants_it(venue: str, kind: str, name: str):
    requests = await sent(venue, kind, made(venue, kind, **ORDERS[name]))
    own = EXPECTED[venue, kind].get(name)
    if own is None:
        assert requests == []
        return
    own = dict(own)
    is_algo = own.pop("algo", False)
    path = ALGO_PATH if is_algo else PATHS[venue, kind]
    assert requests == [(path, common(venue, kind, is_algo=is_algo) | own)]


@pytest.mark.parametrize(("venue", "kind"), MARKETS)
@pytest.mark.parametrize(
    ("quantity", "price", "texts"),
    [
        (Decimal("0.1") + Decimal("0.2"), Decimal("1E-8"), ("0.3", "0.00000001")),
        (Decimal("1E-8"), Decimal("123456789.12345678"), ("0.00000001", "123456789.12345678")),
        (Decimal("1E+3"), Decimal("60000.10000000"), ("1000", "60000.1")),
        (Decimal(9007199254740993), Decimal("0.30000000"), ("9007199254740993", "0.3")),
    ],
    ids=str,
)
async def test_figures_go_out_exactly(venue: str, kind: str, quantity: Decimal, price: Decimal, texts: tuple[str, str]):
    ((_, parameters),) = await sent(venue, kind, made(venue, kind, quantity=quantity, price=price))
    assert (parameters.get("quantity") or parameters.get("qty"), parameters["price"]) == texts


@pytest.mark.parametrize(("venue", "kind"), MARKETS)
@pytest.mark.parametrize(
    "figures",
    [{"quantity": Decimal("0.0011")}, {"price": Decimal("59000.05")}, {"quantity": Decimal("0.1") + Decimal("1E-20")}],
    ids=str,
)
async def test_figure_off_the_steps_is_never_cut_to_them(venue: str, kind: str, figures: dict[str, Decimal]):
    assert await sent(venue, kind, made(venue, kind, **figures), amount="0.001", price="0.1") == []
