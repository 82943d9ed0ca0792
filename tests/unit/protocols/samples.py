"""Instruments and small, real-looking messages for the codec tests."""

import json
from decimal import Decimal
from typing import Any

from patriot.domain.instrument import Instrument, Kind


def instrument(
    identity: str = "BINANCE:BTC/USDT",
    native_symbol: str = "BTCUSDT",
    kind: Kind = "spot",
    price_decimals: int = 2,
    quantity_decimals: int = 3,
) -> Instrument:
    return Instrument(
        id=identity,
        native_symbol=native_symbol,
        base="BTC",
        quote="USDT",
        settle="USDT",
        kind=kind,
        tick_size=Decimal(1).scaleb(-price_decimals),
        lot_size=Decimal(1).scaleb(-quantity_decimals),
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
    )


def frame(message: Any) -> bytes:
    """Compact JSON, as the venues send it."""
    return json.dumps(message, separators=(",", ":")).encode()


def stream(name: str, data: dict[str, Any]) -> bytes:
    """A message of a combined Binance stream."""
    return frame({"stream": name, "data": data})
