"""Service tokens: for one target, for a minute, from a listed caller, with the user signed in."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest

from patriot.security.errors import TokenExpired, TokenForeign, TokenForged, TokenMalformed, TokenRefused
from patriot.security.keys import SigningKeys, SymmetricKeys
from patriot.security.roles import Identity, Role
from patriot.security.service_tokens import HEADER, ISSUER, LIFE, REQUIRED_CLAIMS, ServiceCall, ServiceTokens
from patriot.security.tokens import UserTokens

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = SymmetricKeys.generate()
ANN = Identity.of(UUID(int=1), UUID(int=2), Role.USER, "token-1")


def app(app_id: str, *callers: str, keys: SymmetricKeys = KEYS, cache_size_max: int = 100) -> ServiceTokens:
    return ServiceTokens(keys, app_id=app_id, callers=frozenset(callers), cache_size_max=cache_size_max)


def signed(key: Any = KEYS.keys[KEYS.current], algorithm: str = "HS256", **changes: Any) -> str:
    start = NOW.timestamp()
    whole = {"sub": "orders", "aud": "risk", "iss": ISSUER, "iat": start, "exp": start + 30} | changes
    payload = {name: value for name, value in whole.items() if value is not ...}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": KEYS.current})


@pytest.mark.requirement("P14")
def test_call_proves_caller_and_user() -> None:
    assert HEADER == "X-Service-Token"
    assert app("risk", "orders").verify(app("orders").issue("risk", NOW, ANN), NOW) == ServiceCall("orders", ANN)
    assert app("risk", "orders").verify(app("orders").issue("risk", NOW), NOW) == ServiceCall("orders", None)


@pytest.mark.requirement("P14")
def test_token_for_another_target_is_refused() -> None:
    with pytest.raises(TokenForeign):
        app("risk", "orders").verify(app("orders").issue("ledger", NOW), NOW)


@pytest.mark.requirement("P14")
def test_caller_that_is_not_listed_is_refused() -> None:
    with pytest.raises(TokenForeign):
        app("risk", "orders").verify(app("dashboard").issue("risk", NOW), NOW)


def test_token_lives_a_minute_also_when_cached() -> None:
    verifier, token = app("risk", "orders"), app("orders").issue("risk", NOW)
    verifier.verify(token, NOW + LIFE - timedelta(seconds=1))
    with pytest.raises(TokenExpired):
        verifier.verify(token, NOW + LIFE)


@pytest.mark.requirement("P14")
@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        (signed(exp=NOW.timestamp() + 61), TokenExpired),
        (signed(iss="patriot"), TokenForeign),
        (signed(key=bytes(32)), TokenForged),
        (signed(key=KEYS.keys[KEYS.current] * 2, algorithm="HS512"), TokenForged),
        (signed(key="", algorithm="none"), TokenForged),
        (signed(sub=["orders"]), TokenRefused),
        (signed(user="ann"), TokenMalformed),
        (signed(user={"sub": str(UUID(int=1))}), TokenMalformed),
        (signed(user={"sub": 1, "tenant": 2, "role": 3, "jti": 4}), TokenMalformed),
        ("rubbish", TokenMalformed),
    ],
)
def test_wrong_token_is_refused(token: str, refusal: type[TokenRefused]) -> None:
    with pytest.raises(refusal):
        app("risk", "orders").verify(token, NOW)


@pytest.mark.parametrize("claim", REQUIRED_CLAIMS)
def test_missing_claim_is_refused(claim: str) -> None:
    assert app("risk", "orders").verify(signed(), NOW).caller == "orders"
    with pytest.raises(TokenRefused):
        app("risk", "orders").verify(signed(**{claim: ...}), NOW)


def test_user_token_is_no_service_token() -> None:
    keys = SigningKeys.generate()
    token = UserTokens(keys, issuer=ISSUER, audience="risk").issue(ANN, NOW, LIFE)
    with pytest.raises(TokenForged):
        app("risk", str(ANN.user_id)).verify(token, NOW)


def test_unknown_key_is_refused_and_rotation_keeps_the_old() -> None:
    old = app("orders").issue("risk", NOW)
    rotated = KEYS.rotated()
    assert app("risk", "orders", keys=rotated).verify(old, NOW).caller == "orders"
    with pytest.raises(TokenForged):
        app("risk", "orders", keys=rotated.retired(KEYS.current)).verify(old, NOW)


def test_issue_repeats_a_token_for_half_its_life() -> None:
    orders = app("orders")
    first = orders.issue("risk", NOW)
    assert orders.issue("risk", NOW + LIFE / 2 - timedelta(seconds=1)) == first
    assert orders.issue("risk", NOW + LIFE / 2) != first
    assert orders.issue("ledger", NOW) != first != orders.issue("risk", NOW, ANN)


def test_issued_tokens_are_bounded() -> None:
    orders = app("orders", cache_size_max=3)
    for number in range(10):
        orders.issue(f"app-{number}", NOW)
    assert len(orders._issued) == 3
