"""Settings that were changed: the newest holds, a part's own goes first, and what has run out counts no more."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from patriot.domain.override import Override, Overrides, chosen, fold, next_end
from schemas.events import SettingChanged
from tests.unit.domain.examples import NOW, USER

PARTS = {"order-routing", "order-execution"}
LATER = NOW + timedelta(minutes=15)


def after(*changes: dict[str, Any]) -> Overrides:
    overrides: Overrides = ()
    for number, change in enumerate(changes):
        event = SettingChanged(**{"user_id": USER, "name": "log_level", "reason": "incident"} | change)
        overrides = fold(overrides, event, number + 1, NOW + timedelta(seconds=number))
    return overrides


def value(overrides: Overrides, moment: datetime = NOW) -> str | None:
    found = chosen(overrides, "log_level", PARTS, moment)
    return found.value if found else None


def test_change_keeps_who_why_and_since_when():
    (one,) = fold(None, SettingChanged(user_id=USER, name="log_level", value="debug", reason="incident"), 1, NOW)
    assert one == Override("log_level", "debug", None, USER, "incident", NOW, None)


def test_newer_change_takes_the_place_of_the_one_before():
    overrides = after({"value": "debug", "until": LATER}, {"value": "error"})
    assert [one.value for one in overrides] == ["error"]
    assert value(overrides, LATER) == "error"


def test_other_settings_are_let_alone():
    overrides = after({"value": "debug"}, {"name": "trace_share", "value": "1"}, {"value": None})
    assert [one.name for one in overrides] == ["trace_share"]
    assert value(overrides) is None


@pytest.mark.parametrize("order", [1, -1])
def test_change_of_a_part_goes_before_one_of_all(order: int):
    changes = [{"value": "debug", "part": "order-routing"}, {"value": "error"}]
    assert value(after(*changes[::order])) == "debug"


def test_of_two_parts_in_one_process_the_newer_change_holds():
    changes = [{"value": "debug", "part": "order-routing"}, {"value": "warning", "part": "order-execution"}]
    assert value(after(*changes)) == "warning"
    assert value(after(*changes[::-1])) == "debug"


def test_change_of_a_part_that_is_elsewhere_does_not_hold_here():
    assert value(after({"value": "debug", "part": "relay"})) is None


def test_reset_of_a_part_leaves_the_rest_and_reset_of_all_leaves_nothing():
    changes = [{"value": "debug", "part": "order-routing"}, {"value": "error"}]
    assert value(after(*changes, {"part": "order-routing"})) == "error"
    assert after(*changes, {}) == ()


def test_change_that_has_run_out_is_as_if_it_had_never_been():
    overrides = after({"value": "error"}, {"value": "debug", "part": "order-routing", "until": LATER})
    assert value(overrides, LATER - timedelta(microseconds=1)) == "debug"
    assert value(overrides, LATER) == "error"


def test_next_end_is_that_of_the_first_that_runs_out():
    lasting = {"value": "error"}
    short = {"value": "debug", "part": "relay", "until": NOW + timedelta(seconds=1)}
    overrides = after(lasting, {"name": "trace_share", "value": "1", "until": LATER}, short)
    assert next_end(overrides, NOW) == NOW + timedelta(seconds=1)
    assert next_end(overrides, NOW + timedelta(seconds=1)) == LATER
    assert next_end(overrides, LATER) is None
    assert next_end(after(lasting), NOW) is None
