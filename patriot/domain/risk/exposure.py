"""What an account is exposed to: by asset, venue, strategy. Rule: an asset counts alike, held or by a derivative."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from patriot.domain.money import ZERO, exact
from patriot.domain.risk.reservation import quote_value
from patriot.domain.risk.standing import Standing
from patriot.domain.worth import TOTAL, Market, holdings

Row = Mapping[str, Any]


@exact
def standing_of(balances: Sequence[Row], positions: Sequence[Row], venue: str, market: Market) -> Standing | None:
    """How one account stands now; None where a price is missing. Day and peak are the equity itself until marked."""
    found = [one for one in holdings(balances, positions, market) if one.name == TOTAL]
    equity = found[0].value if found else ZERO
    if equity is None:
        return None
    held, notionals, maintenance = dict[str, Decimal](), dict[str, Decimal](), ZERO
    for row in balances:
        if row["asset"] != market.currency and row["total"]:
            value = market.valuation.value(row["asset"], row["total"], market.currency)
            assert value is not None, "the total is known"
            _add(held, row["asset"], value)
            _add(notionals, venue, abs(value))
    for row in positions:
        instrument = market.instruments.get(row["instrument"])
        if instrument is None or not instrument.is_derivative or not row["quantity"]:
            continue
        value = _notional(row, market)
        _add(held, instrument.base, value)
        _add(notionals, instrument.venue, abs(value))
        maintenance += abs(value) * instrument.maintenance_margin_rate
    bound = [market.valuation.value(row["asset"], row["reserved"] + row["margin"], market.currency) for row in balances]
    margin = sum((value for value in bound if value is not None), ZERO)
    return Standing(equity, margin, maintenance, held, notionals, equity, equity)


def with_marks(standing: Standing, day_equity: Decimal, peak_equity: Decimal) -> Standing:
    return replace(standing, day_equity=day_equity, peak_equity=max(peak_equity, standing.equity))


@exact
def by_strategy(orders: Iterable[Row], market: Market) -> dict[str, Decimal]:
    """What the fills of each strategy's orders add up to, at the price of now; "" for orders without one."""
    found: dict[str, Decimal] = {}
    for row in orders:
        if row["filled_quantity"] and row["instrument"] in market.marks:
            signed = row["filled_quantity"] if row["side"] == "buy" else -row["filled_quantity"]
            _add(found, row["strategy_id"] or "", _notional({**row, "quantity": signed}, market))
    return {name: value for name, value in found.items() if value}


def _notional(row: Row, market: Market) -> Decimal:
    """The signed value of a quantity in the currency of the valuation."""
    instrument = market.instruments[row["instrument"]]
    value = quote_value(instrument, row["quantity"], market.marks[instrument.id])
    return market.valuation.value(instrument.quote, value, market.currency) or ZERO


def _add(sums: dict[str, Decimal], name: str, value: Decimal) -> None:
    sums[name] = sums.get(name, ZERO) + value
