"""The parameters of a request, from a query string or a JSON object. Rule: what is not plainly right is refused.

Numbers of money are ASCII decimals in text ("0.001"), never JSON floats; an empty text means that the field is absent.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

import msgspec

from feeds.venue.errors import UnknownInstrument
from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_errors import Refused, malformed, refused
from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.money import decimal_of

Category = Literal["spot", "linear", "inverse", "option"]
"""The venue trades the first two; of the others its lists are empty."""

FIELDS_MAX = 64
_DECIMAL = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,18})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class Parameters:
    """One request's fields."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """Return a field as text; numbers and booleans are written as JSON writes them."""
        value = self._fields.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, (str, int)):
            raise malformed(name, "must be text")
        return str(value)

    def needed(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise malformed(name, "is missing")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """Return a field as a number, None where it is absent."""
        value = self.text(name)
        if not value:
            return None
        if not _DECIMAL.fullmatch(value):
            raise malformed(name, "is not a decimal number")
        try:
            return decimal_of(value, name)
        except InvalidValue as refusal:
            raise malformed(name, refusal.rule) from refusal

    def needed_decimal(self, name: str) -> Decimal:
        self.needed(name)
        value = self.decimal(name)
        assert value is not None, "its presence was checked"
        return value

    def integer(self, name: str, default: int) -> int:
        value = self.text(name)
        if value and not _INTEGER.fullmatch(value):
            raise malformed(name, "is not an integer")
        return int(value) if value else default

    def limit(self, default: int, maximum: int) -> int:
        """Return how many rows are wanted."""
        value = self.integer("limit", default)
        if value < 1:
            raise malformed("limit", "must be positive")
        return min(value, maximum)

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in {"true", "false"}:
            raise malformed(name, "must be true or false")
        return value == "true"

    def choice(self, name: str, choices: Sequence[str], default: str = "") -> str:
        """Return one of `choices`; the default where the field is absent, an error where there is none."""
        value = self.text(name, default)
        if value not in choices:
            raise malformed(name, f"must be one of {', '.join(choices)}")
        return value

    def category(self) -> Category:
        wanted = self.text("category")
        for category in get_args(Category):
            if category == wanted:
                return category  # type: ignore[no-any-return]  # get_args forgets the type
        raise malformed("category", "must be spot, linear, inverse or option")

    def instrument(self, exchange: Exchange) -> Instrument:
        """Return the instrument that `category` and `symbol` name. Raises Refused."""
        category = self.category()
        try:
            return exchange.find_instrument(self.needed("symbol"), category)
        except UnknownInstrument as error:
            raise refused(error, category) from error

    def instruments(self, exchange: Exchange) -> list[Instrument]:
        """Return the instrument that is named, or all of the category. Raises Refused."""
        if self.text("symbol"):
            return [self.instrument(exchange)]
        category = self.category()
        return [instrument for instrument in exchange.instruments if instrument.kind == category]


def from_query(query: str) -> Parameters:
    """Read a query string. Raises Refused."""
    try:
        return Parameters(dict(parse_qsl(query, keep_blank_values=True, max_num_fields=FIELDS_MAX)))
    except ValueError:
        raise malformed("query", "has too many fields") from None


def from_json(body: bytes) -> Parameters:
    """Read a JSON object. Raises Refused."""
    return Parameters(decode_object(body))


def decode_object(data: bytes | str) -> dict[str, Any]:
    """Read a JSON object. Raises Refused."""
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise malformed("body", "is not a JSON object") from None


__all__ = ["Category", "Parameters", "Refused", "decode_object", "from_json", "from_query"]
