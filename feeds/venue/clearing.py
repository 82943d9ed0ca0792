"""The money side: reservations, settlement, margin, funding. Rule: whatever one account pays another receives, exactly.

Three accounts belong to the venue: `fees` collects commissions, `insurance` pays what a liquidated account cannot,
`house` is the other side of external levels. Spot fees are taken from what is received (buyer: base, seller: quote),
a derivative's from the wallet of its settle asset.
"""

from collections import defaultdict
from typing import NamedTuple

from feeds.venue.accounts import Account, Holding, Position, WalletName
from feeds.venue.amounts import RATE_ONE, fee_on, rate_of
from feeds.venue.errors import InsufficientBalance
from feeds.venue.market import MarketState
from feeds.venue.orders import Fill, Order
from feeds.venue.state import PositionState
from patriot.domain.instrument import Instrument


class Match(NamedTuple):
    """Two sides that met: price and quantity in units."""

    price: int
    quantity: int
    trade_id: int
    time_ms: int


class _Booked(NamedTuple):
    fee: int
    fee_asset: str
    realised: int


class Clearing:
    """Moves amounts between accounts. It knows accounts by name and markets by instrument id."""

    def __init__(self, markets: dict[str, MarketState], *, unified: bool) -> None:
        self.markets = markets
        self.unified = unified
        self.accounts: dict[str, Account] = {}
        self.touched: dict[tuple[str, WalletName], tuple[dict[str, None], dict[str, None]]] = {}
        """Since the last command: (account, wallet) -> assets and instrument ids that changed, in order."""
        self.holders: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """Instrument id -> names of the accounts that hold a position in it."""
        self.fees = self.open_account("fees", unlimited=True)
        self.insurance = self.open_account("insurance", unlimited=True)
        self.house = self.open_account("house", unlimited=True)

    def open_account(
        self, name: str, *, api_key: str = "", secret: str = "", unlimited: bool = False, history_max: int = 0
    ) -> Account:
        assert name not in self.accounts, "account names are distinct"
        account = Account(name, api_key, secret, unlimited, self.unified, history_max)
        self.accounts[name] = account
        return account

    # amounts

    def add(self, account: Account, wallet: WalletName, asset: str, amount: int) -> None:
        """Change a total; the other half of the movement is the caller's."""
        account.holding(wallet, asset).total += amount
        self._touch(account, wallet)[0][asset] = None

    def withdrawable(self, account: Account, wallet: WalletName, asset: str) -> int:
        """Return what may leave the wallet: free, less the margin in use and losses not yet realised."""
        free = account.holding(wallet, asset).free
        if not self._carries_margin(account, wallet):
            return free
        unrealised, initial = self.unrealised(account, asset), self.initial_margin(account, asset)
        return free + min(unrealised, 0) - initial

    def margin_available(self, account: Account, asset: str) -> int:
        """Return what new derivative orders may use as initial margin."""
        free = account.holding("linear", asset).free
        return free + self.unrealised(account, asset) - self.initial_margin(account, asset)

    def margin_balance(self, account: Account, asset: str) -> int:
        return account.holding("linear", asset).total + self.unrealised(account, asset)

    def unrealised(self, account: Account, asset: str) -> int:
        return sum(position.unrealised(self.mark_of(position)) for position in self._positions(account, asset))

    def initial_margin(self, account: Account, asset: str) -> int:
        return sum(position.initial_margin(self.mark_of(position)) for position in self._positions(account, asset))

    def position_margin(self, account: Account, asset: str) -> int:
        return sum(position.position_margin(self.mark_of(position)) for position in self._positions(account, asset))

    def maintenance_margin(self, account: Account, asset: str) -> int:
        return sum(position.maintenance_margin(self.mark_of(position)) for position in self._positions(account, asset))

    def mark_of(self, position: Position) -> int:
        return self.markets[position.instrument.id].mark

    # reservations

    def reserve(self, account: Account, market: MarketState, order: Order, notional: int) -> None:
        """Hold what `notional` more of the order may cost. Raises InsufficientBalance and changes nothing."""
        if market.instrument.is_derivative:
            self._reserve_margin(account, market, order, notional)
        else:
            self._reserve_spot(account, market, order, notional)

    def _reserve_spot(self, account: Account, market: MarketState, order: Order, notional: int) -> None:
        asset, amount = market.instrument.quote, notional
        if not order.is_buy:
            asset, amount = market.instrument.base, order.left_units * market.base_factor
        if not account.unlimited and amount > self.withdrawable(account, "spot", asset):
            raise InsufficientBalance(f"{asset}: the order needs more than is free")
        self._hold(account, order, amount)

    def _reserve_margin(self, account: Account, market: MarketState, order: Order, notional: int) -> None:
        if order.reduce_only:
            return
        position = account.position(market.instrument)
        if not account.unlimited and self._margin_needed(position, market, order, notional) > self.margin_available(
            account, market.instrument.settle
        ):
            raise InsufficientBalance(f"{market.instrument.settle}: margin is insufficient")
        self._hold(account, order, notional)

    def _margin_needed(self, position: Position, market: MarketState, order: Order, notional: int) -> int:
        """Return what `notional` more of the order asks of the free margin: margin added, loss on opening, fee."""
        mark = market.mark or order.price_units
        buys, sells = (notional, 0) if order.is_buy else (0, notional)
        added = position.initial_margin(mark, buys, sells) - position.initial_margin(mark)
        if added <= 0:
            return 0
        value = order.left_units * mark * market.notional_factor
        opening_loss = max(buys - value, 0) if order.is_buy else max(value - sells, 0)
        return added + opening_loss + fee_on(notional, market.taker_rate)

    def release(self, account: Account, order: Order, amount: int | None = None) -> None:
        """Give back `amount` of what the order holds, or all of it."""
        amount = order.locked_amount if amount is None else min(amount, order.locked_amount)
        if amount:
            self._hold(account, order, -amount)

    def retake(self, account: Account, order: Order, amount: int) -> None:
        """Hold again what was released a moment ago."""
        self._hold(account, order, amount)

    def _hold(self, account: Account, order: Order, amount: int) -> None:
        order.locked_amount += amount
        instrument = order.instrument
        if not instrument.is_derivative:
            asset = instrument.quote if order.is_buy else instrument.base
            account.holding("spot", asset).locked += amount
            self._touch(account, "spot")[0][asset] = None
        elif order.is_buy:
            account.position(instrument).open_buys += amount
        else:
            account.position(instrument).open_sells += amount

    # settlement

    def settle(self, account: Account, market: MarketState, order: Order, match: Match, *, is_maker: bool) -> Fill:
        """Book one side of a match: its money, its position, its order's cumulative figures."""
        quantity = match.quantity
        notional = match.price * quantity * market.notional_factor
        self.release(account, order, self._held_for(market, order, quantity, notional))
        rate = market.maker_rate if is_maker else market.taker_rate
        booked = self._book(account, market, quantity if order.is_buy else -quantity, notional, rate)
        order.filled_units += quantity
        order.filled_amount += notional
        order.fee_amount += booked.fee
        order.fee_asset = booked.fee_asset
        if market.instrument.is_derivative:
            account.position(market.instrument).updated_ms = match.time_ms
        return Fill(
            match.trade_id, order.id, order.client_order_id, account.name, market.instrument, order.side, match.price,
            quantity, notional, is_maker, booked.fee, booked.fee_asset, booked.realised, match.time_ms,
        )  # fmt: skip

    def settle_external(self, account: Account, market: MarketState, price: int, signed_quantity: int) -> None:
        """Book the side of a match that is no order's, free of fees: with the house, or with the insurance."""
        notional = price * abs(signed_quantity) * market.notional_factor
        self._book(account, market, signed_quantity, notional, 0)

    def _held_for(self, market: MarketState, order: Order, quantity: int, notional: int) -> int:
        if not market.instrument.is_derivative and not order.is_buy:
            return quantity * market.base_factor
        return order.price_units * quantity * market.notional_factor if order.price_units else notional

    def _book(self, account: Account, market: MarketState, signed_quantity: int, notional: int, rate: int) -> _Booked:
        instrument = market.instrument
        if instrument.is_derivative:
            return self._book_derivative(account, market, signed_quantity, notional, rate)
        base = abs(signed_quantity) * market.base_factor
        if signed_quantity > 0:
            fee, fee_asset = fee_on(base, rate), instrument.base
            self.add(account, "spot", instrument.base, base - fee)
            self.add(account, "spot", instrument.quote, -notional)
        else:
            fee, fee_asset = fee_on(notional, rate), instrument.quote
            self.add(account, "spot", instrument.quote, notional - fee)
            self.add(account, "spot", instrument.base, -base)
        if fee:
            self.add(self.fees, "spot", fee_asset, fee)
        return _Booked(fee, fee_asset, 0)

    def _book_derivative(
        self, account: Account, market: MarketState, signed_quantity: int, notional: int, rate: int
    ) -> _Booked:
        instrument = market.instrument
        position = account.position(instrument)
        realised = position.apply(signed_quantity, notional)
        fee = fee_on(notional, rate)
        self.add(account, "linear", instrument.settle, realised - fee)
        if fee:
            self.add(self.fees, "linear", instrument.settle, fee)
        self._touch(account, "linear")[1][instrument.id] = None
        if position.size:
            self.holders[instrument.id][account.name] = None
        else:
            self.holders[instrument.id].pop(account.name, None)
        return _Booked(fee, instrument.settle, realised)

    def pay_funding(self, market: MarketState) -> dict[str, int]:
        """Longs pay shorts where the rate is positive; each payment is rounded against its payer, the rest insures.

        Returns what each account received (negative: paid).
        """
        rate, asset = rate_of(market.funding_rate), market.instrument.settle
        received: dict[str, int] = {}
        for name in self.holders[market.instrument.id]:
            value = self.accounts[name].position(market.instrument).value(market.mark)
            received[name] = -value * rate // RATE_ONE
        for name, amount in received.items():
            self.add(self.accounts[name], "linear", asset, amount)
        self.add(self.insurance, "linear", asset, -sum(received.values()))
        return received

    def cover(self, account: Account, asset: str) -> int:
        """Let the insurance pay a negative wallet back to zero; return what it paid."""
        missing = -account.holding("linear", asset).total
        if missing <= 0:
            return 0
        self.add(account, "linear", asset, missing)
        self.add(self.insurance, "linear", asset, -missing)
        return missing

    # bookkeeping

    def restore_position(self, account: Account, instrument: Instrument, state: PositionState) -> None:
        """Set a position as it was."""
        account.leverages[instrument.id] = state.leverage
        position = account.position(instrument)
        position.leverage, position.size, position.cost = state.leverage, state.size, state.cost
        position.realised = state.realised
        if position.size:
            self.holders[instrument.id][account.name] = None

    def touch_position(self, account: Account, instrument_id: str) -> None:
        self._touch(account, "linear")[1][instrument_id] = None

    def _touch(self, account: Account, wallet: WalletName) -> tuple[dict[str, None], dict[str, None]]:
        key = (account.name, wallet)
        found = self.touched.get(key)
        if found is None:
            found = self.touched[key] = ({}, {})
        return found

    def _carries_margin(self, account: Account, wallet: WalletName) -> bool:
        return bool(account.positions) and (wallet == "linear" or account.unified)

    def _positions(self, account: Account, asset: str) -> list[Position]:
        return [position for position in account.positions.values() if position.instrument.settle == asset]


def total_money(clearing: Clearing) -> dict[str, int]:
    """Sum per asset over all accounts of what was paid in: holdings less the signed cost of open positions."""
    sums: dict[str, int] = {}
    for account in clearing.accounts.values():
        for holdings in _distinct(account):
            for asset, holding in holdings.items():
                sums[asset] = sums.get(asset, 0) + holding.total
        for position in account.positions.values():
            settle = position.instrument.settle
            sums[settle] = sums.get(settle, 0) - position.cost
    return sums


def _distinct(account: Account) -> list[dict[str, Holding]]:
    spot, linear = account.wallets["spot"], account.wallets["linear"]
    return [spot] if spot is linear else [spot, linear]
