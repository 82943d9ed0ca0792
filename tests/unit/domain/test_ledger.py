"""The ledger: every event balances, and so does every prefix of them."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import UnbalancedPosting
from patriot.domain.ledger import LedgerEntry, check, entries_of, transfer, trial_balance
from patriot.domain.money import exact
from schemas.events import AccountFunded, Event, Posting, UserRegistered
from tests.unit.domain.examples import ACCOUNT, USER

OTHER = UUID(int=4)
ledgers = st.sampled_from(["cash", "position", "realised", "fees", "funding", "external"])
amounts = st.decimals(-(10**17), 10**17, places=18)
transfers = st.builds(transfer, st.sampled_from(["BTC", "USDT"]), amounts, ledgers, ledgers)


def funded(*postings: Posting, account_id: UUID = ACCOUNT) -> AccountFunded:
    fields = {"account_id": account_id, "user_id": USER, "asset": "USDT", "amount": Decimal(1), "source": "paper"}
    return AccountFunded(**fields, postings=postings)


events = st.lists(
    st.builds(
        lambda moves, account: funded(*(line for move in moves for line in move), account_id=account),
        st.lists(transfers, max_size=4),
        st.sampled_from([ACCOUNT, OTHER]),
    ),
    max_size=8,
)


def test_transfer_takes_here_and_gives_there():
    assert transfer("USDT", Decimal(5), "external", "cash") == (
        Posting(ledger="external", asset="USDT", amount=Decimal(-5)),
        Posting(ledger="cash", asset="USDT", amount=Decimal(5)),
    )


def test_transfer_of_nothing_has_no_lines():
    assert transfer("USDT", Decimal("0.00"), "external", "cash") == ()


def test_check_names_each_asset_that_is_off():
    wrong = [
        Posting(ledger="cash", asset="USDT", amount=Decimal("1.5")),
        Posting(ledger="cash", asset="BTC", amount=Decimal(2)),
        Posting(ledger="position", asset="BTC", amount=Decimal(-2)),
        Posting(ledger="fees", asset="BNB", amount=Decimal("-0.1")),
    ]
    with pytest.raises(UnbalancedPosting, match=r"^BNB is off by -0.1, USDT is off by 1.5$"):
        check(wrong)


def test_check_sees_one_unit_in_the_last_of_36_digits():
    lines = [
        Posting(ledger="cash", asset="USDT", amount=Decimal("999999999999999999.999999999999999999")),
        Posting(ledger="external", asset="USDT", amount=Decimal("-999999999999999999.999999999999999998")),
    ]
    with pytest.raises(UnbalancedPosting, match="1E-18"):
        check(lines)


def test_entries_number_the_lines_of_an_event():
    event = funded(*transfer("USDT", Decimal(5), "external", "cash"))
    assert entries_of(event) == (
        LedgerEntry(ACCOUNT, "external", "USDT", Decimal(-5), 0),
        LedgerEntry(ACCOUNT, "cash", "USDT", Decimal(5), 1),
    )


def test_entries_of_an_unbalanced_event_are_refused():
    event = funded(Posting(ledger="cash", asset="USDT", amount=Decimal(5)))
    with pytest.raises(UnbalancedPosting):
        entries_of(event)
    with pytest.raises(UnbalancedPosting):
        trial_balance([event])


def test_trial_balance_leaves_out_events_without_money():
    assert trial_balance([UserRegistered(user_id=USER, username="ada", role="user")]) == {}


@given(events)
@pytest.mark.requirement("B11")
@exact
def test_trial_balance_of_every_prefix_sums_to_zero(history: list[Event]):
    for length in range(len(history) + 1):
        totals: dict[str, Decimal] = {}
        for (_, _, asset), amount in trial_balance(history[:length]).items():
            totals[asset] = totals.get(asset, Decimal(0)) + amount
        assert not any(totals.values())


@given(events)
@exact
def test_trial_balance_is_the_sum_of_the_entries(history: list[AccountFunded]):
    balances = trial_balance(history)
    entries = [entry for event in history for entry in entries_of(event)]
    for (account_id, ledger, asset), amount in balances.items():
        mine = [
            entry.amount
            for entry in entries
            if (entry.account_id, entry.ledger, entry.asset) == (account_id, ledger, asset)
        ]
        assert amount == sum(mine, Decimal(0))
