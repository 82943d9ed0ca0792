"""The market of this moment, for valuations. Rule: a stale price is no price.

Spot prices come first, those of perpetuals where there is no spot. A unit is worth its bid: what one would get for it.
"""

import asyncio
from decimal import Decimal

from patriot.domain.instrument import Instrument
from patriot.domain.valuation import Valuation
from patriot.domain.worth import Market
from patriot.runtime.context import RequestContext
from patriot.store.api import Query

CURRENCY = "USDT"  # what the platform counts in where nobody asks for another
INSTRUMENTS_MAX = 100_000


async def current_market(context: RequestContext, currency: str = CURRENCY) -> Market:
    """From the newest price of every known instrument."""
    rows = await context.runtime.store.find(Query("instruments", None, {}, ["id"], INSTRUMENTS_MAX))
    instruments = [Instrument(**row) for row in rows]
    told = await asyncio.gather(*(context.price(instrument.id) for instrument in instruments))
    fresh = [(one, price) for one, price in zip(instruments, told, strict=True) if price and not price.stale]
    pairs: dict[tuple[str, str], Decimal] = {}
    for instrument, price in sorted(fresh, key=lambda entry: entry[0].is_derivative):
        pairs.setdefault((instrument.base, instrument.quote), price.bid)
    return Market(
        {instrument.id: instrument for instrument in instruments},
        {instrument.id: price.mark or price.last for instrument, price in fresh},
        Valuation(pairs),
        currency,
    )
