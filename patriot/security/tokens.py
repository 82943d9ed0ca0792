"""User tokens: JWT with ES256 (RFC 7519, RFC 8725). Rule: what is not proven by our key, for us, now, is refused.

The algorithm is fixed here and never read from the token. A token that was verified is remembered until it expires,
since a check of its signature costs a hundred times a look into memory; the list of revoked tokens is asked each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

import jwt

from patriot.security.cache import VerifiedTokens
from patriot.security.errors import KeyRingError, TokenExpired, TokenForeign, TokenForged, TokenMalformed, TokenRevoked
from patriot.security.keys import SigningKeys
from patriot.security.revocation import TOKEN_LIFE_MAX, Revocations
from patriot.security.roles import Identity, Role

ALGORITHM = "ES256"
REQUIRED_CLAIMS = ("sub", "tenant", "role", "jti", "iat", "exp", "aud", "iss")
TOKEN_CHARACTERS_MAX = 4096
CLOCK_SKEW_MAX = timedelta(seconds=5)  # between the clocks of two of our own machines
BEARER = "bearer "

_REFUSALS: tuple[tuple[type[jwt.PyJWTError], type[TokenMalformed | TokenForged | TokenForeign]], ...] = (
    (jwt.InvalidSignatureError, TokenForged),
    (jwt.InvalidAlgorithmError, TokenForged),
    (jwt.InvalidKeyError, TokenForged),
    (jwt.InvalidAudienceError, TokenForeign),
    (jwt.InvalidIssuerError, TokenForeign),
    (jwt.PyJWTError, TokenMalformed),
)


class _Proven(NamedTuple):
    identity: Identity
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a token was issued and when it ends."""

    issued_at: datetime
    expires_at: datetime

    def check(self, now: datetime, life_max: timedelta) -> None:
        """Raise TokenExpired unless `now` lies inside and the whole is no longer than `life_max`."""
        if now >= self.expires_at:
            raise TokenExpired("its time is over")
        if self.issued_at > now + CLOCK_SKEW_MAX:
            raise TokenExpired("issued in the future")
        if self.expires_at - self.issued_at > life_max:
            raise TokenExpired("lives longer than allowed")


class UserTokens:
    """Issues and verifies the tokens of users.

    `issuer` and `audience` are the installation's; a token for another purpose (a second factor, a socket) is made
    with another audience by another instance.
    """

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        audience: str,
        revocations: Revocations | None = None,
        cache_size_max: int = 10_000,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._revocations = revocations if revocations is not None else Revocations()
        self._verified: VerifiedTokens[_Proven] = VerifiedTokens(cache_size_max)

    def issue(self, identity: Identity, now: datetime, life: timedelta = TOKEN_LIFE_MAX) -> str:
        """Sign a token for `identity`, whose `token_id` must be new.

        Raises KeyRingError in a part that holds no private key, ValueError for a life over an hour.
        """
        if not timedelta(0) < life <= TOKEN_LIFE_MAX:
            raise ValueError(f"a token lives up to {TOKEN_LIFE_MAX}")
        if not identity.token_id:
            raise ValueError("a token needs an id, else it cannot be revoked")
        if self._keys.private is None:
            raise KeyRingError("this part verifies tokens and cannot issue them")
        claims = {
            "sub": str(identity.user_id),
            "tenant": str(identity.tenant_id),
            "role": str(identity.role),
            "jti": identity.token_id,
            "aud": self._audience,
            "iss": self._issuer,
            **lifetime_claims(now, life),
        }
        return jwt.encode(claims, self._keys.private, algorithm=ALGORITHM, headers={"kid": self._keys.current})

    def revoke_user(self, user_id: UUID, now: datetime) -> None:
        """Refuse what was issued to the user up to `now`."""
        self._revocations.revoke_user(user_id, now)

    def verify(self, token: str, now: datetime) -> Identity:
        """Return who the token proves. Raises a TokenRefused."""
        proven = self._verified.get(token, now)
        if proven is None:
            proven = self._prove(token, now)
        if self._revocations.covers(proven.identity.token_id, proven.identity.user_id, proven.issued_at):
            raise TokenRevoked("withdrawn before its time")
        return proven.identity

    def _prove(self, token: str, now: datetime) -> _Proven:
        key = self._keys.public.get(key_id_of(token))
        if key is None:
            raise TokenForged("signed with an unknown key")
        claims = decode(
            token,
            key,
            algorithm=ALGORITHM,
            audience=self._audience,
            issuer=self._issuer,
            required=REQUIRED_CLAIMS,
        )
        life = lifetime_of(claims)
        life.check(now, TOKEN_LIFE_MAX)
        proven = _Proven(identity_of(claims), life.issued_at)
        self._verified.put(token, life.expires_at, proven)
        return proven


def bearer(authorization: str | None) -> str:
    """The token in an `Authorization` header. Raises TokenMalformed where there is none."""
    if authorization is None or not authorization[: len(BEARER)].lower() == BEARER:
        raise TokenMalformed("no bearer token")
    return authorization[len(BEARER) :].strip()


def key_id_of(token: str) -> str:
    """The `kid` that the token names. Nothing is proven yet. Raises TokenMalformed."""
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise TokenMalformed("too long or not ASCII")
    try:
        identifier = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError as error:
        raise TokenMalformed(type(error).__name__) from None
    if not isinstance(identifier, str):
        raise TokenMalformed("names no key")
    return identifier


def decode(
    token: str, key: Any, *, algorithm: str, audience: str, issuer: str, required: Sequence[str]
) -> dict[str, Any]:
    """The claims of a token whose signature, audience, issuer and set of claims are right; times are not checked.

    Raises TokenForged, TokenForeign or TokenMalformed.
    """
    options: Any = {"require": list(required), "strict_aud": True} | dict.fromkeys(
        ("verify_exp", "verify_iat", "verify_nbf"),
        False,  # the library asks the system clock; see `Lifetime`
    )
    try:
        return jwt.decode(token, key, algorithms=[algorithm], audience=audience, issuer=issuer, options=options)
    except jwt.PyJWTError as error:
        _refuse(error)


def lifetime_claims(now: datetime, life: timedelta) -> dict[str, float]:
    """`iat` with milliseconds, so that a token issued right after a revocation is told from one issued before."""
    return {"iat": int(now.timestamp() * 1000) / 1000, "exp": int((now + life).timestamp() * 1000) / 1000}


def lifetime_of(claims: Mapping[str, Any]) -> Lifetime:
    return Lifetime(_moment(claims["iat"]), _moment(claims["exp"]))


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """Raises TokenMalformed for ids that are no UUIDs and for roles that do not exist."""
    token_id = claims["jti"]
    if not isinstance(token_id, str) or not token_id:
        raise TokenMalformed("a claim has the wrong form")
    try:
        return Identity.of(UUID(claims["sub"]), UUID(claims["tenant"]), Role(claims["role"]), token_id)
    except (ValueError, TypeError, AttributeError):
        raise TokenMalformed("a claim has the wrong form") from None


def _moment(seconds: object) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TokenMalformed("a time is no number")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # NaN, infinity, or beyond the calendar
        raise TokenMalformed("a time is out of range") from None


def _refuse(error: jwt.PyJWTError) -> NoReturn:
    reason = type(error).__name__
    raise next(refusal for kind, refusal in _REFUSALS if isinstance(error, kind))(reason) from None
