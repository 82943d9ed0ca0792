"""Account data: the authenticated connection of each exchange account, and reconciliation. Rule: after every
(re)connect, and again and again, both sides are compared; in between the private streams tell what happens.

In-process paper trading has no socket: the venue's adapter tells its order states directly.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog

from feeds.account_data.breaker import Breaker
from feeds.account_data.desk import Desk
from feeds.account_data.streams import FEED
from patriot.domain.venue import OrderState
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Context, Feed
from patriot.runtime.ports import Runtime
from patriot.runtime.problem import ProblemError
from patriot.store.api import Query, StoreUnavailable
from schemas.events import (
    AccountBalanceAdjusted,
    AccountCredentialsRotated,
    AccountDeactivated,
    AccountDiverged,
    AccountLinked,
    PositionUpdated,
)
from schemas.queries import DivergenceView, ReconciliationView
from schemas.topics import ACCOUNT_EVENTS

LOOK_SECONDS = 0.2
LEASE_SECONDS = 30.0

log = structlog.get_logger()

feed = Feed(FEED, publishes=(AccountBalanceAdjusted, AccountDiverged, PositionUpdated), trades=True, everywhere=True)


class Desks:
    """The desks of this process, by account. Over all processes an account has one: with who holds its lease."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._desks: dict[UUID, Desk] = {}
        self._keepers: dict[UUID, asyncio.Task[None]] = {}
        self._breakers: dict[str, Breaker] = {}

    def open(self, account: Mapping[str, Any]) -> None:
        """Open the account's desk once its route is there and nobody else has it; again is harmless."""
        if account["id"] not in self._keepers and self._runtime.shard.has(account["id"]):
            self._keepers[account["id"]] = asyncio.create_task(self._keep(account), name=f"desk {account['id']}")

    async def _keep(self, account: Mapping[str, Any]) -> None:
        while account["mode"] not in self._runtime.venues:
            await self._runtime.clock.sleep(LOOK_SECONDS)
        if self._runtime.states.alone:
            self._start(account)
        else:
            await self._keep_leased(account)

    async def _keep_leased(self, account: Mapping[str, Any]) -> None:
        """A desk for as long as the lease is ours; whoever stops gives it back."""
        clock, leases, lease = self._runtime.clock, self._runtime.leases, None
        try:
            while True:
                try:
                    lease = await leases.acquire(f"{feed.name}:{account['id']}", LEASE_SECONDS)
                except StoreUnavailable:  # what we have may last until the store answers again
                    lease = lease if lease is not None and clock.now() < lease.expires_at else None
                if lease is None:
                    await self._stop(account["id"])
                elif account["id"] not in self._desks:
                    self._start(account)
                await clock.sleep(LEASE_SECONDS / 3)
        finally:
            await self._stop(account["id"])
            if lease is not None:
                with suppress(StoreUnavailable):
                    await leases.release(lease)

    def _start(self, account: Mapping[str, Any]) -> None:
        adapter, breaker = self._runtime.venues[account["mode"]], self._breaker(account)
        desk = self._desks[account["id"]] = Desk(account, adapter, self._runtime, breaker)
        desk.start()

    async def _stop(self, account_id: UUID) -> None:
        desk = self._desks.pop(account_id, None)
        if desk is not None:
            await desk.stop()

    def _breaker(self, account: Mapping[str, Any]) -> Breaker:
        """One for all connections to one venue."""
        place = f"{account['mode']} {account['exchange']}"
        return self._breakers.setdefault(place, Breaker(self._runtime.clock.monotonic))

    def desk(self, account_id: UUID) -> Desk | None:
        return self._desks.get(account_id)

    async def close(self, account_id: UUID) -> None:
        keeper = self._keepers.pop(account_id, None)
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await self._stop(account_id)

    async def close_all(self) -> None:
        await asyncio.gather(*map(self.close, list(self._keepers)))

    def tell(self, state: OrderState) -> None:
        """The in-process venue's private stream."""
        desk = self._desks.get(state.ref.account_id)
        if desk is not None:
            self._runtime.spawn(desk.state(state), "order state")


@feed.task
async def run(context: RequestContext) -> None:
    """A desk for every active account."""
    runtime = context.runtime
    desks = runtime.local[feed.name] = Desks(runtime)
    listening = asyncio.create_task(_listen(runtime, desks))
    try:
        rows = await runtime.store.find(Query("user_accounts", None, {"is_active": True}, limit=100_000))
        for row in rows:
            desks.open(row)
        await asyncio.Event().wait()
    finally:
        listening.cancel()
        await desks.close_all()


async def _listen(runtime: Runtime, desks: Desks) -> None:
    """Hear the in-process venue, where there is one."""
    while runtime.settings.execution == "in_process":
        subscribe = getattr(runtime.venues.get("paper"), "subscribe", None)
        if subscribe is not None:
            subscribe(desks.tell)
            return
        await runtime.clock.sleep(LOOK_SECONDS)


@feed.post("/accounts/{account_id}/reconcile", needs="accounts:manage", idempotent=True)
async def reconcile(account_id: UUID, context: Context) -> ReconciliationView:
    """Compare an account with its venue now, and begin to mend what differs."""
    account = await context.own_account(account_id)
    desks = context.runtime.local.get(feed.name)
    desk = desks.desk(account["id"]) if isinstance(desks, Desks) else None
    if desk is None:
        raise ProblemError(503, "not_connected", "the account's venue is not connected here yet; try again")
    found = await desk.reconcile()
    return ReconciliationView(
        account_id=account_id, divergences=tuple(DivergenceView(**one._asdict()) for one in found), as_of=context.now()
    )


@feed.on(ACCOUNT_EVENTS, AccountLinked)
async def link(event: AccountLinked, context: Context) -> None:
    desks = context.runtime.local.get(feed.name)
    if isinstance(desks, Desks):
        desks.open(await context.account(event.account_id))


@feed.on(ACCOUNT_EVENTS, AccountCredentialsRotated)
async def reconnect(event: AccountCredentialsRotated, context: Context) -> None:
    """A new connection, with what the vault holds now."""
    desks = context.runtime.local.get(feed.name)
    if isinstance(desks, Desks):
        await desks.close(event.account_id)
        desks.open(await context.account(event.account_id))


@feed.on(ACCOUNT_EVENTS, AccountDeactivated)
async def unlink(event: AccountDeactivated, context: Context) -> None:
    desks = context.runtime.local.get(feed.name)
    if isinstance(desks, Desks):
        await desks.close(event.account_id)


app = feed.app
