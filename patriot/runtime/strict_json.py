"""JSON that means one thing: duplicate keys, NaN and Infinity are refused before anyone looks at the content."""

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
        return _decoder.decode(text)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise json.JSONDecodeError(f"the key {twice!r} is there twice", "", 0)
    return result


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not a number", "", 0)


_decoder = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
