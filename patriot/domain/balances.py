"""What an event does to the buying power of its account. Rule: balances are sums over events and nothing else."""

from decimal import Decimal
from uuid import UUID

from msgspec import Struct

from patriot.domain.money import ZERO, exact
from schemas.events import MoneyEvent, OrderCreated, OrderModifyRequested
from schemas.settlement_events import TransferRequested


class BalanceDelta(Struct, frozen=True):
    """A change of (account, asset). available = total - reserved - margin.

    `required` must be available before the change; None where the event states a fact that nobody can refuse.
    """

    account_id: UUID
    asset: str
    total: Decimal = ZERO
    reserved: Decimal = ZERO
    margin: Decimal = ZERO
    required: Decimal | None = None


@exact
def changes_of(event: MoneyEvent) -> list[BalanceDelta]:
    """The changes of one event, one per asset, in order of the asset; assets that do not change are left out."""
    asks = isinstance(event, (OrderCreated, OrderModifyRequested, TransferRequested))
    deltas = (_delta(event, asset, asks=asks) for asset in sorted(_assets(event)))
    return [delta for delta in deltas if delta.total or delta.reserved or delta.margin]


def _assets(event: MoneyEvent) -> set[str]:
    return {posting.asset for posting in event.postings} | {hold.asset for hold in event.holds}


def _delta(event: MoneyEvent, asset: str, *, asks: bool) -> BalanceDelta:
    cash = (posting.amount for posting in event.postings if posting.asset == asset and posting.ledger == "cash")
    holds = [hold for hold in event.holds if hold.asset == asset]
    reserved = sum((hold.reserved for hold in holds), ZERO)
    return BalanceDelta(
        account_id=event.account_id,
        asset=asset,
        total=sum(cash, ZERO),
        reserved=reserved,
        margin=sum((hold.margin for hold in holds), ZERO),
        required=reserved if asks and reserved > 0 else None,
    )
