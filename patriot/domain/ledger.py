"""The double-entry ledger. Rule: the postings of every event sum to zero per asset, exactly.

`cash` is what the account owns. Each of the other ledgers mirrors it and says where the money came from or went:

| what happens             | cash                    | mirrored in                                                    |
| ------------------------ | ----------------------- | -------------------------------------------------------------- |
| deposit, paper funding   | asset +                 | external -                                                     |
| spot buy                 | base +, quote -         | position: base -, quote + (what the open quantity cost)        |
| spot sell                | base -, quote +         | position: base +, quote - (at cost); realised: quote - profit  |
| derivative close         | settle + profit         | realised: settle - profit                                      |
| fee                      | fee asset -             | fees: fee asset +                                              |
| spot fee kept in base    | base: less comes in     | fees: quote, the fee's value at the fill's price               |
| funding                  | settle + or -           | funding                                                        |
| transfer sent            | asset -                 | transit +, until it arrives (in another account's cash, or     |
|                          |                         | external) or is returned                                       |

So `cash` of an asset is the balance, `position` of a spot quote asset is the cost of what is held, and profits stand
in `realised` with a minus sign, as income does in every set of books. Opening a derivative moves no cash: what it
binds is margin, and that is a hold.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from msgspec import Struct

from patriot.domain.errors import UnbalancedPosting
from patriot.domain.money import ZERO, exact
from schemas.events import Event, Ledger, MoneyEvent, Posting


class LedgerEntry(Struct, frozen=True):
    """One ledger row: `line` is its number within the event."""

    account_id: UUID
    ledger: Ledger
    asset: str
    amount: Decimal
    line: int


def transfer(asset: str, amount: Decimal, source: Ledger, target: Ledger) -> tuple[Posting, ...]:
    """Move `amount` (either sign) from one ledger to another; no lines for zero."""
    if not amount:
        return ()
    taken = Posting(ledger=source, asset=asset, amount=amount.copy_negate())
    return taken, Posting(ledger=target, asset=asset, amount=amount)


@exact
def check(postings: Iterable[Posting]) -> None:
    """Raise UnbalancedPosting unless the postings sum to zero per asset."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for posting in postings:
        sums[posting.asset] += posting.amount
    wrong = {asset: total for asset, total in sums.items() if total}
    if wrong:
        raise UnbalancedPosting(", ".join(f"{asset} is off by {total}" for asset, total in sorted(wrong.items())))


def entries_of(event: MoneyEvent) -> tuple[LedgerEntry, ...]:
    """The ledger rows of an event. Raises UnbalancedPosting."""
    check(event.postings)
    return tuple(
        LedgerEntry(event.account_id, posting.ledger, posting.asset, posting.amount, line)
        for line, posting in enumerate(event.postings)
    )


@exact
def trial_balance(events: Iterable[Event]) -> dict[tuple[UUID, Ledger, str], Decimal]:
    """Sum of every (account, ledger, asset) over `events`. Raises UnbalancedPosting at the first event that is off."""
    sums: dict[tuple[UUID, Ledger, str], Decimal] = defaultdict(lambda: ZERO)
    for event in events:
        if isinstance(event, MoneyEvent):
            for entry in entries_of(event):
                sums[entry.account_id, entry.ledger, entry.asset] += entry.amount
    return dict(sums)
