"""What accounts are worth. Rule: equity = cash at its price + unrealised profit of derivatives, and adds up.

A spot position lies in the balances: its profit is shown beside the asset, its value counts once. Opening a derivative
moves no cash, so its value is what it has gained. Where one price is missing, the account's total is not known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.instrument import Instrument
from patriot.domain.money import EXACT, ZERO, exact, rounded
from patriot.domain.position import Position, unrealised
from patriot.domain.valuation import Valuation

TOTAL = "*"  # in the place of an asset or instrument: the account as a whole

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Holding:
    """An asset, a derivative position, or the `TOTAL` of one account. Money is in the currency of the valuation."""

    account_id: UUID
    name: str
    quantity: Decimal | None
    value: Decimal | None
    unrealised: Decimal | None


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of the market at one moment: definitions, mark prices by instrument, rates between assets."""

    instruments: Mapping[str, Instrument]
    marks: Mapping[str, Decimal]
    valuation: Valuation
    currency: str

    def profit(self, position: Mapping[str, Any]) -> Decimal | None:
        """Unrealised profit of a row of `positions`, in the asset that its instrument earns."""
        instrument, mark = self.instruments.get(position["instrument"]), self.marks.get(position["instrument"])
        if not position["quantity"]:
            return ZERO
        return None if instrument is None or mark is None else profit_of(position, instrument, mark)

    def valued_profit(self, position: Mapping[str, Any]) -> Decimal | None:
        """The same in the currency of the valuation."""
        profit, instrument = self.profit(position), self.instruments.get(position["instrument"])
        if not profit or instrument is None:
            return profit
        return self.valuation.value(earned_asset(instrument), profit, self.currency)


@exact
def profit_of(position: Mapping[str, Any], instrument: Instrument, mark: Decimal) -> Decimal:
    """Unrealised profit of a row of `positions` at `mark`."""
    quantity, average = position["quantity"], position["average_price"]
    cost = instrument.notional(abs(quantity), average).copy_sign(quantity) if average else ZERO
    state = Position(position["account_id"], instrument.id, quantity, cost, average)
    return rounded(unrealised(state, instrument, mark))


def earned_asset(instrument: Instrument) -> str:
    """The asset that profits of the instrument are in."""
    return instrument.settle if instrument.is_derivative else instrument.quote


def holdings(balances: Rows, positions: Rows, market: Market) -> list[Holding]:
    """Rows of `buying_power` and `positions`, valued, with the total of each account at its end."""
    by_account: dict[UUID, tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]] = {}
    for row in balances:
        by_account.setdefault(row["account_id"], ([], []))[0].append(row)
    for row in positions:
        by_account.setdefault(row["account_id"], ([], []))[1].append(row)
    return [
        holding
        for account_id, (cash, held) in by_account.items()
        for holding in _account(account_id, cash, held, market)
    ]


def _account(
    account_id: UUID, balances: Sequence[Mapping[str, Any]], positions: Sequence[Mapping[str, Any]], market: Market
) -> list[Holding]:
    derivatives = [row for row in positions if row["quantity"] and ":" in row["instrument"].partition(":")[2]]
    found = [_asset(account_id, row, positions, market) for row in balances if row["total"]]
    found += [_derivative(account_id, row, market) for row in derivatives]
    profits = [market.valued_profit(row) for row in positions]
    return [*found, Holding(account_id, TOTAL, None, _sum(one.value for one in found), _sum(profits))]


def _asset(account_id: UUID, row: Mapping[str, Any], positions: Sequence[Mapping[str, Any]], market: Market) -> Holding:
    spot = [one for one in positions if one["instrument"].partition(":")[2].startswith(f"{row['asset']}/")]
    profits = [market.valued_profit(one) for one in spot if ":" not in one["instrument"].partition(":")[2]]
    value = market.valuation.value(row["asset"], row["total"], market.currency)
    return Holding(account_id, row["asset"], row["total"], value, _sum(profits))


def _derivative(account_id: UUID, row: Mapping[str, Any], market: Market) -> Holding:
    profit = market.valued_profit(row)
    return Holding(account_id, row["instrument"], row["quantity"], profit, profit)


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    total = ZERO
    for value in values:
        if value is None:
            return None
        total = EXACT.add(total, value)
    return total
