"""Instrument definitions, versioned. Rule: integers mean the same for as long as the version's scale does.

The exchange tells steps, limits and its own decimals. Where a definition is stored already, its scale is kept as long
as it can hold the exchange's steps: books, strategies and the paper venue count in it. Whatever else has changed makes
the next version, which is stored and published. Only instruments that somebody wants are stored; the whole list of an
exchange stays in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec
import structlog
from pydantic import TypeAdapter, ValidationError

from feeds.market_data.source import Source
from patriot.domain.instrument import Instrument, decimals_of
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.context import RequestContext
from patriot.runtime.reference import instrument_row
from patriot.store.api import PUBLIC_TENANT, Query
from schemas.reports import InstrumentReport
from schemas.topics import MARKET_PRICES
from schemas.types import MAX_DECIMALS, InstrumentId

log = structlog.get_logger()

_valid_id = TypeAdapter(InstrumentId).validate_python


class Definitions:
    """Fetches, compares, stores and tells."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._runtime = context.runtime

    async def fetch(self, source: Source, *, finer: Iterable[str] = ()) -> None:
        """Read the exchange's list into `source.instruments`. The scales of `finer` are taken from the exchange.

        What is stored of the same markets and no longer listed was delisted, perhaps while nobody was here to see it:
        it is stored and told at once. Raises TransportError, ProtocolError.
        """
        told = [_storable(one) for one in await source.rest.definitions() if _is_valid(one.id)]
        stored, fine = await self._stored(), set(finer)
        listed = {one.id: _next_version(one, stored.get(one.id), keep_scale=one.id not in fine) for one in told}
        markets = {(one.venue, one.kind) for one in told}
        known = {one.id: one for one in stored.values() if (one.venue, one.kind) in markets} | source.instruments
        delisted = {one.id: _halted(one) for one in known.values() if one.id not in listed}
        await self.store([one for one in delisted.values() if one.id in stored])
        source.instruments = listed | delisted

    async def store(self, instruments: Sequence[Instrument]) -> list[Instrument]:
        """Write what is new or changed, in one commit, and tell it; returns that."""
        stored = await self._stored()
        changed = [one for one in instruments if stored.get(one.id) != one]
        if changed:
            await self._context.write([instrument_row(one) for one in changed])
            await self._runtime.publisher.publish(MARKET_PRICES.name, *(self._message(one) for one in changed))
        for one in changed:
            self._runtime.references.forget_instrument(one.id)
            if one.id in stored:
                log.info("instrument changed", instrument=one.id, version=one.version)
        return changed

    async def _stored(self) -> dict[str, Instrument]:
        rows = await self._runtime.store.find(Query("instruments", None, {}, limit=100_000))
        return {row["id"]: Instrument(**row) for row in rows}

    def _message(self, instrument: Instrument) -> CloudEvent:
        fields = {name: getattr(instrument, name) for name in InstrumentReport.model_fields}
        body = InstrumentReport(**fields).model_dump_json().encode()
        return CloudEvent(
            id=f"{InstrumentReport.TYPE}:{instrument.id}:{instrument.version}",
            source="/patriot/market-data",
            type=InstrumentReport.TYPE,
            time=self._runtime.clock.now(),
            data=msgspec.Raw(body),
            subject=f"{instrument.id}#{InstrumentReport.TYPE}",
            tenantid=str(PUBLIC_TENANT),
            correlationid=self._context.origin.correlation_id,
            actor="service:market-data",
            partitionkey=instrument.id,
        )


def _is_valid(identifier: str) -> bool:
    """Exchanges list what no order may name: dated futures, symbols in other scripts."""
    try:
        _valid_id(identifier)
    except ValidationError:
        return False
    return True


def _storable(instrument: Instrument) -> Instrument:
    """As the store will give it back: rates may have more decimals than its columns."""
    found = {name: getattr(instrument, name) for name in Instrument.__dataclass_fields__}
    rounded = {name: round(one, MAX_DECIMALS) for name, one in found.items() if isinstance(one, Decimal)}
    return Instrument(**{**found, **rounded})


def _next_version(told: Instrument, stored: Instrument | None, *, keep_scale: bool) -> Instrument:
    if stored is None:
        return told
    same = replace(told, version=stored.version)
    if keep_scale and _holds(stored, told):
        same = replace(same, price_decimals=stored.price_decimals, quantity_decimals=stored.quantity_decimals)
    return stored if same == stored else replace(same, version=stored.version + 1)


def _halted(instrument: Instrument) -> Instrument:
    """What the exchange no longer lists."""
    return replace(instrument, trading=False, version=instrument.version + 1) if instrument.trading else instrument


def _holds(stored: Instrument, told: Instrument) -> bool:
    """Whether the stored scale can hold the exchange's steps."""
    return stored.price_decimals >= decimals_of(told.tick_size) and stored.quantity_decimals >= decimals_of(
        told.lot_size
    )
