"""Money: what gets in, what comes out, and that nothing is lost between."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidValue
from patriot.domain.money import AMOUNT_MAX, EXACT, STEP, decimal_of, exact, is_multiple, plain, round_down, rounded

amounts = st.decimals(-AMOUNT_MAX, AMOUNT_MAX, places=18)
steps = st.sampled_from([Decimal(text) for text in ("0.01", "0.00000001", "1", "5", "0.25", "1E-18")])


@pytest.mark.parametrize("value", [1.5, True, None, b"1", [1]])
def test_decimal_of_refuses_other_types(value):
    with pytest.raises(InvalidValue, match="must be a decimal string or an integer"):
        decimal_of(value)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("abc", "is not a number"),
        ("", "is not a number"),
        ("NaN", "finite"),
        ("-Infinity", "finite"),
        ("1E+19", "larger"),
        (-(10**18) - 1, "larger"),
        ("1000000000000000000.000000000000000001", "larger"),
    ],
)
def test_decimal_of_names_the_field_and_the_rule(value, rule):
    with pytest.raises(InvalidValue, match=rule) as refused:
        decimal_of(value, "price")
    assert refused.value.field == "price"


@pytest.mark.parametrize(("value", "number"), [("0.10", Decimal("0.10")), (7, Decimal(7)), (AMOUNT_MAX, AMOUNT_MAX)])
def test_decimal_of_takes_exact_values(value, number):
    assert decimal_of(value) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E+3", "1000"), ("0.500", "0.5"), ("100", "100"), ("1E-18", "0.000000000000000001"), ("-2.0", "-2")],
)
def test_plain_has_no_exponent_and_no_idle_zeros(number, text):
    assert plain(Decimal(number)) == text


@given(amounts)
def test_plain_and_back_is_the_same_number(number):
    assert decimal_of(plain(number)) == number


@given(number=amounts, step=steps)
@example(number=AMOUNT_MAX, step=STEP)
def test_round_down_is_the_next_multiple_toward_zero(number, step):
    result = round_down(number, step)
    assert is_multiple(result, step)
    assert 0 <= abs(Fraction(number)) - abs(Fraction(result)) < Fraction(step)


@given(number=st.integers(-(10**36), 10**36), step=steps)
@example(number=10**36 - 1, step=STEP)
def test_is_multiple_agrees_with_fractions(number, step):
    value = Decimal(number).scaleb(-18, context=EXACT)
    assert is_multiple(value, step) == ((Fraction(value) / Fraction(step)).denominator == 1)


def test_zero_step_allows_any_number():
    assert is_multiple(Decimal("0.123"), Decimal(0))
    assert round_down(Decimal("0.123"), Decimal(0)) == Decimal("0.123")


@pytest.mark.parametrize(
    ("number", "result"),
    [
        ("0.1", "0.1"),
        ("0.0000000000000000005", "0"),
        ("0.0000000000000000015", "0.000000000000000002"),
        ("999999999999999999.0000000000000000014", "999999999999999999.000000000000000001"),
    ],
)
def test_rounded_to_eighteen_decimals_half_to_even(number, result):
    assert rounded(Decimal(number)) == Decimal(result)


def test_rounded_leaves_a_short_number_as_it_is():
    assert str(rounded(Decimal("1.50"))) == "1.50"


@given(one=amounts, two=amounts, three=amounts)
def test_exact_products_of_three_amounts_lose_nothing(one, two, three):
    product = exact(lambda: one * two * three)()
    assert Fraction(product) == Fraction(one) * Fraction(two) * Fraction(three)


def test_exact_keeps_the_name_of_the_function():
    assert exact(plain).__name__ == "plain"
