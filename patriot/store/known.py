"""What one writer remembers of what it wrote. Rule: it is a guess; the statement that relies on it proves it.

With it a batch is planned before anything is asked of the database. Another process may have written since: then the
statement finds other balances, quotas or guards than planned, and the batch is made again under locks.
"""

from decimal import Decimal
from typing import Final

from patriot.store.plan import Balance, BalanceKey, Facts, LockKeys, Plan, QuotaKey

KEYS_MAX: Final = 200_000


class Known:
    """Balances and quotas as this writer left them."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._balances: dict[BalanceKey, Balance] = {}
        self._quotas: dict[QuotaKey, Decimal] = {}

    def take(self, keys: LockKeys) -> Facts | None:
        """Facts about all `keys`, None where one is not known. They are forgotten until they are learned again."""
        if keys.leases or not (keys.balances <= self._balances.keys() and keys.quotas <= self._quotas.keys()):
            return None
        return Facts(
            balances={key: self._balances.pop(key) for key in keys.balances},
            quotas={key: self._quotas.pop(key) for key in keys.quotas},
        )

    def learn(self, plan: Plan) -> None:
        """The plan has become durable."""
        if len(self._balances) + len(self._quotas) > self._keys_max:
            self._balances.clear()
            self._quotas.clear()
        self._balances.update(plan.balances)
        self._quotas.update(plan.quotas)
