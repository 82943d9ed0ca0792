"""The unified account's wallet as Bybit writes it. Rule: totals are in dollars, at the last prices."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from feeds.venue.accounts import Account, Balance, Margin
from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_rows import Row, text
from patriot.domain.money import ZERO

DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
_RATIO: Final = Decimal("0.0001")


def wallet_row(exchange: Exchange, account: Account, coins: Sequence[str] = ()) -> Row:
    """The account of /v5/account/wallet-balance; `coins` narrows what is listed, not the totals."""
    return _wallet(exchange, account, coins, in_stream=False)


def wallet_message(exchange: Exchange, account: Account) -> Row:
    """The account of the stream. It has no `locked`: what open spot orders hold counts as order margin."""
    return _wallet(exchange, account, (), in_stream=True)


def _wallet(exchange: Exchange, account: Account, coins: Sequence[str], *, in_stream: bool) -> Row:
    balances = exchange.balances(account, "linear")
    settles = {instrument.settle for instrument in exchange.instruments if instrument.is_derivative}
    margins = {
        one.asset: exchange.margin(account, one.asset) if one.asset in settles else _unused(one) for one in balances
    }
    rates = {one.asset: dollar_rate(exchange, one.asset) for one in balances}
    rows = [
        _coin_row(margins[one.asset], one, rates[one.asset], in_stream=in_stream)
        for one in balances
        if not coins or one.asset in coins
    ]
    backing = [margin for asset, margin in margins.items() if asset in settles]
    wallet = sum((one.total * rates[one.asset] for one in balances), ZERO)
    return _totals(wallet, backing, rates) | {"accountType": "UNIFIED", "coin": rows}


def dollar_rate(exchange: Exchange, asset: str) -> Decimal:
    """Last price against a dollar coin, 0 where nothing has traded."""
    if asset in DOLLARS:
        return Decimal(1)
    for instrument in exchange.instruments:
        if instrument.base == asset and instrument.quote in DOLLARS:
            return instrument.price_of(exchange.ticker(instrument.id).last)
    return ZERO


def _unused(balance: Balance) -> Margin:
    """The margin of a coin that settles nothing."""
    return Margin(balance.asset, balance.total, ZERO, balance.total, ZERO, ZERO, ZERO, ZERO)


def _coin_row(margin: Margin, balance: Balance, rate: Decimal, *, in_stream: bool) -> Row:
    order_margin = margin.initial_margin - margin.position_margin
    row = {
        "coin": margin.asset,
        "equity": text(margin.margin_balance),
        "usdValue": text(margin.margin_balance * rate),
        "walletBalance": text(margin.wallet_balance),
        "availableToWithdraw": text(balance.free),
        "availableToBorrow": "",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "accruedInterest": "0",
        "totalOrderIM": text(order_margin + balance.locked if in_stream else order_margin),
        "totalPositionIM": text(margin.position_margin),
        "totalPositionMM": text(margin.maintenance_margin),
        "unrealisedPnl": text(margin.unrealised),
        "cumRealisedPnl": "0",
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
    }
    return row if in_stream else row | {"locked": text(balance.locked)}


def _totals(wallet: Decimal, margins: Sequence[Margin], rates: dict[str, Decimal]) -> Row:
    def total(values: Iterable[tuple[str, Decimal]]) -> Decimal:
        return sum((amount * rates[asset] for asset, amount in values), ZERO)

    unrealised = total((one.asset, one.unrealised) for one in margins)
    initial = total((one.asset, one.initial_margin) for one in margins)
    maintenance = total((one.asset, one.maintenance_margin) for one in margins)
    balance = total((one.asset, one.margin_balance) for one in margins)
    return {
        "totalEquity": text(wallet + unrealised),
        "accountIMRate": _ratio(initial, balance),
        "accountMMRate": _ratio(maintenance, balance),
        "accountLTV": "0",
        "totalWalletBalance": text(wallet),
        "totalMarginBalance": text(balance),
        "totalAvailableBalance": text(total((one.asset, one.available) for one in margins)),
        "totalPerpUPL": text(unrealised),
        "totalInitialMargin": text(initial),
        "totalMaintenanceMargin": text(maintenance),
    }


def _ratio(part: Decimal, whole: Decimal) -> str:
    return text((part / whole).quantize(_RATIO)) if whole > 0 else "0"
