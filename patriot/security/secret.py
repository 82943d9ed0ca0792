"""A text that must not be seen. Rule: it leaves only through `reveal()`, so every leak can be found by that word."""

import hmac
from typing import NoReturn

HIDDEN = "Secret(…)"


class Secret:
    """Holds a text. Printing, formatting, logging, JSON and pickle show or carry nothing of it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Use it where it is spent, never store it."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())  # no timing tells how much is right

    __hash__ = None  # type: ignore[assignment]  # a hash in a dictionary would be a place to look

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised: seal it in the vault")
