"""Opens the ccxt routes of a process: "paper" is the built-in venue where the settings say it is, "live" the exchanges.

Importing ccxt takes seconds, so it happens in a thread while the platform starts; orders wait for it in the broker.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from patriot.runtime.credentials import open_credentials
from patriot.runtime.ports import Runtime
from patriot.store.api import Query

if TYPE_CHECKING:
    from patriot.venues.connections import Login

PAPER, LIVE = "paper", "live"


async def open_venues(runtime: Runtime) -> None:
    """Register the adapters; connections open when they are first used. In-process paper trading brings its own."""
    await asyncio.to_thread(import_module, "patriot.venues.ccxt_adapter")
    from patriot.venues.ccxt_adapter import CcxtAdapter
    from patriot.venues.endpoints import VenueEndpoints

    log_in = partial(_login, runtime)
    settings = runtime.settings
    runtime.venues[LIVE] = CcxtAdapter(
        log_in, VenueEndpoints(), runtime.clock, runtime.state, address=settings.outgoing_address
    )
    if settings.execution == "wire":
        host, _, port = settings.venue_address.rpartition(":")
        built_in = VenueEndpoints(int(port), host)
        runtime.venues[PAPER] = CcxtAdapter(log_in, built_in, runtime.clock, runtime.state, is_limited=False)


async def _login(runtime: Runtime, account_id: UUID) -> "Login":
    """Raises KeyError for an account that is not there or not active."""
    from patriot.venues.connections import Login

    rows = await runtime.store.find(Query("user_accounts", None, {"id": account_id, "is_active": True}, limit=1))
    if not rows:
        raise KeyError(account_id)
    account: Mapping[str, Any] = rows[0]
    key, secret = open_credentials(runtime.access.vault, account)
    return Login(account["exchange"], key, secret)
