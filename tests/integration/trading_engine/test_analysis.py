"""The analysis of what is recorded reaches those who listen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from feeds.trading_engine.analysis.desk import analyse
from patriot.runtime.edge import system_context
from patriot.store.api import Row
from schemas.reports import AnalysisReport
from tests.support.host import PERPETUAL, SPOT, define, running_host

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.requirement("P10")
async def test_every_recorded_instrument_is_analysed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_host() as host:
        await define(host.runtime.store, PERPETUAL, SPOT)
        context = system_context(host.runtime, "trading-engine")
        await context.write([bar(PERPETUAL.id, minute) for minute in range(120)])
        told: list[Any] = []

        async def publish(topic: str, *messages: Any) -> None:
            told.extend((topic, message) for message in messages)

        monkeypatch.setattr(host.runtime.publisher, "publish", publish)
        assert await analyse(context) == 1
        ((topic, message),) = told
        assert topic == "market.data.prices"
        report = AnalysisReport.model_validate(orjson.loads(bytes(message.data)))
        assert (report.instrument, report.minutes, report.trends["1h"]) == (PERPETUAL.id, 120, "up")
        assert report.volatility > 0
        assert sum(report.volume_shares) == pytest.approx(Decimal(1))


def bar(instrument: str, minute: int) -> Row:
    close = Decimal(60_000 + 10 * minute + minute % 3)
    values = {"open": close, "high": close, "low": close, "close": close, "volume": Decimal(2), "trades": 1}
    return Row(
        "ohlc", {"time": START + timedelta(minutes=minute), "instrument": instrument, "interval": "1m", **values}
    )
