"""Every event type has a line of its own, and the line carries the figures."""

from pathlib import Path

import orjson
import pytest

from patriot.cli.story import story, terms
from schemas.events import EVENTS
from tests.unit.cli.world import order

GOLDEN = Path(__file__).parents[1] / "schemas" / "golden"
FILL = {
    "quantity": "0.01", "price": "60012.4", "trade_id": "t42", "fee": "0.300062", "fee_asset": "USDT",
    "filled_quantity": "0.02",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_story_of_every_event_is_more_than_its_name(kind: str) -> None:
    data = orjson.loads((GOLDEN / f"{kind}.v{EVENTS[kind].SCHEMA}.json").read_bytes())
    line = story(kind, data)
    assert line
    assert "\n" not in line
    assert line != kind.partition(".")[2].replace("_", " ") or not EVENTS[kind].model_fields.keys() - {
        "account_id", "postings", "holds", "user_id"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("order.filled", FILL, "filled 0.01 at 60,012.4 (t42), fee 0.30 USDT"),
        ("order.filled", FILL | {"reason": "late"}, "filled 0.01 at 60,012.4 (t42), fee 0.30 USDT; late"),
        ("order.partially_filled", FILL, "filled 0.01 at 60,012.4 (t42), fee 0.30 USDT, in all 0.02"),
        ("order.rejected", {"code": "-2019", "reason": "no margin"}, "rejected by the venue: -2019 no margin"),
        ("order.cancelled", {"reason": ""}, "cancelled"),
        ("order.modified", {"quantity": "2", "price": None}, "changed to 2"),
        ("order.invented_later", {}, "invented later"),
        ("account.leverage_changed", {"instrument": "X", "leverage": 5}, "X is traded at 5x from now on"),
        ("account.funded", {"amount": "100000", "asset": "USDT", "source": "paper"}, "+100,000.00 USDT from paper"),
    ],
)
def test_story_tells_what_happened(kind: str, data: dict[str, str], line: str) -> None:
    assert story(kind, data) == line


def test_position_story_tells_long_short_and_flat() -> None:
    data = {"side": "sell", "fill_quantity": "1", "price": "10", "average_price": "12", "realised_pnl": "-2"}
    assert story("position.updated", data | {"quantity": "-3"}) == "sell 1 at 10: short 3 at 12, realised -2.00"
    assert story("position.updated", data | {"quantity": "3"}).endswith("long 3 at 12, realised -2.00")
    assert story("position.updated", data | {"quantity": "0", "realised_pnl": "0"}) == "sell 1 at 10: flat"


def test_created_story_names_what_is_reserved() -> None:
    data = order(holds=[{"asset": "USDT", "reserved": "590.295", "margin": "0"}], post_only=True)
    assert story("order.created", data).endswith("limit 59,000 GTC post-only, reserves 590.30 USDT")
    assert story("order.created", data | {"holds": [{"asset": "USDT", "reserved": "0"}]}).endswith("post-only")


@pytest.mark.requirement("P9")
def test_created_story_tells_who_holds_what_the_order_asks_for() -> None:
    trailing = {"rule": "percent", "distance": "1.5"}
    data = order(order_type="trailing_stop", price=None, trailing=trailing, holds=[])
    assert story("order.created", data | {"emulated": ["trigger"]}).endswith("; the platform keeps its trigger")
    assert story("order.created", data | {"emulated": []}).endswith("; held by the venue")
    iceberg = order(display_quantity="0.001", holds=[])
    assert story("order.created", iceberg).endswith("showing 0.001 GTC; held by the venue")


def test_terms_of_every_kind_of_order() -> None:
    assert terms(order(order_type="market", price=None)) == "buy 0.01 BINANCE:BTC/USDT:USDT market"
    stop = order(order_type="stop_limit", stop_price="58000", reduce_only=True, time_in_force="IOC")
    assert terms(stop) == "buy 0.01 BINANCE:BTC/USDT:USDT stop limit 59,000 trigger 58,000 IOC reduce-only"
