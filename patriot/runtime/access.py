"""Who is calling: users by bearer token, parts of the platform by service token. Wires `patriot.security` together."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from patriot.runtime.clock import Clock
from patriot.security.keys import KeyRing
from patriot.security.passwords import Passwords
from patriot.security.roles import Identity, Role
from patriot.security.service_tokens import HEADER, ServiceTokens
from patriot.security.tokens import UserTokens, bearer
from patriot.security.vault import Vault

BROKER = "broker"
TOKEN_LIFE = timedelta(seconds=3600)
TOKEN_STEP = timedelta(milliseconds=2)  # a token says when it was issued in whole milliseconds
_SERVICE_HEADER = HEADER.lower().encode()


class Caller(Struct, frozen=True):
    """`identity` is the user, if any; `service` the calling part, empty for a caller from outside."""

    identity: Identity | None = None
    service: str = ""

    @property
    def actor(self) -> str:
        if self.identity is not None:
            return self.identity.actor
        return f"service:{self.service}" if self.service else "anonymous"


ANONYMOUS = Caller()


class Access:
    """Verifies and issues the tokens of one installation. `app_ids` are its parts; each may call each."""

    def __init__(self, ring: KeyRing, clock: Clock, *, issuer: str, audience: str, app_ids: Collection[str]) -> None:
        self._clock = clock
        self._users = UserTokens(ring.users, issuer=issuer, audience=audience)
        callers = frozenset({*app_ids, BROKER})
        self._services = {app_id: ServiceTokens(ring.services, app_id=app_id, callers=callers) for app_id in callers}
        self.passwords = Passwords()
        self.vault = Vault(ring.vault)

    def authenticate(self, app_id: str, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sent these headers to `app_id`. Raises TokenRefused; a caller without any token is ANONYMOUS."""
        service_token = headers.get(_SERVICE_HEADER)
        if service_token is not None and app_id in self._services:
            call = self._services[app_id].verify(service_token.decode("latin-1"), self._clock.now())
            return Caller(call.identity, call.caller)
        authorization = headers.get(b"authorization")
        if authorization is None:
            return ANONYMOUS
        return Caller(self._users.verify(bearer(authorization.decode("latin-1")), self._clock.now()))

    def service_headers(self, caller: str, target: str, identity: Identity | None = None) -> dict[str, str]:
        """The headers with which `caller` calls `target`, on behalf of `identity`."""
        return {HEADER: self._services[caller].issue(target, self._clock.now(), identity)}

    def revoke_user(self, user_id: UUID, moment: datetime) -> None:
        """Refuse, in this process, what was issued to the user up to `moment`; the others learn it from the store."""
        self._users.revoke_user(user_id, moment)

    def issue(
        self, user_id: UUID, tenant_id: UUID, role: str, token_id: str, signed_out_at: datetime | None = None
    ) -> tuple[str, int]:
        """A user's access token, good although others were withdrawn at `signed_out_at`, and its life in seconds."""
        identity, now = Identity.of(user_id, tenant_id, Role(role), token_id), self._clock.now()
        issued_at = now if signed_out_at is None else max(now, signed_out_at + TOKEN_STEP)
        return self._users.issue(identity, issued_at, TOKEN_LIFE), int(TOKEN_LIFE.total_seconds())
