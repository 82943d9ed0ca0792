"""Daily bars, for risk, strategies and reports. Rule: a day is the venue's own bar; where no venue can be asked, it is
joined from the minutes that were stored here.

Each instrument that is heard is looked at when it appears and after each midnight (UTC): a restart in the middle of a
day leaves no hole, and what an instrument did before anybody heard it is known as far back as its venue tells.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import structlog

from feeds.market_data.hub import MarketHub
from feeds.market_data.rest import REST_ERRORS, Day, Rest
from patriot.domain.instrument import Instrument
from patriot.runtime.context import RequestContext
from patriot.store.api import Between, Query, Row, StoreUnavailable

LOOK_SECONDS = 5.0
SETTLED_SECONDS = 10.0
"""So long after midnight the last bars of the day have been written, here and at the venues."""
JOINED_DAYS = 7
"""So far back days are joined from minutes."""
RETRY_SECONDS = 60.0

log = structlog.get_logger()


class Days:
    """Writes the days of one hub's instruments. `rest_of` tells whom to ask about an instrument; None: nobody."""

    def __init__(self, context: RequestContext, hub: MarketHub, rest_of: Callable[[str], Rest | None]) -> None:
        self._context, self._hub, self._rest_of = context, hub, rest_of
        self._done: dict[str, date] = {}
        self._retry_at = float("-inf")

    async def look(self) -> None:
        """Fill what is due. What cannot be asked or written now is due again in a minute."""
        clock = self._context.runtime.clock
        today = (clock.now() - timedelta(seconds=SETTLED_SECONDS)).astimezone(UTC).date()
        due = [one for one in self._heard() if self._done.get(one.id) != today]
        if not due or clock.monotonic() < self._retry_at:
            return
        for instrument in due:
            try:
                await self._fill(instrument, today)
            except (*REST_ERRORS, StoreUnavailable) as error:
                self._retry_at = clock.monotonic() + RETRY_SECONDS
                log.warning("daily bars not written", instrument=instrument.id, reason=str(error))
            else:
                self._done[instrument.id] = today

    def _heard(self) -> Iterable[Instrument]:
        defined = [self._hub.instrument(market.instrument_id) for market in self._hub]
        return [one for one in defined if one is not None]

    async def _fill(self, instrument: Instrument, today: date) -> None:
        midnight, rest = datetime.combine(today, time(), UTC), self._rest_of(instrument.id)
        days = await (self._joined(instrument, midnight) if rest is None else rest.days(instrument, midnight))
        ended = [_row(instrument, day) for day in days if day.time < midnight]
        if ended:
            await self._context.write(ended)

    async def _joined(self, instrument: Instrument, midnight: datetime) -> Sequence[Day]:
        since = Between(midnight - timedelta(days=JOINED_DAYS), midnight)
        where = {"instrument": instrument.id, "interval": "1m", "time": since}
        rows = await self._context.runtime.store.find(Query("ohlc", None, where, ["time"], JOINED_DAYS * 1440))
        by_day: dict[date, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_day.setdefault(row["time"].astimezone(UTC).date(), []).append(row)
        return [joined(minutes) for minutes in by_day.values()]


def joined(minutes: Sequence[Mapping[str, Any]]) -> Day:
    """One day from its bars, by time."""
    return Day(
        datetime.combine(minutes[0]["time"].astimezone(UTC).date(), time(), UTC),
        minutes[0]["open"],
        max(row["high"] for row in minutes),
        min(row["low"] for row in minutes),
        minutes[-1]["close"],
        sum((row["volume"] for row in minutes[1:]), minutes[0]["volume"]),
        sum(row["trades"] for row in minutes),
    )


def _row(instrument: Instrument, day: Day) -> Row:
    return Row("ohlc", {**day._asdict(), "instrument": instrument.id, "interval": "1d"})
