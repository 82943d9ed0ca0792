"""What an asset is worth in another. Rule: a price that is unknown is None; nothing is ever assumed to be worth one.

The shortest way over the known pairs counts, of equals the first told; a pair may be walked backwards. So 0.5 ETH in
EUR goes ETH/USDT, then EUR/USDT turned around.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from patriot.domain.money import EXACT, ZERO, exact, rounded

STEPS_MAX = 3


class Valuation:
    """Prices of one moment: (base, quote) -> price."""

    def __init__(self, prices: Mapping[tuple[str, str], Decimal]) -> None:
        self._ways: dict[str, dict[str, Decimal]] = {}
        for (base, quote), price in prices.items():
            if price > 0:
                self._ways.setdefault(base, {}).setdefault(quote, price)
                self._ways.setdefault(quote, {}).setdefault(base, EXACT.divide(1, price))
        self._known: dict[tuple[str, str], Decimal | None] = {}

    def rate(self, asset: str, currency: str) -> Decimal | None:
        """How much of `currency` one `asset` is worth; None where no way of known prices leads there."""
        key = (asset, currency)
        if key not in self._known:
            self._known[key] = self._found(asset, currency)
        return self._known[key]

    @exact
    def value(self, asset: str, amount: Decimal, currency: str) -> Decimal | None:
        """To 18 decimals. Nothing is worth nothing, whatever the price."""
        if not amount:
            return ZERO
        rate = self.rate(asset, currency)
        return None if rate is None else rounded(amount * rate)

    def total(self, amounts: Iterable[tuple[str, Decimal]], currency: str) -> Decimal | None:
        """The sum of (asset, amount); None as soon as one of them has no price."""
        total = ZERO
        for asset, amount in amounts:
            value = self.value(asset, amount, currency)
            if value is None:
                return None
            total = EXACT.add(total, value)
        return total

    @exact
    def _found(self, asset: str, currency: str) -> Decimal | None:
        reached = {asset: Decimal(1)}
        newest = [asset]
        for _ in range(STEPS_MAX + 1):
            if currency in reached:
                return reached[currency]
            beyond = [(to, reached[at] * price) for at in newest for to, price in self._ways.get(at, {}).items()]
            newest = []
            for to, rate in beyond:
                if to not in reached:
                    reached[to] = rate
                    newest.append(to)
        return None
