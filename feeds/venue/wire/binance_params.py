"""Parameters of a request. Rule: text in, checked values out; what does not fit names the parameter.

REST sends a query and a form, which together are one list of parameters; the WebSocket API sends a JSON object.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qsl

from feeds.venue.wire.binance_errors import BinanceError
from patriot.domain.errors import InvalidValue
from patriot.domain.money import decimal_of

CLIENT_ID = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
INTEGER_MAX = 2**63 - 1
FIELDS_MAX = 64

Choice = TypeVar("Choice")


class Params:
    """Named texts. A parameter that is empty counts as not sent."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    @classmethod
    def of_request(cls, query: str, body: bytes) -> "Params":
        """Raises BinanceError -1101 for a parameter sent twice, -1100 for text that is none."""
        try:
            text = "&".join(filter(None, (query, body.decode())))
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
        except ValueError:
            raise BinanceError(-1100, "Illegal characters found in a parameter.") from None
        values = dict(pairs)
        if len(values) != len(pairs):
            raise BinanceError(-1101, "Duplicate values for a parameter detected.")
        return cls(values)

    @classmethod
    def of_object(cls, values: object) -> "Params":
        """Take a decoded JSON object (numbers as `str`, so nothing is rounded)."""
        if not isinstance(values, dict) or len(values) > FIELDS_MAX:
            raise BinanceError(-1100, "Illegal characters found in parameter 'params'.")
        return cls({str(name): _text(value) for name, value in values.items()})

    def has(self, name: str) -> bool:
        return bool(self.values.get(name))

    def text(self, name: str, default: str | None = None) -> str:
        """Raises BinanceError -1102 where it was not sent and there is no default."""
        value = self.values.get(name)
        if value:
            return value
        if default is None:
            raise missing(name)
        return default

    def decimal(self, name: str) -> Decimal | None:
        """Return a finite decimal, None where it was not sent."""
        text = self.values.get(name)
        if not text:
            return None
        try:
            return decimal_of(text, name)
        except InvalidValue:
            raise illegal(name) from None

    def integer(self, name: str, default: int | None = None) -> int:
        text = self.values.get(name)
        if not text:
            if default is None:
                raise missing(name)
            return default
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) > INTEGER_MAX:
            raise illegal(name, "^[0-9]{1,20}$")
        return int(text)

    def limit(self, default: int, largest: int) -> int:
        """Return the parameter `limit`; one over the largest counts as the largest."""
        number = self.integer("limit", default)
        if number < 1:
            raise BinanceError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(number, largest)

    def choice(self, name: str, table: Mapping[str, Choice], refusal: tuple[int, str], default: str = "") -> Choice:
        """Raises BinanceError -1102 where it was not sent, `refusal` where it is none of the table."""
        text = self.text(name, default or None)
        if text not in table:
            raise BinanceError(*refusal)
        return table[text]

    def flag(self, name: str) -> bool:
        """Return a boolean, False where it was not sent."""
        text = self.text(name, "false").lower()
        if text not in {"true", "false"}:
            raise illegal(name)
        return text == "true"

    def client_id(self, name: str) -> str:
        """Return a client order id, "" where it was not sent."""
        text = self.text(name, "")
        if text and not CLIENT_ID.fullmatch(text):
            raise illegal(name, f"^{CLIENT_ID.pattern}$")
        return text


def missing(name: str) -> BinanceError:
    return BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str = r"^([0-9]{1,20})(\.[0-9]{1,20})?$") -> BinanceError:
    return BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (dict, list)):
        return ""
    return str(value)
