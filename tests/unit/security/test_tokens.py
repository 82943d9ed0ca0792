"""User tokens: what is issued is accepted; every known attack on JWT is refused, always with the same words."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from patriot.security.errors import (
    KeyRingError,
    TokenExpired,
    TokenForeign,
    TokenForged,
    TokenMalformed,
    TokenRefused,
    TokenRevoked,
)
from patriot.security.keys import SigningKeys
from patriot.security.revocation import TOKEN_LIFE_MAX, Revocations
from patriot.security.roles import Identity, Role
from patriot.security.tokens import REQUIRED_CLAIMS, TOKEN_CHARACTERS_MAX, UserTokens, bearer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
KEYS = SigningKeys.generate()
ANN = Identity.of(UUID(int=1), UUID(int=2), Role.USER, "token-1")
SECOND = timedelta(seconds=1)


def tokens(keys: SigningKeys = KEYS, **options: Any) -> UserTokens:
    return UserTokens(keys, **{"issuer": "patriot", "audience": "patriot-api"} | options)


def claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "sub": str(ANN.user_id),
        "tenant": str(ANN.tenant_id),
        "role": "user",
        "jti": "token-1",
        "iat": NOW.timestamp(),
        "exp": NOW.timestamp() + 60,
        "aud": "patriot-api",
        "iss": "patriot",
    } | changes
    return {name: value for name, value in whole.items() if value is not ...}


def signed(payload: dict[str, Any], keys: SigningKeys = KEYS, **header: Any) -> str:
    assert keys.private is not None
    return jwt.encode(payload, keys.private, algorithm="ES256", headers={"kid": keys.current} | header)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.requirement("P14")
def test_token_issued_is_verified() -> None:
    assert tokens().verify(tokens().issue(ANN, NOW), NOW) == ANN


def test_token_carries_the_required_claims() -> None:
    payload = jwt.decode(tokens().issue(ANN, NOW), options={"verify_signature": False})
    assert set(payload) == set(REQUIRED_CLAIMS)


def test_hand_made_token_with_every_claim_is_accepted() -> None:
    """The attacks below differ from this one in one point only, so it is that point which is refused."""
    assert tokens().verify(signed(claims()), NOW) == ANN


@given(st.timedeltas(timedelta(0), timedelta(days=20_000)), st.integers(1, 3600), st.floats(0, 0.999))
@settings(max_examples=50, deadline=None)
def test_token_is_accepted_during_its_life_and_not_after(later: timedelta, seconds: int, part_of_life: float) -> None:
    now, life = NOW + later, timedelta(seconds=seconds)
    token = tokens().issue(ANN, now, life)
    assert tokens().verify(token, now + life * part_of_life - timedelta(milliseconds=1)) == ANN
    with pytest.raises(TokenExpired):
        tokens().verify(token, now + life)


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_issue_refuses_a_life_over_an_hour_or_none(seconds: int) -> None:
    with pytest.raises(ValueError, match="lives up to"):
        tokens().issue(ANN, NOW, timedelta(seconds=seconds))


def test_issue_refuses_an_identity_without_token_id() -> None:
    with pytest.raises(ValueError, match="needs an id"):
        tokens().issue(Identity.of(ANN.user_id, ANN.tenant_id, Role.USER), NOW)


def test_issue_without_private_key_is_refused_and_verification_works() -> None:
    verifier = tokens(KEYS.without_private())
    assert verifier.verify(tokens().issue(ANN, NOW), NOW) == ANN
    with pytest.raises(KeyRingError):
        verifier.issue(ANN, NOW)


def alg_none() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': KEYS.current})}.{part(claims())}."


def alg_none_with_the_signature_of_another_token() -> str:
    return alg_none() + signed(claims()).split(".")[2]


def hs256_with_the_public_key() -> str:
    public = KEYS.public[KEYS.current].public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': KEYS.current})}.{part(claims())}"
    key = jwt.get_algorithm_by_name("HS256")
    return f"{head}.{base64.urlsafe_b64encode(key.sign(head.encode(), public)).rstrip(b'=').decode()}"


def foreign_key_under_our_id() -> str:
    return signed(claims(), SigningKeys.generate(), kid=KEYS.current)


def changed_payload() -> str:
    head, _, signature = signed(claims()).split(".")
    return f"{head}.{part(claims(role='admin'))}.{signature}"


def stripped_signature() -> str:
    return signed(claims()).rpartition(".")[0] + "."


def zero_signature() -> str:
    """r = s = 0 passed broken ECDSA verifiers (CVE-2022-21449)."""
    return signed(claims()).rpartition(".")[0] + "." + base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode()


def unknown_key_id() -> str:
    return signed(claims(), kid="no-such-key")


def own_key_in_the_header() -> str:
    other = SigningKeys.generate()
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other.public[other.current]))
    return signed(claims(), other, kid=KEYS.current, jwk=jwk)


@pytest.mark.requirement("P14")
@pytest.mark.parametrize(
    "forge",
    [
        alg_none,
        alg_none_with_the_signature_of_another_token,
        hs256_with_the_public_key,
        foreign_key_under_our_id,
        changed_payload,
        stripped_signature,
        zero_signature,
        unknown_key_id,
        own_key_in_the_header,
    ],
)
def test_forged_token_is_refused(forge: Any) -> None:
    with pytest.raises(TokenForged):
        tokens().verify(forge(), NOW)


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("claim", REQUIRED_CLAIMS)
def test_missing_claim_is_refused(claim: str) -> None:
    with pytest.raises(TokenRefused):
        tokens().verify(signed(claims(**{claim: ...})), NOW)


@pytest.mark.requirement("P14")
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"aud": "another-api"}, TokenForeign),
        ({"aud": ["patriot-api", "another-api"]}, TokenForeign),
        ({"iss": "somebody-else"}, TokenForeign),
        ({"exp": NOW.timestamp()}, TokenExpired),
        ({"exp": NOW.timestamp() - 1}, TokenExpired),
        ({"exp": NOW.timestamp() + 3601}, TokenExpired),
        ({"iat": NOW.timestamp() + 10}, TokenExpired),
        ({"iat": NOW.timestamp() - 7200}, TokenExpired),
        ({"exp": True}, TokenMalformed),
        ({"exp": "4000000000"}, TokenMalformed),
        ({"exp": float("nan")}, TokenMalformed),
        ({"exp": float("inf")}, TokenMalformed),
        ({"exp": 1e300}, TokenMalformed),
        ({"sub": "ann"}, TokenMalformed),
        ({"sub": 7}, TokenMalformed),
        ({"tenant": None}, TokenMalformed),
        ({"tenant": [1]}, TokenMalformed),
        ({"role": "root"}, TokenMalformed),
        ({"role": ["admin"]}, TokenMalformed),
        ({"jti": ""}, TokenMalformed),
        ({"jti": 5}, TokenMalformed),
    ],
)
def test_wrong_claim_is_refused(changes: dict[str, Any], refusal: type[TokenRefused]) -> None:
    with pytest.raises(refusal):
        tokens().verify(signed(claims(**changes)), NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\ud800",
        part({"alg": "ES256"}) + ".e30.e30",
        part({"alg": "ES256", "kid": 7}) + ".e30.e30",
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.e30",
        "e" * (TOKEN_CHARACTERS_MAX + 1),
    ],
)
def test_text_that_is_no_token_is_malformed(text: str) -> None:
    with pytest.raises(TokenMalformed):
        tokens().verify(text, NOW)


@given(
    st.text(max_size=300)
    | st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(
        lambda parts: ".".join(base64.urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in parts)
    )
)
@settings(deadline=None)
def test_any_text_raises_only_a_refusal(text: str) -> None:
    with pytest.raises(TokenRefused):
        tokens().verify(text, NOW)


@given(st.floats(0, 1, exclude_max=True), st.sampled_from("abcXYZ019-_."))
@settings(deadline=None)
def test_any_changed_character_is_refused(where: float, other: str) -> None:
    token = tokens().issue(ANN, NOW)
    place = int(where * len(token))
    assume(other != token[place])
    changed = token[:place] + other + token[place + 1 :]
    try:
        identity = tokens().verify(changed, NOW)
    except TokenRefused:
        return
    # base64 leaves unused bits in the last character of a part: another spelling of the same signed bytes
    assert identity == ANN
    assert place == len(token) - 1 or token[place + 1] == "."


def test_refusals_say_the_same_words() -> None:
    words = set()
    for bad in [alg_none(), signed(claims(aud="x")), signed(claims(exp=1)), "rubbish", signed(claims(role=1))]:
        with pytest.raises(TokenRefused) as refused:
            tokens().verify(bad, NOW)
        assert refused.value.__cause__ is None
        words.add(str(refused.value))
    assert words == {"the token is not valid"}


def test_rotation_keeps_old_tokens_until_their_key_is_retired() -> None:
    old = tokens().issue(ANN, NOW)
    rotated = KEYS.rotated()
    new = tokens(rotated).issue(ANN, NOW)
    assert jwt.get_unverified_header(new)["kid"] == rotated.current != KEYS.current
    assert tokens(rotated).verify(old, NOW) == tokens(rotated).verify(new, NOW) == ANN
    with pytest.raises(TokenForged):
        tokens(rotated.retired(KEYS.current)).verify(old, NOW)
    with pytest.raises(KeyRingError, match="rotate first"):
        rotated.retired(rotated.current)


def test_cached_token_still_expires() -> None:
    verifier = tokens()
    token = verifier.issue(ANN, NOW, 10 * SECOND)
    assert verifier.verify(token, NOW) == verifier.verify(token, NOW + 9 * SECOND) == ANN
    with pytest.raises(TokenExpired):
        verifier.verify(token, NOW + 10 * SECOND)


def test_cached_token_is_revoked_at_once() -> None:
    revocations = Revocations()
    verifier = tokens(revocations=revocations)
    token = verifier.issue(ANN, NOW)
    assert verifier.verify(token, NOW) == ANN
    revocations.revoke_token(ANN.token_id, NOW)
    with pytest.raises(TokenRevoked):
        verifier.verify(token, NOW)


def test_token_revoked_before_its_first_use_is_refused_each_time() -> None:
    revocations = Revocations()
    verifier = tokens(revocations=revocations)
    revocations.revoke_token(ANN.token_id, NOW)
    token = verifier.issue(ANN, NOW)
    for _ in range(2):
        with pytest.raises(TokenRevoked):
            verifier.verify(token, NOW)


def test_revoked_user_is_refused_and_may_log_in_again() -> None:
    revocations = Revocations()
    verifier = tokens(revocations=revocations)
    before = verifier.issue(ANN, NOW)
    revocations.revoke_user(ANN.user_id, NOW)
    after = verifier.issue(ANN, NOW + timedelta(milliseconds=2))
    with pytest.raises(TokenRevoked):
        verifier.verify(before, NOW)
    assert verifier.verify(after, NOW + SECOND) == ANN


def test_forged_tokens_do_not_fill_the_cache() -> None:
    verifier = tokens(cache_size_max=2)
    good = verifier.issue(ANN, NOW)
    verifier.verify(good, NOW)
    for _ in range(5):
        with pytest.raises(TokenForged):
            verifier.verify(foreign_key_under_our_id(), NOW)
    assert len(verifier._verified) == 1


def test_cache_stays_within_its_bound() -> None:
    verifier = tokens(cache_size_max=3)
    for number in range(9):
        verifier.verify(verifier.issue(Identity.of(uuid4(), uuid4(), Role.ADMIN, str(number)), NOW), NOW)
    assert len(verifier._verified) == 3


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "abc.def.ghi"])
def test_bearer_without_token_is_malformed(header: str | None) -> None:
    with pytest.raises(TokenMalformed):
        bearer(header)


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_bearer_gives_the_token(header: str) -> None:
    assert bearer(header) == "abc"


def test_life_is_never_over_an_hour() -> None:
    assert timedelta(seconds=3600) == TOKEN_LIFE_MAX
