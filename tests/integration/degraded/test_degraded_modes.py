"""One test per row of docs/degraded-modes.md: what still works, what stops, and that it comes back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from patriot.domain.venue import Unknown
from patriot.runtime import discovery
from patriot.runtime.context import price_key
from patriot.runtime.embedded import Host
from patriot.store.api import StoreUnavailable
from patriot.store.memory import MemoryStore
from schemas.reports import PriceReport
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue, RestingVenue

OTHER = replace(PERPETUAL, id="BYBIT:BTC/USDT:USDT")


@dataclass
class Desk:
    """A user with one resting order, placed while all was well."""

    host: Host
    user: Client
    account: str
    resting: str = ""

    def order(self, **changes: Any) -> dict[str, Any]:
        fields = {"account_id": self.account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "0.01"}
        return {**fields, "price": "59000", **changes}

    async def place(self, **changes: Any) -> tuple[int, str]:
        answer = await self.user.call("POST", "/orders", self.order(**changes))
        body = orjson.loads(answer.body)
        return answer.status, body.get("code") or body["order_id"]

    async def status(self, order_id: str) -> str:
        return str((await self.user.json("GET", f"/orders/{order_id}"))["status"])

    async def cancel(self) -> int:
        return (await self.user.call("DELETE", f"/orders/{self.resting}")).status


@asynccontextmanager
async def make_desk(**settings: Any) -> AsyncIterator[Desk]:
    async with running_host(**settings) as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL, OTHER)
        for instrument in (PERPETUAL, OTHER):
            await set_price(host, instrument.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        made = Desk(host, user, await user.paper_account(USDT="1000000"))
        made.resting = (await made.place())[1]
        await until_idle(host)
        with capture_logs():
            yield made


def test_every_row_has_its_test():
    text = (Path(__file__).parents[3] / "docs" / "degraded-modes.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:]
    assert rows == list(ROWS)
    assert {test.__name__ for test in ROWS.values()} <= set(globals())


@pytest.mark.requirement("B12", "A5", "P13")
async def test_without_the_state_store(monkeypatch: pytest.MonkeyPatch):
    async with make_desk() as desk:

        async def gone(*_: object, **__: object) -> None:
            raise ConnectionError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(desk.host.runtime.state, "get", gone)
            assert await desk.place() == (503, "risk_unavailable")
            assert await desk.status(desk.resting) == "accepted"
            await desk.user.json("GET", "/orders")
            await desk.user.json("POST", f"/risk/halts/{desk.account}", {"reason": "to be sure"})
            assert await desk.cancel() == 200
            await until_idle(desk.host)
            assert await desk.status(desk.resting) == "cancelled"
        await desk.user.json("DELETE", f"/risk/halts/{desk.account}")
        assert (await desk.place())[0] == 201


@pytest.mark.requirement("B12", "A5")
async def test_without_the_broker(monkeypatch: pytest.MonkeyPatch):
    async with make_desk(outbox_age_seconds=0.05) as desk:
        with monkeypatch.context() as patch:
            patch.setattr(desk.host.broker, "publish_recorded", lambda _: None)
            status, order_id = await desk.place()
            assert status == 201
            assert await desk.cancel() == 200
            assert await desk.status(order_id) == "pending", "it waits, durable"
            assert await desk.host.runtime.store.outbox_depth() >= 2
        for _ in range(100):
            await desk.host.runtime.clock.sleep(0.05)
            if await desk.host.runtime.store.outbox_depth() == 0 and desk.host.broker.idle:
                break
        assert (await desk.status(order_id), await desk.status(desk.resting)) == ("accepted", "cancelled")
        assert len(desk.host.runtime.venues["paper"].created) == 2, "nothing was sent twice"


@pytest.mark.requirement("B12", "A5")
async def test_without_prices():
    async with make_desk() as desk:
        now = desk.host.runtime.clock.now()
        figures = {"bid": "60000", "ask": "60000", "last": "60000", "as_of": now - timedelta(seconds=61)}
        old = PriceReport.model_validate({"instrument": PERPETUAL.id, **figures})
        await desk.host.runtime.state.set(price_key(PERPETUAL.id), old.model_dump_json().encode())
        assert await desk.place() == (422, "stale_price")
        assert await desk.cancel() == 200
        await until_idle(desk.host)
        assert await desk.status(desk.resting) == "cancelled"
        await desk.user.json("GET", "/portfolio")
        await set_price(desk.host, PERPETUAL.id, "60000", "60000.1")
        assert (await desk.place())[0] == 201


@pytest.mark.requirement("B12", "A5")
async def test_without_the_risk_function(monkeypatch: pytest.MonkeyPatch):
    found = [part for part in discovery.functions() if part.name != "risk-checks"]
    monkeypatch.setattr(discovery, "functions", lambda: found)
    async with make_desk() as desk:
        assert (await desk.user.call("POST", "/risk/checks", desk.order())).status == 404
        assert (await desk.place())[0] == 201
        assert await desk.place(price="90000") == (422, "price_collar")
        assert await desk.cancel() == 200


@pytest.mark.requirement("B12", "A5", "P7")
async def test_without_one_venue(monkeypatch: pytest.MonkeyPatch):
    class HalfGone(FillingVenue):
        gone = True

        async def create(self, order: Any) -> Any:
            if order.instrument == OTHER.id and self.gone:
                return Unknown("no answer")
            return await super().create(order)

        async def query(self, ref: Any) -> Any:
            if ref.instrument == OTHER.id and self.gone:
                return Unknown("no answer")
            return await super().query(ref)

    async with make_desk() as desk:
        venue = desk.host.runtime.venues["paper"] = HalfGone()
        lost = (await desk.place(instrument=OTHER.id))[1]
        well = (await desk.place())[1]
        for _ in range(100):
            await desk.host.runtime.clock.sleep(0.02)
            if (await desk.status(well), await desk.status(lost)) == ("filled", "unknown"):
                break
        assert (await desk.status(well), await desk.status(lost)) == ("filled", "unknown")
        venue.gone = False
        for _ in range(200):
            await desk.host.runtime.clock.sleep(0.05)
            if await desk.status(lost) != "unknown":
                break
        assert [order.instrument for order in venue.created] == [PERPETUAL.id], "it was asked about, never sent again"


@pytest.mark.requirement("B12", "A5")
async def test_without_postgresql(monkeypatch: pytest.MonkeyPatch):
    async with make_desk() as desk:

        async def gone(*_: object, **__: object) -> None:
            raise StoreUnavailable("gone")

        events = [event.id async for event in desk.host.runtime.store.read()]
        with monkeypatch.context() as patch:
            for name in ("commit", "load", "find", "guards", "halted", "find_answer"):
                patch.setattr(MemoryStore, name, gone)
            assert await desk.place() == (503, "store_unavailable")
            assert await desk.cancel() == 503
            entry = await desk.host.runtime.state.get(price_key(PERPETUAL.id))
            assert entry is not None, "prices are still known"
        assert [event.id async for event in desk.host.runtime.store.read()] == events, "nothing is half done"
        assert (await desk.place())[0] == 201
        assert await desk.cancel() == 200


ROWS = {
    "cache and state store (Redis)": test_without_the_state_store,
    "broker": test_without_the_broker,
    "price feed": test_without_prices,
    "risk function": test_without_the_risk_function,
    "one venue": test_without_one_venue,
    "PostgreSQL": test_without_postgresql,
}
