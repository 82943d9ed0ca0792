"""An HTTP request and its answer, as the protocols see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is unquoted, `query` and `body` raw; header names are lower-case; `client` is an address."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str

    def with_body(self, body: bytes) -> Self:
        return replace(self, body=body)

    @property
    def host(self) -> str:
        """The host it was sent to, without the port."""
        return self.headers.get("host", "").partition(":")[0]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; the content type is JSON unless the headers name another."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
