"""Tokens withdrawn elsewhere. Rule: what one process withdraws, every other refuses within a quarter of a second.

The store also tells what was withdrawn before this process began.
"""

from datetime import timedelta

from patriot.runtime.following import follow
from patriot.runtime.ports import Runtime
from patriot.security.revocation import TOKEN_LIFE_MAX

ASK_SECONDS = 0.25
OVERLAP = timedelta(seconds=10)  # clocks differ, and a commit takes its time


async def follow_sign_outs(runtime: Runtime) -> None:
    """Refuse from now on what was withdrawn."""
    await follow(runtime, "sign-outs", ASK_SECONDS, _Follower(runtime).ask)


class _Follower:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._since = runtime.clock.now() - TOKEN_LIFE_MAX

    async def ask(self) -> None:
        asked_at = self._runtime.clock.now()
        for user_id, moment in (await self._runtime.store.signed_out(self._since)).items():
            self._runtime.access.revoke_user(user_id, moment)
        self._since = max(self._since, asked_at - OVERLAP)
