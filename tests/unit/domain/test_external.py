"""Orders placed at the venue without us: one order however often it is told, and marked as what it is."""

from decimal import Decimal
from typing import Any

import pytest

from patriot.domain.errors import InvalidValue
from patriot.domain.external import EXTERNAL, adopt, external_id, order_id_at_venue
from patriot.domain.order_commands import client_order_id
from schemas.reports import VenueReport
from tests.unit.domain.examples import ACCOUNT, NOW, ORDER, USER, after

pytestmark = pytest.mark.requirement("P9", "B3")


def report(**changes: Any) -> VenueReport:
    fields: dict[str, Any] = {
        "account_id": ACCOUNT,
        "outcome": "accepted",
        "source": "reconciliation",
        "client_order_id": "",
        "venue_order_id": "v7",
        "instrument": "BINANCE:BTC/USDT",
        "side": "sell",
        "quantity": Decimal(2),
        "price": Decimal(100),
        "venue_time": NOW,
    }
    return VenueReport(**{**fields, **changes})


def test_our_name_wins_over_the_venues_number():
    assert order_id_at_venue(ACCOUNT, "A:B/C", client_order_id(ORDER), "v7") == ORDER
    assert order_id_at_venue(ACCOUNT, "A:B/C", "web_123", "v7") == external_id(ACCOUNT, "A:B/C", "v7")
    assert order_id_at_venue(ACCOUNT, "A:B/C", "web_123", "") is None


def test_adopted_order_is_open_reserves_nothing_and_says_what_it_is():
    order = after(None, adopt(report(), USER, "live"))
    assert order.order_id == external_id(ACCOUNT, "BINANCE:BTC/USDT", "v7")
    assert (order.status, order.strategy_id, order.order_type) == ("accepted", EXTERNAL, "limit")
    assert (order.route, order.venue_order_id, order.client_order_id) == ("live", "v7", "venue v7")
    assert not order.reserved.amount
    assert adopt(report(), USER, "live") == adopt(report(), USER, "live")


def test_without_a_price_it_is_a_market_order():
    assert after(None, adopt(report(price=None, client_order_id="web"), USER, "live")).order_type == "market"


@pytest.mark.parametrize("missing", ["instrument", "side", "quantity", "venue_order_id"])
def test_report_that_lacks_what_an_order_is_made_of_is_refused(missing: str):
    nothing = "" if missing in {"venue_order_id", "instrument"} else None
    with pytest.raises(InvalidValue):
        adopt(report().model_copy(update={missing: nothing}), USER, "live")
