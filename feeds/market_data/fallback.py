"""Prices over REST while a socket is down. Rule: best bid and ask only; a book needs its socket."""

import asyncio
from collections.abc import Sequence

import structlog

from feeds.market_data.rest import REST_ERRORS
from feeds.market_data.source import Source, Surroundings

log = structlog.get_logger()


class Fallback:
    """Asks for one picture after the other, no faster than `fallback_requests_per_second`."""

    def __init__(self, source: Source, around: Surroundings) -> None:
        self._source, self._around = source, around
        self._task: asyncio.Task[None] | None = None

    def start(self, instruments: Sequence[str]) -> None:
        """Begin, unless it runs already."""
        if self._task is None and instruments:
            self._task = asyncio.create_task(self._run(instruments))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, instruments: Sequence[str]) -> None:
        timing, clock = self._around.timing, self._around.clock
        while True:
            await clock.sleep(timing.fallback_seconds)
            for instrument in instruments:
                await self._ask(instrument)
                await clock.sleep(1 / timing.fallback_requests_per_second)

    async def _ask(self, instrument_id: str) -> None:
        instrument = self._source.instruments[instrument_id]
        now_ms = int(self._around.clock.now().timestamp() * 1000)
        try:
            self._around.publish(await self._source.rest.picture(instrument, now_ms))
        except REST_ERRORS as error:
            log.warning("no price over REST either", instrument=instrument_id, reason=str(error))
