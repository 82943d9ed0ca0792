"""What is withdrawn before its time. Rule: an entry stays at least as long as a token that it refuses could live.

The list is a copy in memory of what the user events say; it is asked for every request, also for cached tokens.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

TOKEN_LIFE_MAX = timedelta(seconds=3600)
PRUNE_EVERY = 256  # revocations; keeps the cost per call constant and the list bounded by what was revoked in an hour


@dataclass(slots=True)
class Revocations:
    """Single tokens by id, and all tokens of a user issued up to a moment (password change, account locked)."""

    _tokens: dict[str, datetime] = field(default_factory=dict)
    _users: dict[UUID, datetime] = field(default_factory=dict)
    _added: int = 0

    def revoke_token(self, token_id: str, now: datetime) -> None:
        self._tokens[token_id] = now
        self._prune(now)

    def revoke_user(self, user_id: UUID, now: datetime) -> None:
        """Refuse what was issued to the user up to `now`; an older call that arrives late changes nothing."""
        self._users[user_id] = max(now, self._users.get(user_id, now))
        self._prune(now)

    def covers(self, token_id: str, user_id: UUID, issued_at: datetime) -> bool:
        if token_id in self._tokens:
            return True
        moment = self._users.get(user_id)
        return moment is not None and issued_at <= moment

    def _prune(self, now: datetime) -> None:
        self._added += 1
        if self._added % PRUNE_EVERY:
            return
        oldest = now - TOKEN_LIFE_MAX - timedelta(minutes=1)  # a minute for clocks that differ
        self._tokens = {name: when for name, when in self._tokens.items() if when > oldest}
        self._users = {user: when for user, when in self._users.items() if when > oldest}
