"""Service tokens: JWT signed with HS256 in `X-Service-Token`. Rule: a token is for one target and lives one minute.

It may carry the user on whose behalf the call is made, signed with it: a part never takes a user from a plain header.
All parts share the key, so a token proves "one of us" to the outside; the list of callers guards against mistakes.
"""

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from patriot.security.cache import VerifiedTokens
from patriot.security.errors import TokenForeign, TokenForged, TokenMalformed
from patriot.security.keys import SymmetricKeys
from patriot.security.roles import Identity
from patriot.security.tokens import decode, identity_of, key_id_of, lifetime_claims, lifetime_of

HEADER = "X-Service-Token"
ALGORITHM = "HS256"
ISSUER = "patriot-services"
LIFE = timedelta(seconds=60)
REQUIRED_CLAIMS = ("sub", "aud", "iss", "iat", "exp")


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """A proven call: from which app, and for which user if any."""

    caller: str
    identity: Identity | None


class ServiceTokens:
    """Issues this app's tokens and verifies those that others send to it.

    `callers` are the apps that may call this one.
    """

    def __init__(
        self, keys: SymmetricKeys, *, app_id: str, callers: Container[str], cache_size_max: int = 10_000
    ) -> None:
        self._keys = keys
        self._app_id = app_id
        self._callers = callers
        self._size_max = cache_size_max
        self._issued: OrderedDict[tuple[str, Identity | None], tuple[datetime, str]] = OrderedDict()
        self._verified: VerifiedTokens[ServiceCall] = VerifiedTokens(cache_size_max)

    def issue(self, target: str, now: datetime, identity: Identity | None = None) -> str:
        """A token for one call of `target`; the same one again while half of its life is left."""
        known = self._issued.get((target, identity))
        if known is not None and now < known[0]:
            return known[1]
        token = self._sign(target, now, identity)
        self._issued[target, identity] = (now + LIFE / 2, token)
        self._issued.move_to_end((target, identity))
        if len(self._issued) > self._size_max:
            self._issued.popitem(last=False)
        return token

    def verify(self, token: str, now: datetime) -> ServiceCall:
        """Return who calls. Raises a TokenRefused."""
        call = self._verified.get(token, now)
        return call if call is not None else self._prove(token, now)

    def _prove(self, token: str, now: datetime) -> ServiceCall:
        key = self._keys.keys.get(key_id_of(token))
        if key is None:
            raise TokenForged("signed with an unknown key")
        claims = decode(token, key, algorithm=ALGORITHM, audience=self._app_id, issuer=ISSUER, required=REQUIRED_CLAIMS)
        life = lifetime_of(claims)
        life.check(now, LIFE)
        call = ServiceCall(self._caller(claims["sub"]), _user(claims.get("user")))
        self._verified.put(token, life.expires_at, call)
        return call

    def _caller(self, name: object) -> str:
        if not isinstance(name, str) or name not in self._callers:
            raise TokenForeign("this caller is not on the list")
        return name

    def _sign(self, target: str, now: datetime, identity: Identity | None) -> str:
        claims: dict[str, Any] = {"sub": self._app_id, "aud": target, "iss": ISSUER, **lifetime_claims(now, LIFE)}
        if identity is not None:
            claims["user"] = {
                "sub": str(identity.user_id),
                "tenant": str(identity.tenant_id),
                "role": str(identity.role),
                "jti": identity.token_id,
            }
        key = self._keys.keys[self._keys.current]
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": self._keys.current})


def _user(claims: object) -> Identity | None:
    if claims is None:
        return None
    if not isinstance(claims, dict) or not {"sub", "tenant", "role", "jti"} <= claims.keys():
        raise TokenMalformed("the user has the wrong form")
    return identity_of(claims)
