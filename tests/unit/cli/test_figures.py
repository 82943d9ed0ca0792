"""Figures: exact where an order could depend on them, short where nobody could."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.cli import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("60012.400", "60,012.4"), ("1000", "1,000"), ("0.00100", "0.001"), ("-1234.5", "-1,234.5"), ("0", "0"),
        ("-0.5", "-0.5"), (None, ""), (Decimal("1E+3"), "1,000"),
    ],
)  # fmt: skip
def test_number_is_exact_with_separators(value: figures.Figure, text: str) -> None:
    assert figures.number(value) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12))
def test_number_reads_back(value: Decimal) -> None:
    assert Decimal(figures.number(value).replace(",", "")) == value


@pytest.mark.parametrize(
    ("value", "asset", "text"),
    [
        ("99995.4261764", "USDT", "99,995.43"), ("0.300046", "USDT", "0.30"), ("0.022", "USDT", "0.022"),
        ("0", "USDT", "0.00"), ("-0.0031", "USDT", "-0.0031"), ("0.0000004", "USDT", "0.00"),
        ("0.001208450000001", "BTC", "0.00120845"), ("1", "BTC", "1"), (None, "USDT", ""),
    ],
)  # fmt: skip
def test_money_shows_what_it_is(value: figures.Figure, asset: str, text: str) -> None:
    assert figures.money(value, asset) == text


def test_signed_names_the_gain() -> None:
    assert [figures.signed(value) for value in ("1.65", "-1.65", "0", None)] == ["+1.65", "-1.65", "0.00", ""]
    assert [figures.style_of(value) for value in ("1", "-1", "0", None)] == ["green", "red", "", ""]


def test_average_rounds_what_a_division_made() -> None:
    assert figures.average("59942.123456789") == "59,942.1235"
    assert figures.average("0.000123456789") == "0.00012346"
    assert figures.average(None) == figures.average("0") == ""


def test_moment_tells_the_day_only_of_other_days() -> None:
    today = datetime(2026, 11, 21, 23, tzinfo=UTC)
    assert figures.moment("2026-11-21T05:40:55.9Z", today=today) == "05:40:55"
    assert figures.moment("2026-11-20T23:40:55-01:00", today=today) == "00:40:55"
    assert figures.moment("2026-11-20T05:40:55Z", today=today) == "2026-11-20 05:40:55"
    assert figures.moment("2026-11-20T05:40:55Z", today=today, narrow=True) == "11-20 05:40"
    assert figures.moment(None) == ""


def test_duration_and_percent() -> None:
    assert [figures.duration(seconds) for seconds in (5, 151, 3725)] == ["0:05", "2:31", "1:02:05"]
    assert figures.percent(Decimal(-3), Decimal(200)) == "-1.50%"
    assert figures.percent(Decimal(1), Decimal(0)) == ""


def test_sparkline_spans_its_values() -> None:
    rising = [Decimal(value) for value in range(8)]
    assert figures.sparkline(rising, 8) == "▁▂▃▄▅▆▇█"
    assert figures.sparkline(rising, 2) == "▁█"
    assert figures.sparkline([Decimal(5)] * 3, 8) == "▁▁▁"
    assert figures.sparkline([], 8) == figures.sparkline(rising, 0) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.382629583464271944", "38.26%"),
        ("2.6134", "261.34%"),
        ("0.00003000942", "0.0030%"),
        ("0", "0.00%"),
        (None, ""),
    ],
)
def test_share_keeps_what_is_small(value: str | None, text: str) -> None:
    assert figures.share(value) == text
