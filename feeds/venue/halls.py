"""The trading halls of this process: one exchange per venue that the built-in one stands for, and their accounts.

A platform account trades on the hall of its exchange under its own id. Paper accounts are unified (one wallet for
spot and derivatives), so that the platform's buying power and the venue's mean the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from feeds.venue.accounts import Account
from feeds.venue.adapter import InProcessVenue
from feeds.venue.errors import InsufficientBalance
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.journal import Journal
from patriot.domain.instrument import Instrument
from patriot.domain.venue import (
    NotFound,
    OrderRef,
    OrderState,
    Outcome,
    Rejected,
    Unknown,
    VenueBalanceState,
    VenueOrder,
    VenuePositionState,
)
from schemas.types import Side


class Halls:
    """`listed` are the instruments of each venue. With a `folder`, accounts survive a restart (see `journal.py`)."""

    def __init__(
        self,
        listed: Mapping[str, Sequence[Instrument]],
        now_ms: Callable[[], int],
        folder: Path | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        self._exchanges = {
            venue: Exchange(venue, found, now_ms, unified=True, client_ids_forever=venue == "BYBIT")
            for venue, found in listed.items()
        }
        self._journals: dict[str, Journal] = {}
        self._venues: dict[UUID, str] = {}
        self.faults = faults or FaultPlan()
        if folder is not None:
            self._journals = {one.venue: Journal(folder / f"{one.venue}.jsonl", one) for one in self}
        self._deposits = {venue: set(journal.deposits) for venue, journal in self._journals.items()}

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._exchanges.values())

    def __getitem__(self, venue: str) -> Exchange:
        return self._exchanges[venue]

    def __contains__(self, venue: str) -> bool:
        return venue in self._exchanges

    def open(self, venue: str, account_id: UUID, api_key: str, secret: str) -> None:
        """Open the account of a platform account; again is harmless."""
        if account_id in self._venues:
            return
        exchange = self._exchanges[venue]
        account = exchange.open_account(str(account_id), api_key=api_key, secret=secret)
        self._venues[account_id] = venue
        journal = self._journals.get(venue)
        state = journal.states.pop(account.name, None) if journal else None
        if state is not None:
            exchange.restore(account, state)

    def listen(self) -> None:
        """Begin to keep the journals, once the accounts of before are open again."""
        for journal in self._journals.values():
            journal.listen()

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()

    def venue_of(self, account_id: UUID) -> str | None:
        return self._venues.get(account_id)

    def deposit(self, account_id: UUID, asset: str, amount: Decimal, reference: str) -> None:
        """Put paper money in, once per `reference`. Raises KeyError for an account that is not open."""
        venue = self._venues[account_id]
        if reference in self._deposits.setdefault(venue, set()):
            return
        journal, exchange = self._journals.get(venue), self._exchanges[venue]
        if journal is not None:
            journal.deposited(reference)
        exchange.deposit(exchange.account(str(account_id)), "spot", asset, amount)
        self._deposits[venue].add(reference)

    def withdraw(self, account_id: UUID, asset: str, amount: Decimal, reference: str) -> None:
        """Let money go, once per `reference`.

        Raises:
            KeyError: the account is not open.
            InsufficientBalance: margin or open orders need it.
        """
        venue = self._venues[account_id]
        if reference in self._deposits.setdefault(venue, set()):
            return
        journal, exchange = self._journals.get(venue), self._exchanges[venue]
        if journal is not None:
            journal.deposited(reference)
        try:
            exchange.withdraw(exchange.account(str(account_id)), "spot", asset, amount)
        except InsufficientBalance:
            if journal is not None:
                journal.not_deposited(reference)
            raise
        self._deposits[venue].add(reference)

    def adapter(self, venue: str) -> InProcessVenue:
        exchange = self._exchanges[venue]
        return InProcessVenue(exchange, lambda account_id: self._account(exchange, account_id), self.faults)

    def _account(self, exchange: Exchange, account_id: UUID) -> Account:
        return exchange.account(str(account_id))


class PaperVenue:
    """`VenueAdapter` for every hall, in process: an account trades on the hall where it was opened."""

    def __init__(self, halls: Halls) -> None:
        self._halls = halls
        self._adapters = {exchange.venue: halls.adapter(exchange.venue) for exchange in halls}

    async def create(self, order: VenueOrder) -> Outcome:
        adapter = self._of(order.account_id)
        return await adapter.create(order) if adapter else NO_ACCOUNT

    async def modify(
        self, ref: OrderRef, quantity: Decimal, price: Decimal | None, side: Side, stop_price: Decimal | None = None
    ) -> Outcome:
        adapter = self._of(ref.account_id)
        return await adapter.modify(ref, quantity, price, side, stop_price) if adapter else NO_ACCOUNT

    async def cancel(self, ref: OrderRef) -> Outcome:
        adapter = self._of(ref.account_id)
        return await adapter.cancel(ref) if adapter else NO_ACCOUNT

    async def query(self, ref: OrderRef) -> OrderState | NotFound | Unknown:
        adapter = self._of(ref.account_id)
        return await adapter.query(ref) if adapter else NotFound()

    async def open_orders(self, account_id: UUID) -> Sequence[OrderState] | Unknown:
        adapter = self._of(account_id)
        return await adapter.open_orders(account_id) if adapter else ()

    async def balances(self, account_id: UUID) -> Sequence[VenueBalanceState] | Unknown:
        adapter = self._of(account_id)
        return await adapter.balances(account_id) if adapter else ()

    async def positions(self, account_id: UUID) -> Sequence[VenuePositionState] | Unknown:
        adapter = self._of(account_id)
        return await adapter.positions(account_id) if adapter else ()

    async def set_leverage(self, account_id: UUID, instrument: str, leverage: int) -> Outcome:
        adapter = self._of(account_id)
        return await adapter.set_leverage(account_id, instrument, leverage) if adapter else NO_ACCOUNT

    async def leverages(self, account_id: UUID, instruments: Sequence[str]) -> Mapping[str, Decimal] | Unknown:
        adapter = self._of(account_id)
        return await adapter.leverages(account_id, instruments) if adapter else {}

    def subscribe(self, listener: Callable[[OrderState], None]) -> None:
        """The private stream without a socket: `listener` is told the state of every order that changes."""
        for adapter in self._adapters.values():
            adapter.listen(listener)

    async def close(self) -> None:
        """Nothing is held."""

    def _of(self, account_id: UUID) -> InProcessVenue | None:
        venue = self._halls.venue_of(account_id)
        return self._adapters[venue] if venue else None


NO_ACCOUNT = Rejected("account_unknown", "the paper venue has not opened this account yet; place the order again")
