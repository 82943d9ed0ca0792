"""What was encoded here is not decoded here again, and what was forgotten is read anew."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from patriot.runtime import messages
from patriot.runtime.messages import decoded, encoded_event, encoded_report
from schemas.events import OrderCancelled, OrderExpired, OrderRouted
from schemas.reports import VenueReport
from schemas.upcasters import UnknownSchema

ORDER, USER, ACCOUNT = UUID(int=1), UUID(int=2), UUID(int=3)


def routed(route: str = "paper") -> OrderRouted:
    return OrderRouted(order_id=ORDER, user_id=USER, account_id=ACCOUNT, route=route)


def test_event_that_was_encoded_here_is_handed_on_as_it_is():
    event = routed()
    assert decoded(event.TYPE, event.SCHEMA, encoded_event(event)) is event


def test_event_of_another_process_is_decoded_once():
    data = routed("live").model_dump_json(indent=1).encode()
    first = decoded(OrderRouted.TYPE, OrderRouted.SCHEMA, data)
    assert first == routed("live")
    assert decoded(OrderRouted.TYPE, OrderRouted.SCHEMA, bytes(data)) is first


def test_same_data_under_another_type_or_version_is_another_message():
    event = OrderExpired(order_id=ORDER, user_id=USER, account_id=ACCOUNT, reason="over")
    data = encoded_event(event)
    assert isinstance(decoded(OrderCancelled.TYPE, OrderCancelled.SCHEMA, data), OrderCancelled)
    with pytest.raises(UnknownSchema):
        decoded(event.TYPE, event.SCHEMA + 1, data)


def test_forgotten_messages_are_decoded_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(messages, "REMEMBERED", 2)
    monkeypatch.setattr(messages, "_known", {})
    first = encoded_event(routed("one"))
    for route in ("two", "three"):
        encoded_event(routed(route))
    assert len(messages._known) == 2
    assert decoded(OrderRouted.TYPE, OrderRouted.SCHEMA, first) == routed("one")


def test_report_is_handed_on_or_decoded():
    report = VenueReport(
        account_id=ACCOUNT, order_id=ORDER, outcome="accepted", source="command", quantity=Decimal(1),
        venue_time=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    data = encoded_report(report)
    assert decoded(report.TYPE, 1, data) is report
    assert decoded(report.TYPE, 1, data + b" ") == report
