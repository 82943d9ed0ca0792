"""One test per row of docs/degraded-modes.md: what still works, what stops, and that it comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from patriot.domain.venue import Unknown
from patriot.runtime import discovery
from patriot.runtime.context import price_key
from patriot.store.api import StoreUnavailable
from patriot.store.connections import urls_of
from patriot.store.memory import MemoryStore
from patriot.store.postgres import PostgresStore
from patriot.store.writer import Limits
from schemas.reports import PriceReport
from tests.integration.degraded.desk import OTHER, make_desk
from tests.support.host import PERPETUAL, set_price, until_idle
from tests.support.venues import FillingVenue


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
        assert await desk.place() == (503, "stale_price")
        assert await desk.cancel() == 200
        await until_idle(desk.host)
        assert await desk.status(desk.resting) == "cancelled"
        await desk.user.json("GET", "/portfolio")
        await set_price(desk.host, PERPETUAL.id, "60000", "60000.1")
        assert (await desk.place())[0] == 201


@pytest.mark.requirement("B12", "A5")
async def test_an_order_that_came_before_the_first_price_passes_under_its_key():
    async with make_desk() as desk:
        await desk.host.runtime.state.delete(price_key(PERPETUAL.id))
        refused = await desk.user.call("POST", "/orders", desk.order(), idempotency_key="early")
        assert (refused.status, orjson.loads(refused.body)["code"]) == (503, "stale_price")
        assert refused.headers["retry-after"] == "1"
        await set_price(desk.host, PERPETUAL.id, "60000", "60000.1")
        passed = await desk.user.call("POST", "/orders", desk.order(), idempotency_key="early")
        assert passed.status == 201


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


class Cable:
    """Between the platform and PostgreSQL. `cut` resets every connection, and nothing answers until `mend`."""

    def __init__(self, database: str, folder: Path) -> None:
        real = parse_qs(urlsplit(database).query)["host"][0]
        self.url = database.replace(real, str(folder))
        self._there, self._here = f"{real}/.s.PGSQL.5432", folder / ".s.PGSQL.5432"
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self._here)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self._here.unlink(missing_ok=True)
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._there)
        self._ends |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def store_behind(cable: Cable) -> AsyncIterator[PostgresStore]:
    await cable.mend()
    store = await PostgresStore.open(urls_of(cable.url), limits=Limits(reconnect_seconds_max=1))
    try:
        yield store
    finally:
        await store.close()
        await cable.cut()


@pytest.mark.postgres
@pytest.mark.requirement("B12", "A5", "A6")
async def test_without_a_real_postgresql(database: str, tmp_path: Path):
    """The same over real connections: cut in the middle of the day, and mended."""
    cable = Cable(database, tmp_path)
    async with store_behind(cable) as store, make_desk(store=store) as desk:
        await cable.cut()
        assert await asyncio.gather(desk.place(), desk.cancel()) == [(503, "store_unavailable"), 503]
        assert await desk.host.runtime.state.get(price_key(PERPETUAL.id)) is not None, "prices are still known"
        await cable.mend()
        async with asyncio.timeout(20):
            while (await desk.place())[0] != 201:
                await asyncio.sleep(0.1)
        assert await desk.cancel() == 200
        await until_idle(desk.host)
        assert sum(order["status"] == "cancelled" for order in (await desk.user.json("GET", "/orders"))["orders"]) == 1
        assert len((await desk.user.json("GET", "/orders"))["orders"]) == 2, "what was refused left nothing"


ROWS = {
    "cache and state store (Redis)": test_without_the_state_store,
    "broker": test_without_the_broker,
    "price feed": test_without_prices,
    "risk function": test_without_the_risk_function,
    "one venue": test_without_one_venue,
    "PostgreSQL": test_without_postgresql,
}
