"""What one writer remembers of what it wrote. Rule: it is a guess; the statement that relies on it proves it.

With it a batch is planned before anything is asked of the database. Another process may have written since: then the
statement finds other balances, quotas or guards than planned, and the batch is made again under locks. What was seen to
change in other hands is not remembered any more: a look before the plan is cheaper than a plan that fails.
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
        self._shared: set[BalanceKey | QuotaKey] = set()

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
        if len(self._balances) + len(self._quotas) + len(self._shared) > self._keys_max:
            for known in (self._balances, self._quotas, self._shared):
                known.clear()
        shared = self._shared
        self._balances.update((key, balance) for key, balance in plan.balances.items() if key not in shared)
        self._quotas.update((key, used) for key, used in plan.quotas.items() if key not in shared)

    def correct(self, guess: Facts, found: Facts) -> None:
        """Where the guess was wrong, another process writes, too."""
        balances, quotas = found.balances.items(), found.quotas.items()
        self._shared.update(key for key, balance in balances if guess.balances.get(key, balance) != balance)
        self._shared.update(key for key, used in quotas if guess.quotas.get(key, used) != used)
