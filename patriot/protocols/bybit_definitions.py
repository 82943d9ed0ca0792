"""Bybit's instruments-info as instruments. Rule: ids follow ccxt, so that both sides name a market alike."""

from decimal import Decimal

import msgspec

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument, Kind
from patriot.domain.money import ZERO, decimal_of
from patriot.protocols.errors import DECODE_ERRORS, MalformedFrame
from patriot.protocols.naming import contract_suffix
from patriot.protocols.number import decimals


class _PriceFilter(msgspec.Struct, rename="camel"):
    tick_size: str


class _LotFilter(msgspec.Struct, rename="camel"):
    min_order_qty: str
    max_order_qty: str = "0"
    qty_step: str = ""  # linear
    base_precision: str = "1"  # spot
    min_notional_value: str = ""  # linear
    min_order_amt: str = "0"  # spot


class _Leverage(msgspec.Struct, rename="camel", frozen=True):
    max_leverage: str = "1"


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_coin: str
    quote_coin: str
    price_filter: _PriceFilter
    lot_size_filter: _LotFilter
    settle_coin: str = ""
    price_scale: str = "0"
    delivery_time: str = "0"
    leverage_filter: _Leverage = _Leverage()


class _Listed(msgspec.Struct):
    list: list[_Symbol]
    category: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: msgspec.Raw = msgspec.Raw()


_answer = msgspec.json.Decoder(_Answer).decode
_listed = msgspec.json.Decoder(_Listed).decode


def decode_instruments_info(data: bytes, venue: str, kind: Kind, fees: tuple[Decimal, Decimal]) -> list[Instrument]:
    """Read one page of `instruments-info`. Raises MalformedFrame."""
    try:
        answer = _answer(data)
        if answer.ret_code:
            raise MalformedFrame(f"instruments-info answered {answer.ret_code} {answer.ret_msg!r}")
        listed = _listed(answer.result)
        if listed.category not in {"", kind}:
            raise MalformedFrame(f"instruments-info of {listed.category!r}, not {kind}")
        return [_instrument(symbol, venue, kind, fees) for symbol in listed.list]
    except DECODE_ERRORS as error:
        raise MalformedFrame(str(error)) from None
    except InvalidValue as error:
        raise MalformedFrame(f"instruments-info, {error}") from None


def _instrument(symbol: _Symbol, venue: str, kind: Kind, fees: tuple[Decimal, Decimal]) -> Instrument:
    lot = symbol.lot_size_filter
    tick = decimal_of(symbol.price_filter.tick_size, "tickSize")
    step = decimal_of(lot.qty_step or lot.base_precision, "qtyStep")
    leverage = decimal_of(symbol.leverage_filter.max_leverage, "maxLeverage")
    return Instrument(
        id=f"{venue}:{symbol.base_coin}/{symbol.quote_coin}{_contract(symbol)}",
        native_symbol=symbol.symbol,
        base=symbol.base_coin,
        quote=symbol.quote_coin,
        settle=symbol.settle_coin or symbol.quote_coin,
        kind=kind,
        tick_size=tick,
        lot_size=step,
        price_decimals=decimals(tick, int(decimal_of(symbol.price_scale, "priceScale"))),
        quantity_decimals=decimals(step),
        minimum_quantity=decimal_of(lot.min_order_qty, "minOrderQty"),
        maximum_quantity=decimal_of(lot.max_order_qty, "maxOrderQty"),
        minimum_notional=decimal_of(lot.min_notional_value or lot.min_order_amt, "minNotionalValue"),
        maker_fee=fees[0],
        taker_fee=fees[1],
        maximum_leverage=max(1, int(leverage)),
        # the first risk tier: half of the initial margin at the highest leverage
        maintenance_margin_rate=1 / (2 * leverage) if leverage > 1 else ZERO,
        trading=symbol.status == "Trading",
    )


def _contract(symbol: _Symbol) -> str:
    """Only contracts name what they settle in."""
    if not symbol.settle_coin:
        return ""
    return contract_suffix(symbol.settle_coin, int(decimal_of(symbol.delivery_time, "deliveryTime")))
