"""Passwords: Argon2id (RFC 9106). Rule: an unknown user costs the same work as a known one with a wrong password.

Hashing takes tens of milliseconds and 64 MiB by design. It runs beside the event loop, a few at a time.
"""

import asyncio
import secrets
import unicodedata
from base64 import b64encode
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from patriot.domain.errors import InvalidValue

CHARACTERS_MIN = 12
BYTES_MAX = 1024  # a longer text is work for us and no gain for the user
CONCURRENT_MAX = 2  # 128 MiB at most, and a flood of logins leaves the other cores alone


class Verdict(NamedTuple):
    """`matches`, and in `rehash` the new hash to store where the parameters have grown since the stored one."""

    matches: bool
    rehash: str | None = None


class Passwords:
    """Hashes and checks passwords. Make one per process: `CONCURRENT_MAX` counts within it."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher if hasher is not None else PasswordHasher()
        self._decoy = _decoy(self._hasher)
        self._room = asyncio.Semaphore(CONCURRENT_MAX)

    async def hash(self, password: str) -> str:
        """The text to store. Raises InvalidValue for a password that is too short or too long."""
        text = _normal(password)
        if len(text) < CHARACTERS_MIN:
            raise InvalidValue("password", f"must have at least {CHARACTERS_MIN} characters")
        if len(text.encode()) > BYTES_MAX:
            raise InvalidValue("password", f"must have at most {BYTES_MAX} bytes")
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, text)

    async def check(self, stored: str | None, password: str) -> Verdict:
        """Compare with the stored hash; `stored` None is a user who does not exist and takes as long."""
        text = _normal(password)
        if len(text.encode()) > BYTES_MAX:
            return Verdict(matches=False)  # no stored hash can match: `hash` refuses it; the answer is alike for all
        async with self._room:
            return await asyncio.to_thread(self._check, stored, text)

    def _check(self, stored: str | None, text: str) -> Verdict:
        try:
            self._hasher.verify(self._decoy if stored is None else stored, text)
        except (VerificationError, InvalidHashError):
            return Verdict(matches=False)
        if stored is None:  # somebody typed what hashes to the random bytes
            return Verdict(matches=False)
        return Verdict(True, self._hasher.hash(text) if self._hasher.check_needs_rehash(stored) else None)


def _normal(password: str) -> str:
    """One spelling for one password, whichever keyboard composed its characters (Unicode NFC)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace").decode()


def _decoy(hasher: PasswordHasher) -> str:
    """A hash that no password is known for, as dear to check as a real one. Random bytes: nobody has to compute it."""
    salt, tag = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${tag}"
