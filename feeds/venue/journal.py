"""What platform accounts own and did at the venue, on disk. Rule: written before the answer goes out, read at a start.

One file per venue, one JSON line per command: the orders and fills that it changed, and then what each touched account
owns. A line is written whole with one system call, so a killed process leaves at most the last command out, whose
answer nobody has seen. The file is not fsynced: a power cut is outside what a paper venue promises. At a start the
file is rewritten to what counts.
"""

import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import orjson
from msgspec.structs import asdict

from feeds.venue.accounts import Account
from feeds.venue.events import EVERY, AccountEvent, OrderUpdate
from feeds.venue.exchange import Exchange
from feeds.venue.orders import Fill, Order, OrderStatus, OrderType, Reason, SelfTrade, Side, TimeInForce, Trigger
from feeds.venue.state import AccountState, PositionState
from patriot.domain.instrument import Instrument

_ENUMS: Mapping[str, type[Enum]] = {
    "side": Side,
    "type": OrderType,
    "time_in_force": TimeInForce,
    "trigger_by": Trigger,
    "self_trade": SelfTrade,
    "status": OrderStatus,
    "reason": Reason,
}


class Journal:
    """Listens to one exchange. `is_kept` says which accounts matter."""

    def __init__(self, path: Path, exchange: Exchange) -> None:
        self._exchange = exchange
        self._path = path
        self._instruments = {instrument.id: instrument for instrument in exchange.instruments}
        self.states: dict[str, AccountState] = {}
        self.deposits: set[str] = set()
        self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._orders: dict[int, Order] = {}
        self._fills: list[Fill] = []
        self._touched: set[str] = set()
        self._deposit = ""

    def listen(self) -> None:
        """Begin to write; call it once the accounts are restored."""
        self._exchange.on_account(EVERY, self._hear)
        self._exchange.on_quiet(self._write)

    def close(self) -> None:
        os.close(self._file)

    def deposited(self, reference: str) -> None:
        """The next line tells that this deposit or withdrawal was made."""
        self.deposits.add(reference)
        self._deposit = reference

    def not_deposited(self, reference: str) -> None:
        """It was refused after all."""
        self.deposits.discard(reference)
        self._deposit = ""

    def _hear(self, event: AccountEvent) -> None:
        name = event.order.account if isinstance(event, OrderUpdate) else event.account
        if not is_platform_account(name):
            return
        self._touched.add(name)
        if isinstance(event, OrderUpdate):
            self._orders[event.order.id] = event.order
            if event.fill is not None:
                self._fills.append(event.fill)

    def _write(self) -> None:
        if not self._touched:
            return
        line = {
            "orders": [_plain(order) for order in self._orders.values()],
            "fills": [_plain(fill) for fill in self._fills],
            "accounts": {name: _state_row(_holdings(self._exchange.account(name))) for name in sorted(self._touched)},
            "deposit": self._deposit,
        }
        os.write(self._file, orjson.dumps(line) + b"\n")
        self._orders, self._fills, self._deposit = {}, [], ""
        self._touched.clear()

    def _read(self) -> None:
        """Fold the file. A torn last line is left out."""
        if not self._path.exists():
            return
        orders: dict[tuple[str, int], Order] = {}
        for raw in self._path.read_bytes().split(b"\n"):
            try:
                line = orjson.loads(raw)
            except orjson.JSONDecodeError:
                continue
            self._take(line, orders)
        for order in orders.values():
            self.states[order.account].orders.append(order)
        self._rewrite()

    def _rewrite(self) -> None:
        """Leave one line per account and deposit, and no torn one that would swallow the next."""
        lines = [
            {
                "orders": [_plain(order) for order in state.orders],
                "fills": [_plain(fill) for fill in state.fills],
                "accounts": {name: _state_row(state)},
                "deposit": "",
            }
            for name, state in self.states.items()
        ]
        lines += [{"orders": [], "fills": [], "accounts": {}, "deposit": one} for one in sorted(self.deposits)]
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        fresh.chmod(0o600)
        fresh.replace(self._path)

    def _take(self, line: Mapping[str, Any], orders: dict[tuple[str, int], Order]) -> None:
        for name, holdings in line["accounts"].items():
            state = self.states.setdefault(name, AccountState())
            state.totals = {asset: int(total) for asset, total in holdings["totals"].items()}
            state.positions = [_position(row) for row in holdings["positions"]]
        for row in line["orders"]:
            order = _order(row, self._instruments)
            orders[order.account, order.id] = order
        for row in line["fills"]:
            fill = _fill(row, self._instruments)
            self.states[fill.account].fills.append(fill)
        if line["deposit"]:
            self.deposits.add(line["deposit"])


def is_platform_account(name: str) -> bool:
    """Tell the accounts of the platform from the venue's own makers, fees and insurance."""
    return len(name) == 36  # a UUID's text


def _holdings(account: Account) -> AccountState:
    """What the account owns now."""
    return AccountState(
        {asset: holding.total for asset, holding in account.wallets["spot"].items()},
        [
            PositionState(one.instrument.id, one.leverage, one.size, one.cost, one.realised)
            for one in account.positions.values()
        ],
    )


def _state_row(state: AccountState) -> dict[str, Any]:
    """Integers beyond 64 bits travel as text."""
    return {
        "totals": {asset: str(total) for asset, total in state.totals.items()},
        "positions": [
            [one.instrument, one.leverage, str(one.size), str(one.cost), str(one.realised)] for one in state.positions
        ],
    }


def _plain(record: Order | Fill) -> dict[str, Any]:
    return {name: _value(value) for name, value in asdict(record).items()}


def _value(value: Any) -> Any:
    match value:
        case Instrument():
            return value.id
        case Enum():
            return value.value
        case bool() | str():
            return value
        case _:
            return str(value)


def _position(row: list[Any]) -> PositionState:
    instrument, leverage, size, cost, realised = row
    return PositionState(instrument, leverage, int(size), int(cost), int(realised))


def _order(row: Mapping[str, Any], instruments: Mapping[str, Instrument]) -> Order:
    return Order(**_typed(row, instruments))


def _fill(row: Mapping[str, Any], instruments: Mapping[str, Instrument]) -> Fill:
    return Fill(**_typed(row, instruments))


_TEXTS = frozenset({"account", "client_order_id", "fee_asset"})


def _typed(row: Mapping[str, Any], instruments: Mapping[str, Instrument]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, value in row.items():
        if name == "instrument":
            typed[name] = instruments[value]
        elif name in _ENUMS:
            typed[name] = _ENUMS[name](value)
        else:
            typed[name] = value if name in _TEXTS or isinstance(value, bool) else int(value)
    return typed
