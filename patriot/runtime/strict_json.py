"""JSON that means one thing: duplicate keys, NaN, Infinity and text that nobody can store are refused at the door."""

import json
from typing import Any, NoReturn

from starlette.requests import Request


class StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


def loads(body: bytes) -> Any:
    """Raises json.JSONDecodeError, which FastAPI turns into a `json_invalid` validation error."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("the body is not UTF-8", "", error.start) from None
    try:
        value = _decoder.decode(text)
        if "\\u" in text:  # only an escape can bring in what the checks above keep out
            _check_texts(value)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python refuses to read an integer of more than 4,300 digits
        raise json.JSONDecodeError("a number has too many digits", "", 0) from None
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise json.JSONDecodeError(f"the key {twice!r} is there twice", "", 0)
    return result


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not a number", "", 0)


def _check_texts(value: Any) -> None:
    """PostgreSQL stores no null character, and half of a surrogate pair cannot be sent to anybody."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_texts(key)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)
    elif isinstance(value, str):
        if "\0" in value:
            raise json.JSONDecodeError("a text contains a null character", "", 0)
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise json.JSONDecodeError("a text contains half of a surrogate pair", "", 0)


_decoder = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
