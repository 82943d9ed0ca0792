from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidValue
from patriot.protocols.errors import MalformedFrame, ProtocolError, Unrepresentable
from patriot.protocols.number import ENTRIES_MAX, Scale, decimals, levels, shared_scale, signed


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("61800.20", 6180020),
        ("61800.2", 6180020),
        ("61800", 6180000),
        ("61800.20000000", 6180020),
        ("0.00", 0),
        (".50", 50),
        ("0", 0),
        ("007", 700),
    ],
)
def test_scale_converts_exactly(text: str, units: int) -> None:
    assert Scale(2)[text] == units
    assert Scale(2).convert(text) == units


@pytest.mark.parametrize("text", ["0.001", "1.2300000001", "5.019"])
def test_scale_refuses_more_decimals_than_it_holds(text: str) -> None:
    with pytest.raises(Unrepresentable, match="more than 2 decimals"):
        Scale(2)[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        "-1",
        "+1",
        "1e5",
        "NaN",
        " 1",
        "1_0",
        "1_0.00",
        "1.2.34",
        "12.3.45",
        "0x10",
        "²",
        "²5.00",
        "9" * 41,
    ],
)
def test_scale_refuses_what_is_no_plain_number(text: str) -> None:
    with pytest.raises(MalformedFrame):
        Scale(2)[text]


def test_scale_of_whole_numbers() -> None:
    scale = Scale(0)
    assert [scale["35"], scale["35.000"]] == [35, 35]
    with pytest.raises(Unrepresentable):
        scale["35.5"]


def test_scale_forgets_when_full() -> None:
    scale = Scale(0)
    for number in range(ENTRIES_MAX + 5):
        assert scale[str(number)] == number
    assert len(scale) == 5


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=8), st.integers(0, 10))
def test_scale_agrees_with_decimal(number: Decimal, places: int) -> None:
    text = format(number, "f")
    expected = number.scaleb(places)
    if expected != expected.to_integral_value():
        with pytest.raises(Unrepresentable):
            Scale(places)[text]
    else:
        assert Scale(places)[text] == int(expected)
    assert abs(Scale(places).nearest(text) - expected) <= Decimal("0.5")


@given(st.text(max_size=50))
def test_scale_raises_only_protocol_errors(text: str) -> None:
    for convert in (Scale(8).convert, Scale(8).nearest, signed):
        try:
            convert(text)
        except ProtocolError:
            pass
        except ValueError:  # the digits of another script: int() knows them, `feed` turns the rest into MalformedFrame
            assert not text.isascii()


@pytest.mark.parametrize(("text", "units"), [("28147.27373413", 2814727), ("1.125", 112), ("1.135", 114), ("7", 700)])
def test_nearest_rounds_half_to_even(text: str, units: int) -> None:
    assert Scale(2).nearest(text) == units


def test_levels_convert_pairs() -> None:
    assert levels([("1.50", "2"), ("1.40", "0")], Scale(2), Scale(0)) == [(150, 2), (140, 0)]
    assert levels([], Scale(2), Scale(0)) == []


@pytest.mark.parametrize(("text", "rate"), [("-0.0001", "-0.0001"), ("0.0001", "0.0001"), ("", "0")])
def test_signed_passes_rates(text: str, rate: str) -> None:
    assert signed(text) == rate


def test_signed_refuses_nonsense() -> None:
    with pytest.raises(MalformedFrame):
        signed("--1")


def test_quantities_share_one_scale_per_number_of_decimals() -> None:
    assert shared_scale(3) is shared_scale(3)
    assert shared_scale(3) is not shared_scale(4)


def test_decimals_takes_the_finer_of_step_and_statement() -> None:
    assert decimals(Decimal("0.10")) == 1
    assert decimals(Decimal("0.10"), 2) == 2
    with pytest.raises(InvalidValue, match="at most 18"):
        decimals(Decimal(1), 19)
