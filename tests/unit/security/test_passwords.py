"""Passwords: checked, rehashed when parameters grow, and the same work for users who do not exist."""

import asyncio
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from patriot.domain.errors import InvalidValue
from patriot.security.passwords import CONCURRENT_MAX, Passwords, Verdict

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
DEARER = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
GOOD = "correct horse battery"


class Counting(PasswordHasher):
    """Counts what the work depends on: the hashes that are verified and their parameters."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002  the library's own name
        self.verified.append(str(hash).rsplit("$", 2)[0])
        return super().verify(hash, password)


async def test_password_matches_its_hash_only() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash(GOOD)
    assert GOOD not in stored
    assert stored.startswith("$argon2id$")
    assert await passwords.check(stored, GOOD) == Verdict(matches=True)
    assert await passwords.check(stored, GOOD + ".") == Verdict(matches=False)


async def test_hash_is_salted() -> None:
    passwords = Passwords(CHEAP)
    assert await passwords.hash(GOOD) != await passwords.hash(GOOD)


async def test_hash_with_smaller_parameters_is_replaced_at_login() -> None:
    stored = await Passwords(CHEAP).hash(GOOD)
    verdict = await Passwords(DEARER).check(stored, GOOD)
    assert verdict.matches
    assert verdict.rehash is not None
    assert await Passwords(DEARER).check(verdict.rehash, GOOD) == Verdict(matches=True)
    assert (await Passwords(DEARER).check(stored, "wrong password")).rehash is None


async def test_unknown_user_costs_the_same_work() -> None:
    hasher = Counting()
    passwords = Passwords(hasher)
    stored = await passwords.hash(GOOD)
    assert await passwords.check(stored, "wrong password") == Verdict(matches=False)
    assert await passwords.check(None, "wrong password") == Verdict(matches=False)
    known, unknown = hasher.verified
    assert known == unknown


async def test_unknown_user_never_matches() -> None:
    class Agreeing(Counting):
        def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002
            return True

    assert await Passwords(Agreeing()).check(None, GOOD) == Verdict(matches=False)


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "é" * 513])
async def test_password_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        await Passwords(CHEAP).hash(password)
    assert refused.value.field == "password"
    assert not password or password not in str(refused.value)


async def test_enormous_password_is_refused_without_work() -> None:
    hasher = Counting()
    passwords = Passwords(hasher)
    assert await passwords.check(await passwords.hash(GOOD), "x" * 1_000_000) == Verdict(matches=False)
    assert not hasher.verified


async def test_stored_text_that_is_no_hash_never_matches() -> None:
    assert await Passwords(CHEAP).check("plain text", "plain text") == Verdict(matches=False)


async def test_same_characters_composed_differently_match() -> None:
    passwords = Passwords(CHEAP)
    assert (
        await passwords.check(await passwords.hash("caf\u00e9 caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301 cafe\u0301")
    ).matches


@given(st.text(min_size=12, max_size=40))
@settings(max_examples=30, deadline=None)
async def test_any_password_matches_itself(password: str) -> None:
    passwords = Passwords(CHEAP)
    try:
        stored = await passwords.hash(password)
    except InvalidValue:
        return  # composed to fewer characters
    assert (await passwords.check(stored, password)).matches


async def test_few_hashes_run_at_once() -> None:
    running, most = 0, 0

    class Watching(Counting):
        def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return super().verify(hash, password)
            finally:
                running -= 1

    passwords = Passwords(Watching())
    stored = await passwords.hash(GOOD)
    await asyncio.gather(*(passwords.check(stored, GOOD) for _ in range(20)))
    assert 1 <= most <= CONCURRENT_MAX


def test_decoy_costs_what_a_real_hash_costs() -> None:
    hasher = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    assert extract_parameters(Passwords(hasher)._decoy) == extract_parameters(hasher.hash("any"))
