"""JSON at the edge: what `json` and orjson agree on comes through, everything ambiguous is refused."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.runtime.strict_json import loads

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.requirement("A5")
@given(values)
def test_sound_json_comes_through_as_it_is(value: object):
    assert loads(orjson.dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.requirement("A5")
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes):
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return
    assert json.loads(body) == value


@given(st.lists(st.sampled_from(["a", "b", "c", "\\u0061"]), min_size=1, max_size=5))
def test_duplicate_keys_are_refused_however_they_are_written(keys: list[str]):
    body = ("{" + ",".join(f'"{key}": 1' for key in keys) + "}").encode()
    decoded = [key.replace("\\u0061", "a") for key in keys]
    if len(set(decoded)) == len(decoded):
        assert loads(body) == dict.fromkeys(decoded, 1)
    else:
        with pytest.raises(json.JSONDecodeError, match="is there twice"):
            loads(body)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"NaN", "NaN is not a number"),
        (b"[Infinity]", "Infinity is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'"\xff"', "the body is not UTF-8"),
        (b'"a\\u0000"', "a text contains a null character"),
        (b'{"\\u0000": 1}', "a text contains a null character"),
        (b'[{"a": ["\\ud800"]}]', "a text contains half of a surrogate pair"),
        (b'["\\udc00\\ud800"]', "a text contains half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 4301, "a number has too many digits"),
        (b"", "Expecting value"),
    ],
)
def test_refusal_names_its_reason(body: bytes, rule: str):
    with pytest.raises(json.JSONDecodeError) as refusal:
        loads(body)
    assert refusal.value.msg == rule


def test_escaped_pair_and_escaped_backslash_are_sound():
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert loads(b'"\\\\u0000"') == "\\u0000"
