"""Funding rates that were paid. Rule: a rate counts as paid once the mark price names a later funding."""

from collections import deque
from typing import Any, Final

from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_errors import malformed
from feeds.venue.wire.bybit_parameters import Parameters
from patriot.protocols.market import Market, MarkPrice

_KEPT_MAX: Final = 200


class FundingHistory:
    """The last payments of every contract, heard from the exchange since the mount was made."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._current: dict[str, MarkPrice] = {}
        self._paid: dict[str, deque[tuple[int, str]]] = {}
        for instrument in exchange.instruments:
            if instrument.is_derivative:
                self._paid[instrument.id] = deque(maxlen=_KEPT_MAX)
                exchange.on_market(instrument.id, self._hear)

    def answer(self, parameters: Parameters) -> dict[str, Any]:
        """Answer /v5/market/funding/history, newest first. Raises Refused."""
        instrument = parameters.instrument(self._exchange)
        if not instrument.is_derivative:
            raise malformed("category", "must be linear")
        start, end = parameters.integer("startTime", 0), parameters.integer("endTime", 1 << 60)
        paid = [(time_ms, rate) for time_ms, rate in reversed(self._paid[instrument.id]) if start <= time_ms <= end]
        rows = [
            {"symbol": instrument.native_symbol, "fundingRate": rate, "fundingRateTimestamp": str(time_ms)}
            for time_ms, rate in paid[: parameters.limit(200, _KEPT_MAX)]
        ]
        return {"category": instrument.kind, "list": rows}

    def _hear(self, event: Market) -> None:
        if isinstance(event, MarkPrice):
            before = self._current.get(event.instrument)
            if before is not None and 0 < before.next_funding_ms < event.next_funding_ms:
                self._paid[event.instrument].append((before.next_funding_ms, before.funding_rate))
            self._current[event.instrument] = event
