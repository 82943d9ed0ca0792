"""A hundred thousand operations on the ledger, in any order. Rule: the books balance after every single event.

Deposits, withdrawals, transfers with approvals, refusals and compensation, spot and derivative fills with every kind of
fee, reconciliation differences. Kept beside the ledger, in plain integers, is what it should hold.
"""

import os
import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import ValidationError

from patriot.domain import transfer as saga
from patriot.domain.account import Account, adjust, fund
from patriot.domain.balances import changes_of
from patriot.domain.errors import InvalidTransition, InvalidValue, UnbalancedPosting
from patriot.domain.ledger import entries_of
from patriot.domain.money import exact
from patriot.domain.position import apply_fill, fold
from schemas.events import AccountFunded, OrderFilled, Posting
from tests.support.host import PERPETUAL, SPOT

OPERATIONS = int(os.environ.get("PATRIOT_LEDGER_OPERATIONS", "100000"))
SEED = int(os.environ.get("PATRIOT_SEED", "17"))
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = [UUID(int=100 + number) for number in range(4)]
ASSETS = ("USDT", "BTC", "BNB")
INSTRUMENTS = (SPOT, PERPETUAL)


class Storm:
    """Accounts, their positions, transfers under way, and the sums of all ledgers."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.accounts = [
            Account(UUID(int=number + 1), PEOPLE[number % 2], "BINANCE", "paper", "main") for number in range(6)
        ]
        self.positions = {}
        self.transfers = {}
        self.sums = defaultdict(Decimal)  # (ledger, asset)
        self.cash = defaultdict(Decimal)  # (account, asset), from the postings
        self.total = defaultdict(Decimal)  # the same, from the balance changes
        self.reserved = defaultdict(Decimal)
        self.events = self.refused = 0

    def step(self):
        name = self.random.choice(
            ("deposit", "withdraw", "internal", "fill", "fill", "adjust", "go_on", "go_on", "end")
        )
        try:
            getattr(self, name)()
        except (InvalidTransition, InvalidValue):
            self.refused += 1

    def take(self, event):
        self.events += 1
        for entry in entries_of(event):  # raises where the event does not balance
            self.sums[entry.ledger, entry.asset] += entry.amount
            if entry.ledger == "cash":
                self.cash[entry.account_id, entry.asset] += entry.amount
        for delta in changes_of(event):
            self.total[delta.account_id, delta.asset] += delta.total
            self.reserved[delta.account_id, delta.asset] += delta.reserved

    def check(self, *, all_of_it):
        for asset in ASSETS:
            assert sum(total for (_, one), total in self.sums.items() if one == asset) == 0, asset
        if all_of_it:
            assert self.cash == {key: total for key, total in self.total.items() if key in self.cash}
            sent = [one for one in self.transfers.values() if one.status == "sent"]
            held = [one for one in self.transfers.values() if one.status in {"requested", "approved"}]
            for asset in ASSETS:
                assert self.sums["transit", asset] == sum(
                    (one.amount for one in sent if one.asset == asset), Decimal(0)
                )
                assert sum(total for (_, one), total in self.reserved.items() if one == asset) == sum(
                    (one.amount for one in held if one.asset == asset), Decimal(0)
                )

    def amount(self):
        return Decimal(self.random.randrange(1, 10**12)).scaleb(-self.random.randrange(0, 18))

    def account(self):
        return self.random.choice(self.accounts)

    # operations
    def deposit(self):
        for event in fund(self.account(), self.random.choice(ASSETS), self.amount()):
            self.take(event)

    def withdraw(self):
        self.ask("withdrawal", None)

    def internal(self):
        self.ask("internal", self.account())

    def ask(self, kind, target):
        transfer_id = UUID(int=self.random.getrandbits(128))
        options = {"asset": self.random.choice(ASSETS), "amount": self.amount(), "approvals_needed": 2}
        (event,) = saga.request(transfer_id, self.account(), kind, target=target, **options)
        self.take(event)
        self.transfers[transfer_id] = saga.fold(None, event, 1, WHEN)

    def go_on(self):
        """Any step of any transfer, due or not."""
        if not self.transfers:
            return
        transfer = self.random.choice(list(self.transfers.values())[-50:])
        targets = [one for one in self.accounts if one.account_id == transfer.to_account_id]
        steps = (
            lambda: saga.approve(transfer, self.random.choice(PEOPLE)),
            lambda: saga.reject(transfer, PEOPLE[3], "no"),
            lambda: saga.send(transfer),
            lambda: saga.arrive(transfer, targets[0] if targets else None),
            lambda: saga.give_back(transfer, "refused"),
        )
        for event in self.random.choices(steps, weights=(4, 1, 4, 4, 1))[0]():
            self.take(event)
            transfer = saga.fold(transfer, event, transfer.version + 1, WHEN)
        self.transfers[transfer.transfer_id] = transfer

    def end(self):
        """An account is closed, another opened under its name: transfers to it find it gone for a while."""
        number = self.random.randrange(len(self.accounts))
        self.accounts[number] = replace(self.accounts[number], active=not self.accounts[number].active)

    def fill(self):
        account, instrument = self.account(), self.random.choice(INSTRUMENTS)
        quantity = instrument.lot_size * self.random.randrange(1, 10_000)
        fee_asset = self.random.choice((instrument.base, instrument.quote, "BNB"))
        fill = OrderFilled(
            account_id=account.account_id,
            user_id=account.user_id,
            order_id=UUID(int=self.random.getrandbits(128)),
            trade_id="t",
            price=instrument.tick_size * self.random.randrange(100_000, 900_000),
            quantity=quantity,
            fee=quantity * Decimal("0.001") if fee_asset == "BTC" else Decimal("0.123456789"),
            fee_asset=fee_asset,
            liquidity="taker",
            filled_quantity=quantity,
        )
        key = (account.account_id, instrument.id)
        side = self.random.choice(("buy", "sell"))
        event = apply_fill(self.positions.get(key), fill, side=side, instrument=instrument)
        self.take(event)
        version = self.positions[key].version + 1 if key in self.positions else 1
        self.positions[key] = fold(self.positions.get(key), event, version, WHEN)

    def adjust(self):
        account, asset = self.account(), self.random.choice(ASSETS)
        booked = self.total[account.account_id, asset]
        at_venue = max(booked + self.amount() * self.random.choice((-1, 1)), Decimal(0))
        for event in adjust(account, asset, booked, at_venue, "venue"):
            self.take(event)


@pytest.mark.slow
@pytest.mark.requirement("B11", "P22")
@exact
def test_books_balance_after_every_event():
    storm = Storm(SEED)
    for number in range(OPERATIONS):
        storm.step()
        storm.check(all_of_it=number % 1000 == 0)
    storm.check(all_of_it=True)
    statuses = sorted({one.status for one in storm.transfers.values()})
    print(f"seed {SEED}: {OPERATIONS} operations, {storm.events} events, {storm.refused} refused, transfers {statuses}")
    assert statuses == ["approved", "arrived", "rejected", "requested", "returned", "sent"]


@pytest.mark.requirement("P8")
@pytest.mark.parametrize(
    "amount",
    [
        float("nan"), float("inf"), 0.1, "NaN", "-Infinity", "sNaN", Decimal("NaN"), Decimal("Infinity"), True, "1e5",
        "1E+400", " 1", "١", Decimal(10) ** 18 + 1, "9" * 19, Decimal("1E-19"), None, b"1", "",
    ],
)  # fmt: skip
def test_what_is_no_money_never_gets_in(amount):
    with pytest.raises(ValidationError):
        Posting(ledger="cash", asset="USDT", amount=amount)


def test_event_that_is_off_by_the_smallest_unit_is_refused():
    off = (
        Posting(ledger="cash", asset="USDT", amount=Decimal("1E-18")),
        Posting(ledger="external", asset="BTC", amount=1),
    )
    event = AccountFunded(account_id=UUID(int=1), user_id=UUID(int=2), asset="USDT", amount=1, source="x", postings=off)
    with pytest.raises(UnbalancedPosting):
        entries_of(event)
