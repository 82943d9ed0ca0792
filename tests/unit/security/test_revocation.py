"""Revocations stay as long as they can matter, and no longer."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from patriot.security.revocation import PRUNE_EVERY, TOKEN_LIFE_MAX, Revocations

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANN, BOB = UUID(int=1), UUID(int=2)
SECOND = timedelta(seconds=1)


def test_token_is_covered_by_its_id_only() -> None:
    revocations = Revocations()
    revocations.revoke_token("a", NOW)
    assert revocations.covers("a", ANN, NOW)
    assert not revocations.covers("b", ANN, NOW)


def test_user_is_covered_up_to_the_moment() -> None:
    revocations = Revocations()
    revocations.revoke_user(ANN, NOW)
    assert revocations.covers("a", ANN, NOW)
    assert not revocations.covers("a", ANN, NOW + SECOND)
    assert not revocations.covers("a", BOB, NOW)


def test_late_revocation_does_not_weaken_a_newer_one() -> None:
    revocations = Revocations()
    revocations.revoke_user(ANN, NOW)
    revocations.revoke_user(ANN, NOW - SECOND)
    assert revocations.covers("a", ANN, NOW)


def test_list_forgets_only_what_no_token_can_outlive() -> None:
    revocations = Revocations()
    revocations.revoke_token("old", NOW)
    revocations.revoke_user(ANN, NOW)
    revocations.revoke_token("young", NOW + timedelta(minutes=2))
    later = NOW + TOKEN_LIFE_MAX + timedelta(minutes=1)
    for number in range(PRUNE_EVERY):
        revocations.revoke_token(f"{number}", later)
    assert not revocations.covers("old", BOB, NOW)
    assert not revocations.covers("x", ANN, NOW)
    assert revocations.covers("young", BOB, NOW)
    assert revocations.covers("0", BOB, NOW)
