"""What an account looks like from outside. Rule: derived on demand from the clearing's integers, never stored."""

from decimal import Decimal

from feeds.venue.accounts import Account, Balance, Margin, Position, PositionView, WalletName, balance_of, entry_price
from feeds.venue.amounts import RATE_ONE, decimal_amount
from feeds.venue.clearing import Clearing
from patriot.domain.money import ZERO


def balance(clearing: Clearing, account: Account, wallet: WalletName, asset: str) -> Balance:
    available = max(0, clearing.withdrawable(account, wallet, asset))
    return balance_of(asset, account.holding(wallet, asset), available)


def margin_of(clearing: Clearing, account: Account, asset: str) -> Margin:
    holding = account.holding("linear", asset)
    unrealised = clearing.unrealised(account, asset)
    return Margin(
        asset,
        decimal_amount(holding.total),
        decimal_amount(unrealised),
        decimal_amount(holding.total + unrealised),
        decimal_amount(clearing.initial_margin(account, asset)),
        decimal_amount(clearing.position_margin(account, asset)),
        decimal_amount(clearing.maintenance_margin(account, asset)),
        decimal_amount(max(0, clearing.margin_available(account, asset))),
    )


def position_view(clearing: Clearing, account: Account, position: Position) -> PositionView:
    mark = clearing.mark_of(position)
    instrument = position.instrument
    return PositionView(
        instrument,
        instrument.quantity_of(position.size),
        entry_price(position),
        instrument.price_of(mark),
        position.leverage,
        decimal_amount(position.value(mark)),
        decimal_amount(position.unrealised(mark)),
        decimal_amount(position.realised),
        decimal_amount(position.position_margin(mark)),
        decimal_amount(position.maintenance_margin(mark)),
        liquidation_price(clearing, account, position),
        position.updated_ms,
    )


def liquidation_price(clearing: Clearing, account: Account, position: Position) -> Decimal:
    """Mark price at which margin balance meets maintenance margin, all other marks unchanged; 0 where there is none.

    Solves balance of the rest + size * price * factor - cost = |size| * price * factor * maintenance rate.
    """
    if not position.size:
        return ZERO
    asset, mark = position.instrument.settle, clearing.mark_of(position)
    rest = clearing.margin_balance(account, asset) - position.unrealised(mark)
    rest -= clearing.maintenance_margin(account, asset) - position.maintenance_margin(mark)
    slope = position.factor * (position.size * RATE_ONE - abs(position.size) * position.maintenance_rate)
    units = Decimal((position.cost - rest) * RATE_ONE) / slope
    price = units.scaleb(-position.instrument.price_decimals)
    return price.quantize(position.instrument.tick_size) if price > 0 else ZERO
