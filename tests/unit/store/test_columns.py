"""Commits as columns: every event once, in order, texts joined."""

from patriot.store.api import Append, Inbox, NewEvent
from patriot.store.check import SEPARATOR
from patriot.store.columns import (
    answer_columns,
    balance_columns,
    event_columns,
    event_keys,
    inbox_columns,
    transposed,
)
from patriot.store.plan import Facts, Plan
from tests.store_samples import ACCOUNT, NOW, TENANT, answer, append, commit, deposit, events, origin, stream


def test_transposed_makes_columns_of_rows():
    assert transposed([(1, "a"), (2, "b")]) == [[1, 2], ["a", "b"]]
    assert transposed([]) == []


def test_event_columns_hold_each_event_once_and_in_order():
    order, position = stream(), stream("position")
    first = commit(appends=[Append(order, 4, [NewEvent("order.filled", 2, b"{}")]), Append(position, 0, events(2))])
    second = append(order, 5)
    tenants, ids, versions, follows, schemas, moments, data, kinds, types, correlations, causations, actors = (
        event_columns([first, second], [4, 0, 0])
    )
    assert (tenants, ids) == ((TENANT,) * 4, (order.id, position.id, position.id, order.id))
    assert (versions, follows, schemas, moments) == ((5, 1, 2, 6), (4, 0, 0, 0), (2, 1, 1, 1), (NOW,) * 4)
    assert kinds.split(SEPARATOR) == ["order", "position", "position", "order"]
    assert types.split(SEPARATOR) == ["order.filled", *["order.created"] * 3]
    assert data.split(SEPARATOR) == ["{}", *['{"quantity": "0.25"}'] * 3]
    assert {correlations.split(SEPARATOR)[3], causations.split(SEPARATOR)[0], actors.split(SEPARATOR)[1]} == {
        origin().correlation_id, origin().causation_id, origin().actor,
    }  # fmt: skip


def test_appends_without_events_take_no_place():
    assert event_columns([commit(appends=[Append(stream(), 3, [])])], []) == ()
    columns = event_columns([commit(appends=[Append(stream(), 3, []), Append(stream(), 7, events())])], [7])
    assert columns[3] == (7,)


def test_event_keys_name_every_event():
    to = stream()
    made = append(to, 3, 2)
    assert event_keys([made])[2] == [4, 5]
    assert event_keys([commit()]) == []


def test_inbox_and_answer_columns_leave_out_those_without():
    with_both = commit(inbox=Inbox("portfolio", "e1"), idempotency=answer())
    assert inbox_columns([commit(), with_both])[:3] == [[TENANT], ["portfolio"], ["e1"]]
    assert answer_columns([commit(), with_both])[3] == ["key-1"]
    assert inbox_columns([commit()]) == answer_columns([commit()]) == []


def test_balance_columns_hold_the_state_after_the_plan():
    made = [commit(balances=[deposit("1"), deposit("2", "BTC")]), commit(balances=[deposit("5")])]
    plan = Plan(Facts())
    for each in made:
        plan.admit(each)
    tenants, accounts, assets, totals, *_ = balance_columns(made, plan.balances, {})
    assert (tenants, accounts, assets, totals) == ([TENANT] * 2, [ACCOUNT] * 2, ["BTC", "USDT"], [2, 6])
