"""Remembers what was verified. Rule: an entry is never given out at or after its expiry, and the size is bounded."""

from collections import OrderedDict
from datetime import datetime
from hashlib import sha256
from typing import Generic, TypeVar

Verified = TypeVar("Verified")


class VerifiedTokens(Generic[Verified]):
    """Token digest -> what it proved, least recently used out first.

    Only proven tokens get in, so a flood of forged ones cannot push them out. The digest, not the token, is kept: a
    dump of the memory gives nothing to log in with.
    """

    def __init__(self, size_max: int = 10_000) -> None:
        self._size_max = size_max
        self._entries: OrderedDict[bytes, tuple[datetime, Verified]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, now: datetime) -> Verified | None:
        digest = _digest(token)
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if now >= entry[0]:
            del self._entries[digest]
            return None
        self._entries.move_to_end(digest)
        return entry[1]

    def put(self, token: str, expires_at: datetime, verified: Verified) -> None:
        self._entries[_digest(token)] = (expires_at, verified)
        if len(self._entries) > self._size_max:
            self._entries.popitem(last=False)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
