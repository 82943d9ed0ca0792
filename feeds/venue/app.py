"""The built-in exchange as a feed. Rule: to the platform it is a venue like any other.

It opens an account for every paper account, credits what that account is funded with, and keeps its books alive from
one of three market sources: its own synthetic market, a replay, or a live public feed (both through the ticks port).
Orders reach it over its wire protocols, or in process where `execution` is "in_process". With `venue_at` another
process has the venue, and this one none.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, get_args

import structlog

from feeds.venue.errors import InsufficientBalance
from feeds.venue.events import EVERY
from feeds.venue.exchange import Exchange
from feeds.venue.halls import Halls, PaperVenue
from feeds.venue.replay import Replay
from feeds.venue.synthetic import STEP_MS, SyntheticMarket
from feeds.venue.wire.binance import Binance
from feeds.venue.wire.binance import Settings as BinanceSettings
from feeds.venue.wire.bybit import Bybit
from feeds.venue.wire.bybit_limits import RateLimits
from feeds.venue.wire.server import Mount, serving
from patriot.domain.instrument import Instrument
from patriot.domain.listing import Venue, instruments
from patriot.runtime.aggregates import ACCOUNT
from patriot.runtime.context import RequestContext
from patriot.runtime.credentials import open_credentials
from patriot.runtime.edge import user_context
from patriot.runtime.function import Context, Feed
from patriot.runtime.ports import Runtime
from patriot.runtime.reference import instrument_row
from patriot.store.api import Query, StoreUnavailable, StreamId
from schemas.events import AccountFunded, AccountLinked
from schemas.settlement_commands import VenueAnswer
from schemas.settlement_events import TransferSent
from schemas.settlement_queries import TransferView
from schemas.topics import ACCOUNT_EVENTS
from schemas.upcasters import decode_event

PAPER = "paper"
LOOK_SECONDS = 0.1
UNLIMITED = 10**9  # the whole platform is one address here: the exchanges' limits per address would be its own
MOUNTS: Mapping[str, Callable[..., Mount]] = {
    "BINANCE": partial(Binance, settings=BinanceSettings(is_limited=False)),
    "BYBIT": partial(Bybit, limits=RateLimits(UNLIMITED, UNLIMITED, UNLIMITED)),
}

log = structlog.get_logger()

feed = Feed("venue", on_ticks=True, source=True)


class NotOpenYet(Exception):
    """The venue or the account is not there yet: the broker shall deliver the event again."""


def halls_of(runtime: Runtime) -> Halls:
    """The halls of this process. Raises NotOpenYet while there are none."""
    halls, elsewhere = runtime.local.get(feed.name), runtime.settings.venue_at
    if not isinstance(halls, Halls):
        raise NotOpenYet(f"the venue is elsewhere, at {elsewhere}" if elsewhere else "the venue is starting")
    return halls


async def listed(context: RequestContext) -> dict[str, list[Instrument]]:
    """By venue: its own listing for the synthetic market, else what the market's source has defined first."""
    runtime = context.runtime
    if runtime.settings.market == "synthetic":
        return {venue: instruments(venue) for venue in get_args(Venue)}
    while not (rows := await _defined(runtime)):
        await runtime.clock.sleep(LOOK_SECONDS)
    found: dict[str, list[Instrument]] = {venue: [] for venue in get_args(Venue)}
    for instrument in rows:
        found.setdefault(instrument.venue, []).append(instrument)
    return found


async def _defined(runtime: Runtime) -> list[Instrument]:
    return [Instrument(**row) for row in await runtime.store.find(Query("instruments", None, {}, limit=100_000))]


@feed.task
async def run(context: RequestContext) -> None:
    """List the instruments, open the accounts that exist, keep the market alive."""
    runtime = context.runtime
    if runtime.settings.venue_at:
        return
    folder = None if runtime.settings.market == "replay" else runtime.settings.data_dir / "venue"
    halls = Halls(await listed(context), lambda: int(runtime.clock.now().timestamp() * 1000), folder)
    runtime.local[feed.name] = halls
    await context.write([instrument_row(one) for exchange in halls for one in exchange.instruments])
    accounts = await runtime.store.find(Query("user_accounts", None, {"mode": PAPER}, limit=100_000))
    for account in accounts:
        _open(halls, runtime, account)
    halls.listen()
    for account in accounts if runtime.settings.market == "live" else ():  # no other market keeps the venue waiting
        await _make_good(halls, runtime, account)
    async with _doors(runtime, halls):
        if runtime.settings.market == "synthetic":
            await _synthetic(runtime, halls)
        else:
            await _follow_ticks(runtime, halls)


@asynccontextmanager
async def _doors(runtime: Runtime, halls: Halls) -> AsyncIterator[None]:
    """Let orders in: over the wire, or in process."""
    if runtime.settings.execution == "in_process":
        runtime.venues[PAPER] = PaperVenue(halls)
        if runtime.settings.market == "synthetic":
            for exchange in halls:  # without a wire, the market reaches the other feeds through the ticks port
                exchange.on_market(EVERY, runtime.ticks.publish)
        yield
        return
    mounts = [MOUNTS[exchange.venue](exchange, plan=halls.faults) for exchange in halls if exchange.venue in MOUNTS]
    host = runtime.settings.venue_host
    async with serving(mounts, host=host, port=runtime.settings.venue_port) as port:
        log.info("the built-in venue serves", url=f"http://{host}:{port}", venues=sorted(MOUNTS))
        yield


@feed.on(ACCOUNT_EVENTS, AccountLinked)
async def open_account(event: AccountLinked, context: Context) -> None:
    """Open the account of a paper account, with the credentials that lie in the vault."""
    halls = halls_of(context.runtime)
    if event.mode == PAPER and event.exchange in halls:
        _open(halls, context.runtime, await context.account(event.account_id))


@feed.on(ACCOUNT_EVENTS, AccountFunded)
async def credit(event: AccountFunded, context: Context) -> None:
    """Credit paper money, once per event."""
    halls = halls_of(context.runtime)
    if event.source != PAPER:
        return
    if halls.venue_of(event.account_id) is None:
        raise NotOpenYet(event.account_id)
    assert context.event is not None
    halls.deposit(event.account_id, event.asset, event.amount, context.event.id)


@feed.on(ACCOUNT_EVENTS, TransferSent)
async def let_go(event: TransferSent, context: Context) -> None:
    """Take the money of a transfer out, tell settlement, and put it where the transfer ended. Once per transfer."""
    halls, reference = halls_of(context.runtime), str(event.transfer_id)
    refusal = ""
    try:
        if halls.venue_of(event.account_id) is not None:
            halls.withdraw(event.account_id, event.asset, event.amount, reference)
    except InsufficientBalance as error:
        refusal = str(error)
    owner = user_context(context.runtime, feed.name, context.tenant_id, event.user_id)
    path, body = f"/transfers/{event.transfer_id}/venue", VenueAnswer(refusal=refusal).model_dump_json()
    answer = await owner.invoke("settlement", "POST", path, body.encode())
    if answer.status >= 400:
        raise NotOpenYet(f"settlement answered {answer.status}")
    told = TransferView.model_validate_json(answer.body)
    home = told.to_account_id if told.status == "arrived" else None if refusal else event.account_id
    if home is not None and halls.venue_of(home) is not None:
        halls.deposit(home, event.asset, event.amount, f"{reference}:{told.status}")


def _open(halls: Halls, runtime: Runtime, account: Mapping[str, Any]) -> None:
    if account["exchange"] in halls:
        key, secret = open_credentials(runtime.access.vault, account)
        halls.open(account["exchange"], account["id"], key.reveal(), secret.reveal())


async def _make_good(halls: Halls, runtime: Runtime, account: Mapping[str, Any]) -> None:
    """Credit what was paid in while there was no venue: without a network a live market may take hours to come."""
    if account["exchange"] in halls:
        for event in await runtime.store.load(StreamId(account["tenant_id"], ACCOUNT.kind, account["id"])):
            paid = decode_event(event.type, event.schema_version, event.data)
            if isinstance(paid, AccountFunded) and paid.source == PAPER:
                halls.deposit(account["id"], paid.asset, paid.amount, event.id)


async def _synthetic(runtime: Runtime, halls: Halls) -> None:
    """One step of the market each 100 ms. A late step is not caught up: prices move, they do not jump."""
    markets = [SyntheticMarket(exchange, runtime.settings.seed) for exchange in halls]
    while True:
        for market in markets:
            market.step()
            await asyncio.sleep(0)  # a step takes milliseconds
        await runtime.clock.sleep(STEP_MS / 1000)


async def _follow_ticks(runtime: Runtime, halls: Halls) -> None:
    """A replay or a live feed drives the books, through the ticks port."""
    listed = {one.id for exchange in halls for one in exchange.instruments}
    for exchange in halls:
        _follow(runtime, exchange, exchange.instruments)
    more = asyncio.Event()
    if runtime.settings.market == "live":  # an exchange that is reached late defines its instruments late
        runtime.ticks.subscribe(lambda event: None if event.instrument in listed else more.set())
    while await more.wait():
        more.clear()
        with suppress(StoreUnavailable):
            late = [one for one in await _defined(runtime) if one.id not in listed]
            for exchange in halls:
                _follow(runtime, exchange, [one for one in late if one.venue == exchange.venue])
            listed.update(one.id for one in late)
        await runtime.clock.sleep(LOOK_SECONDS)


def _follow(runtime: Runtime, exchange: Exchange, found: Sequence[Instrument]) -> None:
    for instrument in found:
        exchange.open_market(instrument)
    if found:
        runtime.ticks.subscribe(Replay(exchange).apply, [one.id for one in found])


app = feed.app
