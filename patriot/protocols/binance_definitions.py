"""Binance's exchange information as instruments. Rule: ids follow ccxt, so that both sides name a market alike."""

from decimal import Decimal

import msgspec

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument, Kind
from patriot.domain.money import decimal_of
from patriot.protocols.errors import DECODE_ERRORS, MalformedFrame
from patriot.protocols.naming import contract_suffix
from patriot.protocols.number import decimals

NEVER_DELIVERED_MS = 4_133_404_800_000  # the delivery date of a perpetual: 2100-12-25


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str = "0"
    step_size: str = "0"
    min_qty: str = "0"
    max_qty: str = "0"
    min_notional: str = ""  # spot
    notional: str = "0"  # futures


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    status: str = ""
    contract_status: str = ""  # COIN-M's name of it
    margin_asset: str = ""
    delivery_date: int = NEVER_DELIVERED_MS
    price_precision: int | None = None  # futures
    quantity_precision: int | None = None
    quote_asset_precision: int = 0  # spot
    base_asset_precision: int = 0
    contract_size: int = 1
    maint_margin_percent: str = "0"
    required_margin_percent: str = "100"


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


_exchange_info = msgspec.json.Decoder(_ExchangeInfo).decode


def decode_exchange_info(data: bytes, venue: str, kind: Kind, fees: tuple[Decimal, Decimal]) -> list[Instrument]:
    """Read `exchangeInfo` of spot, USDⓈ-M or COIN-M. Raises MalformedFrame."""
    try:
        return [_instrument(symbol, venue, kind, fees) for symbol in _exchange_info(data).symbols]
    except DECODE_ERRORS as error:
        raise MalformedFrame(str(error)) from None
    except InvalidValue as error:
        raise MalformedFrame(f"exchange information, {error}") from None


def _instrument(symbol: _Symbol, venue: str, kind: Kind, fees: tuple[Decimal, Decimal]) -> Instrument:
    filters = {one.filter_type: one for one in symbol.filters}
    price, lot = (filters.get(name) or _Filter(name) for name in ("PRICE_FILTER", "LOT_SIZE"))
    least = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or _Filter("NOTIONAL")
    tick, step = decimal_of(price.tick_size, "tickSize"), decimal_of(lot.step_size, "stepSize")
    margin = decimal_of(symbol.required_margin_percent, "requiredMarginPercent")
    return Instrument(
        id=f"{venue}:{symbol.base_asset}/{symbol.quote_asset}{_contract(symbol)}",
        native_symbol=symbol.symbol,
        base=symbol.base_asset,
        quote=symbol.quote_asset,
        settle=symbol.margin_asset or symbol.quote_asset,
        kind=kind,
        tick_size=tick,
        lot_size=step,
        price_decimals=decimals(tick, _first(symbol.price_precision, symbol.quote_asset_precision)),
        quantity_decimals=decimals(step, _first(symbol.quantity_precision, symbol.base_asset_precision)),
        minimum_quantity=decimal_of(lot.min_qty, "minQty"),
        maximum_quantity=decimal_of(lot.max_qty, "maxQty"),
        minimum_notional=decimal_of(least.min_notional or least.notional, "minNotional"),
        contract_size=Decimal(symbol.contract_size),
        maker_fee=fees[0],
        taker_fee=fees[1],
        maximum_leverage=max(1, int(100 / margin)) if margin else 1,
        maintenance_margin_rate=decimal_of(symbol.maint_margin_percent, "maintMarginPercent") / 100,
        trading=(symbol.status or symbol.contract_status) == "TRADING",
    )


def _first(futures: int | None, spot: int) -> int:
    """The venue's own precision, not that of the step: orders from before a step grew keep their finer numbers."""
    return spot if futures is None else futures


def _contract(symbol: _Symbol) -> str:
    if not symbol.margin_asset:
        return ""
    perpetual = symbol.delivery_date == NEVER_DELIVERED_MS
    return contract_suffix(symbol.margin_asset, 0 if perpetual else symbol.delivery_date)
