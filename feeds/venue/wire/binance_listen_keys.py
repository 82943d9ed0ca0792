"""Listen keys: names of private streams. Rule: one per account, dead an hour after it was last kept alive."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from feeds.venue.accounts import Account
from feeds.venue.wire.binance_errors import BinanceError
from feeds.venue.wire.binance_segment import Call, Route, Routes

VALID_MS = 60 * 60_000
UNKNOWN = (-1125, "This listenKey does not exist.")


@dataclass(slots=True)
class _Key:
    account: Account
    name: str
    until_ms: int


@dataclass(slots=True)
class ListenKeys:
    """The keys of one kind of market. Names are secrets: random, never derived."""

    now_ms: Callable[[], int]
    valid_ms: int = VALID_MS
    _by_account: dict[str, _Key] = field(default_factory=dict)
    _by_name: dict[str, _Key] = field(default_factory=dict)

    def routes(self, path: str) -> Routes:
        return {
            ("POST", path): Route(self.open, "key"),
            ("PUT", path): Route(self.keep, "key"),
            ("DELETE", path): Route(self.close, "key"),
        }

    def open(self, call: Call) -> object:
        """Return the account's key; one that lives is kept alive."""
        key = self._by_account.get(call.account.name)
        if key is None or not self.is_alive(key.name):
            key = _Key(call.account, secrets.token_hex(32), 0)
            self._by_account[call.account.name] = self._by_name[key.name] = key
        key.until_ms = self.now_ms() + self.valid_ms
        return {"listenKey": key.name}

    def keep(self, call: Call) -> object:
        key = self._living(call)
        key.until_ms = self.now_ms() + self.valid_ms
        return {"listenKey": key.name}

    def close(self, call: Call) -> object:
        key = self._living(call)
        del self._by_account[call.account.name], self._by_name[key.name]
        return {}

    def account(self, name: str) -> Account | None:
        """Return whose key it is, None where it is dead or was never given out."""
        return self._by_name[name].account if self.is_alive(name) else None

    def is_alive(self, name: str) -> bool:
        key = self._by_name.get(name)
        return key is not None and key.until_ms > self.now_ms()

    def _living(self, call: Call) -> _Key:
        key = self._by_account.get(call.account.name)
        if key is None or not self.is_alive(key.name):
            raise BinanceError(*UNKNOWN)
        return key
