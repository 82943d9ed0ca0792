"""Real trade lists: recordings, replayed with a strategy through the whole platform, measured second by second."""

import asyncio
from functools import cache
from pathlib import Path

import numpy as np

from patriot.domain.instrument import Instrument
from patriot.domain.statistics.record import Record, Trips
from patriot.domain.statistics.trips import Fill, RoundTrip, round_trips, with_excursion
from patriot.protocols.market import Market, Trade
from patriot.replay import ReplayPlan, Session, Source
from patriot.store.api import Query

QUICK = {"bar_seconds": 1, "fast": 3, "slow": 9, "notional": "1000"}
CASH = 100_000.0
SECONDS = 3600.0  # as if each second of the recording were an hour: else a year is beyond all measure


@cache
def replayed(path: Path) -> tuple[list[RoundTrip], Record]:
    """The trips of the replay, and the record of its seconds, against the last price as benchmark."""
    fills, prices, instrument = asyncio.run(_replay(path))
    trips, still_open = round_trips(fills, instrument)
    times, last = np.array([second for second, _ in prices], float), [price for _, price in prices]
    seen = [with_excursion(trip, *_extremes(trip, prices), instrument) for trip in trips]
    record = Record(
        times,
        CASH + 50 * _worth(fills, prices),  # as if fifty times as much had been traded: else a second hardly shows
        SECONDS,
        trips=Trips.of(seen),
        benchmark=np.array([float(price) for price in last]),
        risk_free=0.03,
        traded=sum(float(instrument.notional(fill.quantity, fill.price)) for fill in fills),
        orders=len(fills),
        open_trips=int(still_open is not None),
    )
    return seen, record


async def _replay(path: Path) -> tuple[list[Fill], list[tuple[int, object]], Instrument]:
    source = Source([path], [], lambda _: None)
    session = Session(ReplayPlan([path], parameters=QUICK), source.instruments, source.started_at)
    instrument = source.instruments[0]
    prices: dict[int, object] = {}

    def listen(message: Market) -> None:
        if isinstance(message, Trade):
            prices[message.time_ms // 1000] = instrument.price_of(message.price)

    await session.start()
    session.host.runtime.ticks.subscribe(listen, [instrument.id])
    try:
        await session.play(source)
        query = Query("trades", None, {"instrument": instrument.id}, ["executed_at", "trade_id"], limit=10**6)
        rows = await session.store.find(query)
    finally:
        await session.stop()
    names = ("instrument", "side", "quantity", "price", "fee", "fee_asset")
    fills = [Fill(*(row[name] for name in names), time=row["executed_at"]) for row in rows]
    first, last = min(prices), max(prices)
    grid, price = [], prices[first]
    for second in range(first, last + 1):
        price = prices.get(second, price)
        grid.append((second, price))
    return fills, grid, instrument


def _worth(fills: list[Fill], prices: list[tuple[int, object]]) -> np.ndarray:
    """What all fills up to each second are worth at its price, after fees."""
    worth = []
    for second, price in prices:
        past = [fill for fill in fills if fill.time.timestamp() <= second]
        signed = [fill.quantity if fill.side == "buy" else -fill.quantity for fill in past]
        paid = sum(quantity * fill.price + fill.fee for quantity, fill in zip(signed, past, strict=True))
        worth.append(float(sum(signed) * price - paid))
    return np.array(worth)


def _extremes(trip: RoundTrip, prices: list[tuple[int, object]]) -> tuple[object, object]:
    first, last = trip.opened_at.timestamp(), trip.closed_at.timestamp()
    inside = [price for second, price in prices if first <= second <= last] or [trip.entry_price]
    return min(inside), max(inside)
