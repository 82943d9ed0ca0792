"""The cache of verified tokens forgets the expired and the least used, and holds no token."""

from datetime import UTC, datetime, timedelta

from patriot.security.cache import VerifiedTokens

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)


def test_entry_is_given_until_its_expiry_and_then_dropped() -> None:
    cache: VerifiedTokens[str] = VerifiedTokens()
    cache.put("token", LATER, "ann")
    assert cache.get("token", LATER - timedelta(microseconds=1)) == "ann"
    assert cache.get("token", LATER) is None
    assert len(cache) == 0


def test_least_recently_used_entry_goes_first() -> None:
    cache: VerifiedTokens[int] = VerifiedTokens(size_max=2)
    cache.put("a", LATER, 1)
    cache.put("b", LATER, 2)
    cache.get("a", NOW)
    cache.put("c", LATER, 3)
    assert [cache.get(name, NOW) for name in "abc"] == [1, None, 3]


def test_unknown_token_gives_nothing() -> None:
    assert VerifiedTokens[str]().get("\ud800", NOW) is None


def test_cache_holds_no_token() -> None:
    cache: VerifiedTokens[str] = VerifiedTokens()
    cache.put("hunter2", LATER, "ann")
    assert "hunter2" not in repr(cache._entries)
