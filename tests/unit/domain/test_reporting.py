"""What answers, queries and reconciliation prove, as reports."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from msgspec import structs
from msgspec.structs import replace

from patriot.domain import reporting
from patriot.domain.order import Order, Reservation, fold
from patriot.domain.order_commands import create, request_cancel, request_modify, start_submit
from patriot.domain.order_reports import apply_report
from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected, Unknown
from schemas.commands import CreateOrder, ModifyOrder
from schemas.reports import Execution

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = UUID(int=5)
BTC = "BINANCE:BTC/USDT:USDT"
LOST = Unknown("timeout")


def grown(order: Order | None, events) -> Order:
    version = order.version if order else 0
    for number, event in enumerate(events, version + 1):
        order = fold(order, event, number, NOW)
    assert order is not None
    return order


def submitted() -> Order:
    command = CreateOrder(account_id=ACCOUNT, instrument=BTC, side="buy", quantity=Decimal("0.5"), price=Decimal(60000))
    reservation = Reservation("USDT", Decimal(30000))
    order = grown(None, create(command, order_id=uuid4(), user_id=UUID(int=6), reservation=reservation))
    return grown(order, start_submit(order))


def accepted() -> Order:
    order = submitted()
    reports = reporting.of_submit(order, Accepted("v1"))
    return grown(order, [event for report in reports for event in apply_report(order, report)])


def state(order: Order, status="open", **changes) -> OrderState:
    base = OrderState(
        ref=OrderRef(order.account_id, order.instrument, order.client_order_id, "v1"),
        status=status,
        side="buy",
        quantity=order.quantity,
        filled_quantity=Decimal(0),
        price=order.price,
    )
    return replace(base, **changes)


def execution(trade_id="t1", quantity="0.5") -> Execution:
    return Execution(
        trade_id=trade_id,
        price=Decimal(60000),
        quantity=Decimal(quantity),
        fee=Decimal(1),
        fee_asset="USDT",
        liquidity="taker",
    )


def outcomes(reports) -> list[str]:
    return [report.outcome for report in reports]


def test_submit_accepted_without_state_is_one_report():
    order = submitted()
    (report,) = reporting.of_submit(order, Accepted("v1"))
    assert (report.outcome, report.venue_order_id, report.order_id) == ("accepted", "v1", order.order_id)


def test_submit_accepted_and_filled_is_one_report_that_proves_both():
    order = submitted()
    filled = state(order, "filled", filled_quantity=Decimal("0.5"), executions=(execution(),))
    (report,) = reporting.of_submit(order, Accepted("v1", filled))
    assert [event.TYPE for event in apply_report(order, report)] == ["order.accepted", "order.filled"]


def test_submit_accepted_and_expired_tells_the_end():
    order = submitted()
    assert outcomes(reporting.of_submit(order, Accepted("v1", state(order, "expired")))) == ["accepted", "expired"]


def test_submit_rejected_carries_code_and_reason():
    (report,) = reporting.of_submit(submitted(), Rejected("-2010", "insufficient balance"))
    assert (report.outcome, report.code, report.reason) == ("rejected", "-2010", "insufficient balance")


def test_submit_unknown_proves_nothing():
    assert reporting.of_submit(submitted(), Unknown("timeout")) == []


def test_state_rejected_without_fills_is_a_rejection():
    order = submitted()
    assert outcomes(reporting.of_state(order, state(order, "rejected"), "reconciliation")) == ["rejected"]


def test_state_rejected_with_fills_is_not_believed_before_the_fills():
    order = submitted()
    told = state(order, "rejected", filled_quantity=Decimal("0.1"), executions=(execution(quantity="0.1"),))
    assert outcomes(reporting.of_state(order, told, "reconciliation")) == ["fill", "rejected"]


@pytest.mark.parametrize("status", ["cancelled", "expired"])
def test_state_tells_fills_before_the_end(status):
    order = submitted()
    told = state(order, status, filled_quantity=Decimal("0.2"), executions=(execution(quantity="0.2"),))
    assert outcomes(reporting.of_state(order, told, "stream")) == ["fill", status]


@pytest.mark.requirement("P9")
def test_query_not_found_within_the_window_proves_nothing():
    order = submitted()
    assert reporting.of_query(order, NotFound(), NOW + reporting.ARRIVAL_WINDOW) is None


@pytest.mark.requirement("P9")
def test_query_not_found_after_the_window_is_a_rejection():
    (report,) = reporting.of_query(submitted(), NotFound(), NOW + reporting.ARRIVAL_WINDOW + timedelta(seconds=1)) or []
    assert (report.outcome, report.code) == ("rejected", "never_arrived")


@pytest.mark.requirement("P9")
def test_query_not_found_is_proof_although_somebody_keeps_asking_for_the_end():
    order, late = submitted(), NOW + reporting.ARRIVAL_WINDOW + timedelta(seconds=1)
    for event in request_cancel(order):
        order = fold(order, event, order.version + 1, late)
    (report,) = reporting.of_query(order, NotFound(), late) or []
    assert report.code == "never_arrived"


def test_query_not_found_never_ends_an_accepted_order():
    assert reporting.of_query(accepted(), NotFound(), NOW + timedelta(days=1)) is None


def test_query_unknown_proves_nothing():
    assert reporting.of_query(submitted(), Unknown("timeout"), NOW + timedelta(days=1)) is None


def test_query_state_is_told_as_reconciliation():
    order = submitted()
    reports = reporting.of_query(order, state(order), NOW) or []
    assert [(one.outcome, one.source) for one in reports] == [("accepted", "reconciliation")]


def test_lost_cancel_of_an_open_order_is_rejected():
    order = accepted()
    order = grown(order, request_cancel(order))
    assert outcomes(reporting.of_request(order, "cancel", LOST, state(order))) == ["cancel_rejected"]


def test_lost_cancel_of_an_ended_order_says_nothing_more():
    order = accepted()
    assert reporting.of_request(order, "cancel", LOST, state(order, "cancelled")) == []


def modifying() -> Order:
    order = accepted()
    command = ModifyOrder(price=Decimal(59000))
    reservation = Reservation("USDT", Decimal(29500))
    return grown(order, request_modify(order, command, request_id=uuid4(), reservation=reservation))


def test_lost_modify_that_took_effect_is_modified():
    order = modifying()
    (report,) = reporting.of_request(order, "modify", LOST, state(order, price=Decimal(59000)))
    assert (report.outcome, report.price) == ("modified", Decimal(59000))
    assert order.pending_modify is not None
    assert report.request_id == order.pending_modify.request_id


def test_lost_modify_without_effect_is_rejected():
    order = modifying()
    assert outcomes(reporting.of_request(order, "modify", LOST, state(order))) == ["modify_rejected"]


def test_lost_modify_of_an_order_without_one_says_nothing():
    assert reporting.of_request(accepted(), "modify", LOST, state(accepted())) == []


def test_lost_modify_of_a_cancelled_order_says_nothing():
    order = modifying()
    assert reporting.of_request(order, "modify", LOST, state(order, "cancelled")) == []


def test_lost_modify_of_an_order_that_filled_as_it_was_is_rejected():
    order = modifying()
    assert outcomes(reporting.of_request(order, "modify", LOST, state(order, "filled"))) == ["modify_rejected"]


def test_refused_modify_that_an_earlier_delivery_has_done_is_modified():
    order = modifying()
    refused = Rejected("nothing_to_amend", "it is so already")
    assert outcomes(reporting.of_request(order, "modify", refused, state(order, price=Decimal(59000)))) == ["modified"]


def test_refused_modify_says_why():
    order = modifying()
    (report,) = reporting.of_request(order, "modify", Rejected("-2013", "no"), NotFound())
    assert (report.outcome, report.code) == ("modify_rejected", "-2013")


def test_lost_request_about_an_order_that_is_not_found_says_nothing():
    assert reporting.of_request(modifying(), "modify", LOST, NotFound()) == []


@pytest.mark.parametrize(("reduce_only", "reason"), [(True, reporting.CUT), (False, reporting.SMALLER)])
def test_state_filled_at_less_than_asked_ends_an_order_once_all_fills_are_told(reduce_only, reason):
    """A reduce-only order that was cut, or one whose modification came through after it was given up for lost."""
    order = structs.replace(accepted(), reduce_only=reduce_only)
    cut = state(order, "filled", quantity=Decimal("0.2"), filled_quantity=Decimal("0.2"))
    assert outcomes(reporting.of_state(order, cut, "stream")) == ["accepted"]
    told = replace(cut, executions=(execution("t1", "0.2"),))
    assert outcomes(reporting.of_state(order, told, "stream")) == ["fill", "expired"]
    for report in reporting.of_state(order, told, "stream"):
        order = grown(order, apply_report(order, report))
    assert (order.status, order.filled_quantity, order.reason) == ("expired", Decimal("0.2"), reason)
    assert order.reserved.amount == 0


def test_state_filled_at_less_than_asked_waits_for_the_word_on_a_modification_under_way():
    told = state(accepted(), "filled", quantity=Decimal("0.2"), filled_quantity=Decimal("0.2"))
    told = replace(told, executions=(execution("t1", "0.2"),))
    assert outcomes(reporting.of_state(modifying(), told, "stream")) == ["fill"]
