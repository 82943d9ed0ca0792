"""A secret shows itself nowhere but in `reveal`."""

import copy
import pickle
from dataclasses import dataclass

import msgspec
import orjson
import pytest

from patriot.security.secret import Secret

SECRET = Secret("hunter2")


@dataclass
class Holder:
    key: Secret


def test_reveal_gives_the_text() -> None:
    assert SECRET.reveal() == "hunter2"
    assert SECRET
    assert not Secret("")


@pytest.mark.parametrize(
    "shown",
    [repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET!r:>20}", "%s" % SECRET, repr([SECRET]), repr(Holder(SECRET))],  # noqa: UP031
)
def test_printing_shows_nothing(shown: str) -> None:
    assert "hunter2" not in shown
    assert "Secret(…)" in shown


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, orjson.dumps, msgspec.json.encode, vars])
def test_serialising_is_refused(write: object) -> None:
    with pytest.raises(TypeError):
        write(SECRET)  # type: ignore[operator]


def test_secrets_compare_by_text_and_do_not_hash() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert SECRET != "hunter2"
    with pytest.raises(TypeError):
        hash(SECRET)
