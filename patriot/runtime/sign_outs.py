"""Tokens withdrawn elsewhere. Rule: what one process withdraws, every other refuses within a quarter of a second.

A topic reaches one replica of each part, and each of them has to know: so all of them ask the store. It also tells what
was withdrawn before this process began.
"""

from datetime import timedelta

from patriot.runtime.ports import Runtime
from patriot.security.revocation import TOKEN_LIFE_MAX
from patriot.store.api import StoreUnavailable

ASK_SECONDS = 0.25
OVERLAP = timedelta(seconds=10)  # clocks differ, and a commit takes its time


async def follow_sign_outs(runtime: Runtime) -> None:
    """Learn of all that matters now, however long the store takes, and go on asking where others may write."""
    follower = _Follower(runtime)
    while not await follower.learned():
        await runtime.clock.sleep(ASK_SECONDS)
    if not runtime.states.alone:
        runtime.scheduler.every("sign-outs", ASK_SECONDS, follower.ask)


class _Follower:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._since = runtime.clock.now() - TOKEN_LIFE_MAX

    async def learned(self) -> bool:
        try:
            await self.ask()
        except StoreUnavailable:
            return False
        return True

    async def ask(self) -> None:
        asked_at = self._runtime.clock.now()
        for user_id, moment in (await self._runtime.store.signed_out(self._since)).items():
            self._runtime.access.revoke_user(user_id, moment)
        self._since = max(self._since, asked_at - OVERLAP)
