import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue.wire.binance_errors import BinanceError
from feeds.venue.wire.binance_params import Params


def refusal(do) -> int:
    with pytest.raises(BinanceError) as caught:
        do()
    return caught.value.code


def test_query_and_form_are_one_list_of_parameters():
    params = Params.of_request("symbol=BTCUSDT&side=BUY", b"quantity=0.10&flag=true")
    assert params.text("symbol") == "BTCUSDT"
    assert params.decimal("quantity") == Decimal("0.10")
    assert params.flag("flag") is True


def test_a_parameter_sent_twice_is_refused():
    assert refusal(lambda: Params.of_request("a=1&a=1", b"")) == -1101
    assert refusal(lambda: Params.of_request("a=1", b"a=2")) == -1101


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=%FF", b"&".join(b"%d=1" % one for one in range(100))])
def test_text_that_is_none_is_refused(body: bytes):
    assert refusal(lambda: Params.of_request("", body)) == -1100


def test_objects_keep_numbers_as_they_were_written():
    params = Params.of_object({"price": "0.10", "limit": 5, "flag": True, "nothing": None, "deep": {"a": 1}})
    assert params.values == {"price": "0.10", "limit": "5", "flag": "true", "nothing": "", "deep": ""}


def test_missing_and_illegal_values_name_the_parameter():
    params = Params({"n": "x", "d": "NaN", "b": "maybe", "c": "a b", "z": ""})
    assert refusal(lambda: params.text("z")) == -1102
    assert refusal(lambda: params.integer("n")) == -1100
    assert refusal(lambda: params.decimal("d")) == -1100
    assert refusal(lambda: params.flag("b")) == -1100
    assert refusal(lambda: params.client_id("c")) == -1100
    assert params.decimal("none") is None
    assert params.integer("none", 7) == 7
    with pytest.raises(BinanceError, match="'n'"):
        params.integer("n")


def test_limit_is_cut_and_positive():
    assert Params({}).limit(500, 1000) == 500
    assert Params({"limit": "9999"}).limit(500, 1000) == 1000
    assert refusal(lambda: Params({"limit": "0"}).limit(500, 1000)) == -1130


@given(st.text(max_size=60), st.binary(max_size=60))
def test_nothing_but_binance_errors_comes_out(query: str, body: bytes):
    with contextlib.suppress(BinanceError):
        params = Params.of_request(query, body)
        for name in params.values:
            params.decimal(name)
            params.integer(name, 0)
