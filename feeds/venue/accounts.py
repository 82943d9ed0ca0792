"""Accounts, balances, positions. Rule: money only moves between accounts; it is made by `deposit` alone.

For a linear perpetual, `Wallet.total` minus the signed cost of the open positions is what an account has paid in or
taken out by trading. Every fill moves that figure by equal and opposite amounts on its two sides, so the sum over all
accounts (fees and insurance are accounts too) stays constant, and the sizes of all positions sum to zero.
"""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from feeds.venue.amounts import decimal_amount, notional_factor, rate_of, share_of
from feeds.venue.orders import Fill, Order
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO

WalletName = Literal["spot", "linear"]


@dataclass(slots=True)
class Holding:
    """Amounts of one asset in one wallet; `locked` is the part that open spot orders hold."""

    total: int = 0
    locked: int = 0

    @property
    def free(self) -> int:
        return self.total - self.locked


@dataclass(slots=True, eq=False)
class Position:
    """One account's net position in one derivative (one-way mode, cross margin).

    `size` is signed quantity units; `cost` the signed notional at which the open part was entered. `open_buys` and
    `open_sells` are notionals of resting orders that may increase the position.
    """

    instrument: Instrument
    leverage: int = 1
    size: int = 0
    cost: int = 0
    open_buys: int = 0
    open_sells: int = 0
    realised: int = 0
    updated_ms: int = 0
    factor: int = field(init=False)
    maintenance_rate: int = field(init=False)

    def __post_init__(self) -> None:
        self.factor = notional_factor(self.instrument)
        self.maintenance_rate = rate_of(self.instrument.maintenance_margin_rate)

    def apply(self, signed_quantity: int, notional: int) -> int:
        """Book one fill; return the realised profit of the part that it closed."""
        closing = min(abs(signed_quantity), abs(self.size)) if self.size * signed_quantity < 0 else 0
        closed_notional = notional * closing // abs(signed_quantity)
        released = self.cost * closing // abs(self.size) if closing else 0
        profit = (closed_notional if self.size > 0 else -closed_notional) - released
        opened = notional - closed_notional
        self.cost += (opened if signed_quantity > 0 else -opened) - released
        self.size += signed_quantity
        self.realised += profit
        return profit

    def value(self, mark: int) -> int:
        """Signed notional at the mark price (units)."""
        return self.size * mark * self.factor

    def unrealised(self, mark: int) -> int:
        return self.value(mark) - self.cost

    def initial_margin(self, mark: int, buys: int = 0, sells: int = 0) -> int:
        """Margin of the position and its resting orders, with `buys` or `sells` of notional added."""
        value = self.value(mark)
        worst = max(abs(value + self.open_buys + buys), abs(value - self.open_sells - sells))
        return -(-worst // self.leverage)

    def position_margin(self, mark: int) -> int:
        return -(-abs(self.value(mark)) // self.leverage)

    def maintenance_margin(self, mark: int) -> int:
        return share_of(abs(self.value(mark)), self.maintenance_rate)


@dataclass(slots=True, eq=False)
class Account:
    """One customer (or the venue itself). `unlimited` accounts may go below zero and keep no history.

    `unified` means that spot and linear share one wallet (Bybit's unified account).
    """

    name: str
    api_key: str
    secret: str
    unlimited: bool
    unified: bool
    history_max: int
    wallets: dict[WalletName, dict[str, Holding]] = field(init=False)
    positions: dict[str, Position] = field(default_factory=dict)
    leverages: dict[str, int] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    by_client_id: dict[tuple[str, str], Order] = field(default_factory=dict)
    by_id: dict[int, Order] = field(default_factory=dict)
    finished: deque[Order] = field(default_factory=deque)
    fills: deque[Fill] = field(init=False)
    fills_of: dict[int, list[Fill]] = field(default_factory=dict)
    """Order id -> its fills, for the remembered orders."""

    def __post_init__(self) -> None:
        spot: dict[str, Holding] = {}
        self.wallets = {"spot": spot, "linear": spot if self.unified else {}}
        self.fills = deque(maxlen=self.history_max)

    def holding(self, wallet: WalletName, asset: str) -> Holding:
        """Return the living holding; it begins at zero."""
        holdings = self.wallets[wallet]
        found = holdings.get(asset)
        if found is None:
            found = holdings[asset] = Holding()
        return found

    def position(self, instrument: Instrument) -> Position:
        """Return the living position; it begins flat, at the leverage chosen for the instrument."""
        found = self.positions.get(instrument.id)
        if found is None:
            leverage = self.leverages.get(instrument.id, min(20, instrument.maximum_leverage))
            found = self.positions[instrument.id] = Position(instrument, leverage)
        return found

    def size(self, instrument: Instrument) -> int:
        found = self.positions.get(instrument.id)
        return found.size if found else 0

    def remember(self, order: Order) -> None:
        """Index an order from its acceptance on."""
        self.by_id[order.id] = order
        self.by_client_id[order.instrument.id, order.client_order_id] = order
        if order.is_open:
            self.open_orders[order.id] = order
        else:
            self.retire(order)

    def record(self, fill: Fill) -> None:
        """Remember a fill of a remembered order."""
        if self.history_max:
            self.fills.append(fill)
            self.fills_of.setdefault(fill.order_id, []).append(fill)

    def retire(self, order: Order) -> None:
        """Move an order to the history; the oldest ones fall out of it."""
        self.open_orders.pop(order.id, None)
        self.finished.append(order)
        while len(self.finished) > self.history_max:
            self._forget(self.finished.popleft())

    def _forget(self, order: Order) -> None:
        self.by_id.pop(order.id, None)
        self.fills_of.pop(order.id, None)
        key = (order.instrument.id, order.client_order_id)
        if self.by_client_id.get(key) is order:
            del self.by_client_id[key]


@dataclass(frozen=True, slots=True)
class Balance:
    """What the outside sees of one asset: `total = free + locked`; free may be less where margin is in use."""

    asset: str
    total: Decimal
    free: Decimal
    locked: Decimal


@dataclass(frozen=True, slots=True)
class PositionView:
    """What the outside sees of a position. `size` is signed; margins and profits are in the settle asset.

    `liquidation_price` is 0 where no price liquidates it.
    """

    instrument: Instrument
    size: Decimal
    entry_price: Decimal
    mark_price: Decimal
    leverage: int
    notional: Decimal
    unrealised: Decimal
    realised: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    liquidation_price: Decimal
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Margin:
    """Cross-margin summary of one settle asset. `available` is what new orders may use as initial margin."""

    asset: str
    wallet_balance: Decimal
    unrealised: Decimal
    margin_balance: Decimal
    initial_margin: Decimal
    position_margin: Decimal
    maintenance_margin: Decimal
    available: Decimal


def entry_price(position: Position) -> Decimal:
    """Average entry price of the open part, 0 when flat."""
    if not position.size:
        return ZERO
    units = Decimal(position.cost) / (position.size * position.factor)
    return units.scaleb(-position.instrument.price_decimals)


def balance_of(asset: str, holding: Holding, available: int) -> Balance:
    return Balance(asset, decimal_amount(holding.total), decimal_amount(available), decimal_amount(holding.locked))
