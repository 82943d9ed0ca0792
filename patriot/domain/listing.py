"""Well-known instruments, for the built-in venue and for recordings that bring no definitions.

Rule: steps, fees and margins are those of the exchange they stand for; a definition from the exchange wins.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from patriot.domain.instrument import Instrument

Venue = Literal["BINANCE", "BYBIT"]


@dataclass(frozen=True, slots=True)
class Fees:
    maker: str
    taker: str


_FEES: dict[tuple[str, str], Fees] = {
    ("BINANCE", "spot"): Fees("0.001", "0.001"),
    ("BINANCE", "linear"): Fees("0.0002", "0.0005"),
    ("BYBIT", "spot"): Fees("0.001", "0.001"),
    ("BYBIT", "linear"): Fees("0.0002", "0.00055"),
}


def well_known(venue: str) -> list[Instrument]:
    """What `instruments` lists; nothing for other venues."""
    return instruments(venue) if venue in get_args(Venue) else []  # type: ignore[arg-type]


def instruments(venue: Venue) -> list[Instrument]:
    """BTC/USDT and ETH/USDT, spot and USDT perpetual."""
    lowest = "100" if venue == "BINANCE" else "5"
    return [
        _spot(venue, "BTC", tick="0.01" if venue == "BINANCE" else "0.1", lot="0.00001"),
        _spot(venue, "ETH", tick="0.01", lot="0.0001"),
        _perpetual(venue, "BTC", tick="0.1", lot="0.001", minimum_notional=lowest),
        _perpetual(venue, "ETH", tick="0.01", lot="0.001" if venue == "BINANCE" else "0.01", minimum_notional="5"),
    ]


def _spot(venue: str, base: str, *, tick: str, lot: str) -> Instrument:
    fees = _FEES[venue, "spot"]
    return Instrument(
        id=f"{venue}:{base}/USDT",
        native_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        settle="USDT",
        kind="spot",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        price_decimals=2,
        quantity_decimals=5,
        minimum_quantity=Decimal(lot),
        maximum_quantity=Decimal(9000),
        minimum_notional=Decimal(5),
        maker_fee=Decimal(fees.maker),
        taker_fee=Decimal(fees.taker),
    )


def _perpetual(venue: str, base: str, *, tick: str, lot: str, minimum_notional: str) -> Instrument:
    fees = _FEES[venue, "linear"]
    return Instrument(
        id=f"{venue}:{base}/USDT:USDT",
        native_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        settle="USDT",
        kind="linear",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        price_decimals=2,
        quantity_decimals=3,
        minimum_quantity=Decimal(lot),
        maximum_quantity=Decimal(1000),
        minimum_notional=Decimal(minimum_notional),
        maker_fee=Decimal(fees.maker),
        taker_fee=Decimal(fees.taker),
        maximum_leverage=125 if venue == "BINANCE" else 100,
        maintenance_margin_rate=Decimal("0.004" if venue == "BINANCE" else "0.005"),
    )
