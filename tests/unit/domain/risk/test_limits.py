"""What levels amount to together: the most restrictive, whoever says it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from patriot.domain.risk.limits import Limits, is_open, merged
from schemas.risk_commands import SetLimits, Threshold

D = Decimal


@pytest.mark.requirement("P11")
def test_of_each_figure_the_most_restrictive_level_binds():
    levels = [
        SetLimits(maximum_order_notional=D(5000), maximum_open_orders=3),
        SetLimits(maximum_order_notional=D(9000), price_collar=D("0.01"), prevent_self_trade=False),
        SetLimits(maximum_open_orders=7, reduce_only=True, prevent_self_trade=True),
    ]
    found = merged(levels, version=5)
    assert (found.maximum_order_notional, found.maximum_open_orders, found.price_collar) == (5000, 3, D("0.01"))
    assert (found.reduce_only, found.prevent_self_trade, found.version) == (True, True, 5)


def test_default_holds_where_no_level_says_anything():
    assert merged([]) == merged([SetLimits(), SetLimits(maximum_open_orders=None)]) == Limits()


@pytest.mark.requirement("P11")
def test_lists_add_up_in_the_direction_that_is_stricter():
    one = SetLimits(
        blocked_instruments=("BINANCE:BTC/USDT",),
        sessions=("mon 08:00-09:00", "tue 08:00-09:00"),
        thresholds=(Threshold(metric="drawdown", limit=D("0.1")),),
    )
    other = SetLimits(
        blocked_instruments=("BYBIT:BTC/USDT",),
        sessions=("mon-fri 00:00-24:00",),
        thresholds=(Threshold(metric="drawdown", limit=D("0.2"), action="flatten"),),
    )
    found = merged([one, other])
    assert found.blocked_instruments == {"BINANCE:BTC/USDT", "BYBIT:BTC/USDT"}
    assert found.sessions == (one.sessions, other.sessions)
    assert [threshold.limit for threshold in found.thresholds] == [D("0.1"), D("0.2")]


limit = st.none() | st.integers(1, 1000)


@given(st.lists(st.tuples(limit, limit, st.none() | st.booleans()), min_size=1, max_size=6))
@pytest.mark.requirement("P11")
def test_a_further_level_never_loosens(levels: list[tuple[int | None, int | None, bool | None]]):
    given = [
        SetLimits(maximum_open_orders=count, maximum_leverage=leverage and D(leverage), reduce_only=reducing)
        for count, leverage, reducing in levels
    ]
    fewer, more = merged(given[:-1]), merged(given)
    assert more.reduce_only >= fewer.reduce_only
    assert (more.maximum_leverage or 10**9) <= (fewer.maximum_leverage or 10**9)
    if any(level.maximum_open_orders is not None for level in given[:-1]):
        assert more.maximum_open_orders <= fewer.maximum_open_orders


@pytest.mark.parametrize(
    ("session", "moment", "open_now"),
    [
        ("mon-fri 08:00-22:00", "2024-08-08T08:00", True),  # a Thursday
        ("mon-fri 08:00-22:00", "2024-08-08T07:59", False),
        ("mon-fri 08:00-22:00", "2024-08-08T22:00", False),
        ("mon-fri 08:00-22:00", "2024-08-10T12:00", False),
        ("sat-mon 00:00-24:00", "2024-08-11T23:59", True),
        ("sat-mon 00:00-24:00", "2024-08-13T00:00", False),
        ("thu 22:00-06:00", "2024-08-08T23:00", True),
        ("thu 22:00-06:00", "2024-08-09T05:59", True),
        ("thu 22:00-06:00", "2024-08-08T05:00", False),
        ("thu 22:00-06:00", "2024-08-09T06:00", False),
    ],
)
def test_session(session: str, moment: str, open_now: bool):  # noqa: FBT001
    assert is_open(session, datetime.fromisoformat(moment).replace(tzinfo=UTC)) is open_now


@pytest.mark.parametrize(
    "fields",
    [
        {"maximum_order_notional": "0"},
        {"maximum_drawdown": "1.01"},
        {"maximum_open_orders": -1},
        {"maximum_open_orders": "3"},
        {"sessions": ()},
        {"sessions": ("monday 08:00-09:00",)},
        {"sessions": ("mon 25:00-09:00",)},
        {"blocked_instruments": ("BTC",)},
        {"thresholds": ({"metric": "mood", "limit": "1"},)},
        {"maximum_leverage": "NaN"},
        {"unknown": 1},
    ],
)
def test_senseless_limits_are_refused(fields: dict[str, object]):
    with pytest.raises(ValidationError):
        SetLimits.model_validate(fields)


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("processes", [1, 3, 4, 10])
def test_shares_of_a_rate_add_up_to_it_and_at_most_one_more_each(processes: int):
    limits = Limits(maximum_orders_per_second=9)
    share = limits.shared_by(processes)
    assert share.maximum_orders_per_second is not None
    assert 9 <= share.maximum_orders_per_second * processes < 9 + processes
    assert share.maximum_cancels_per_second is None
    assert replace(share, maximum_orders_per_second=9) == limits
