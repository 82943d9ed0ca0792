"""A setting that an administrator changes holds in every process, alike on both runtimes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from functions.user_commands.app import function as commands
from functions.user_queries.app import function as queries
from patriot.domain.override import SETTINGS_ID
from patriot.runtime import asgi
from patriot.runtime.aggregates import SETTING
from patriot.runtime.clock import SeededIds
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.edge import system_context
from patriot.runtime.live_settings import ASK_SECONDS
from patriot.runtime.ports import Runtime
from patriot.runtime.settings import Settings
from patriot.security.roles import Identity, Role
from patriot.store.api import Store, StoreUnavailable, StreamId
from patriot.store.connections import urls_of
from patriot.store.memory import MemoryStore
from patriot.store.postgres import PostgresStore
from patriot.telemetry.otlp import exporting
from schemas.events import SettingChanged
from tests.contract.test_runtime import RUNTIMES, embedded
from tests.support.collector import collecting
from tests.support.sidecars import Hosts

TENANT = UUID(int=1)
ADMIN = Identity.of(uuid5(TENANT, "user:root"), TENANT, Role.ADMIN, "test")

pytestmark = pytest.mark.requirement("P14", "P16", "P22")

on_both_runtimes = pytest.mark.parametrize("runtime", ["embedded", pytest.param("daprd", marks=pytest.mark.dapr)])


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)
    structlog.reset_defaults()


@dataclass(frozen=True)
class Platform:
    """One host, or one for each part; `ask` as the administrator."""

    host: Any

    @property
    def processes(self) -> list[Runtime]:
        return [one.runtime for one in self.host.hosts] if isinstance(self.host, Hosts) else [self.host.runtime]

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, who: Identity = ADMIN) -> Any:
        token = self.host.runtime.access._users.issue(who, self.host.runtime.clock.now())
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        answer = await asgi.request(self.host.public, method, "/api/v1" + path, headers, orjson.dumps(body))
        assert answer.status == status, answer.body
        return orjson.loads(answer.body)

    async def change(self, status: int = 200, **change: Any) -> Any:
        return await self.ask("POST", "/settings", {"name": "log_level", "reason": "incident 7"} | change, status)

    async def settings(self) -> list[Any]:
        return list((await self.ask("GET", "/settings"))["settings"])

    async def everywhere(self, *levels: str) -> None:
        """Wait until the processes have these levels, in order; one level is for all."""
        wanted = list(levels) * (len(self.processes) if len(levels) == 1 else 1)
        async with asyncio.timeout(10):
            while [one.settings.log_level for one in self.processes] != wanted:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def platform(runtime: str, store: Store, **settings: Any) -> AsyncIterator[Platform]:
    async with RUNTIMES[runtime](store, commands, queries, **settings) as host:
        yield Platform(host)


@on_both_runtimes
async def test_change_holds_in_every_process_and_in_one_that_starts_later(runtime: str):
    store = MemoryStore()
    async with platform(runtime, store) as one:
        assert [view["source"] for view in await one.settings()] == ["default", "default"]
        receipt = await one.change(value="debug")
        assert (receipt["value"], receipt["until"], receipt["reason"]) == ("debug", None, "incident 7")
        assert one.host.runtime.settings.log_level == "debug"
        await one.everywhere("debug")
        assert logging.getLogger().level == logging.DEBUG
        view, untouched = await one.settings()
        assert (view["value"], view["started"], view["source"]) == ("debug", "info", "changed")
        assert (view["changed_by"], view["until"]) == (str(ADMIN.user_id), None)
        assert datetime.now(UTC) - timedelta(minutes=1) < datetime.fromisoformat(view["since"]) < datetime.now(UTC)
        assert (untouched["name"], untouched["value"], untouched["since"]) == ("trace_share", "1.0", None)
    async with platform(runtime, store, log_level="warning") as later:
        assert [one.settings.log_level for one in later.processes] == ["debug"] * len(later.processes)
        await later.change(value=None)
        await later.everywhere("warning")
        assert [(view["value"], view["source"]) for view in await later.settings()][0] == ("warning", "environment")


@on_both_runtimes
async def test_change_runs_out_and_leaves_what_was_there_at_the_start(runtime: str):
    async with platform(runtime, MemoryStore(), log_level="warning") as one:
        await one.change(value="error")
        receipt = await one.change(value="debug", seconds=2)
        assert (await one.settings())[0]["until"] == receipt["until"]
        await one.everywhere("debug")
        await one.everywhere("warning")
        assert logging.getLogger().level == logging.WARNING
        assert [view["source"] for view in await one.settings()] == ["environment", "default"]
        told = [event["data"]["value"] for event in (await one.ask("GET", "/settings/changes"))["events"]]
        assert told == ["error", "debug"]


@on_both_runtimes
async def test_change_for_a_part_holds_where_that_part_runs(runtime: str):
    async with platform(runtime, MemoryStore()) as one:
        await one.change(value="error")
        await one.change(value="debug", part=queries.name)
        await one.everywhere(*(["error", "debug"] if runtime == "daprd" else ["debug"]))
        assert [view["part"] for view in await one.settings()] == [None, queries.name, None]
        await one.change(part=queries.name)
        await one.everywhere("error")


@pytest.mark.postgres
async def test_change_reaches_the_other_processes_on_a_database(database: str):
    stores = [await PostgresStore.open(urls_of(database)) for _ in range(2)]
    shared: dict[str, Any] = {"database_url": database}
    async with embedded(stores[0], commands, queries, **shared) as first, embedded(stores[1], **shared) as second:
        await Platform(first).change(value="debug")
        async with asyncio.timeout(10):
            while second.runtime.settings.log_level != "debug":
                await asyncio.sleep(0.02)
        changes = (await Platform(first).ask("GET", "/settings/changes"))["events"]
        assert [(one["actor"], one["data"]["reason"]) for one in changes] == [(ADMIN.actor, "incident 7")]
    for store in stores:
        await store.close()


async def test_debug_tells_every_event_with_all_that_it_says():
    async with platform("embedded", MemoryStore()) as one:
        with capture_logs() as lines:
            await one.change(value="debug")
            await one.change(value="info")
    [told] = [line for line in lines if line["log_level"] == "debug"]
    assert (told["event"], told["data"]["value"], told["data"]["reason"]) == ("setting.changed", "info", "incident 7")


async def test_share_of_traces_changes_for_what_begins_from_then_on():
    with collecting() as collector:
        settings = Settings(otlp_endpoint=collector.url, trace_share=0)
        async with exporting(settings, SeededIds(7)), platform("embedded", MemoryStore(), **given(settings)) as one:
            await one.settings()
            await one.change(name="trace_share", value="1", seconds=3600)
            await one.settings()
            await one.change(name="trace_share", value=None)
            await one.settings()
    roots = [span.name for span in collector.spans if not span.parent_id]
    assert roots == ["GET /settings", "POST /settings"]


def given(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("otlp_endpoint", "trace_share")}


def test_processes_ask_once_a_second():
    assert ASK_SECONDS == 1


class AwayAtFirst(MemoryStore):
    """Cannot read its settings the first time that it is asked."""

    asked = 0

    async def load(self, stream: StreamId, after_version: int = 0) -> Any:
        self.asked += stream.kind == "setting"
        if self.asked == 1:
            raise StoreUnavailable("starting up")
        return await super().load(stream, after_version)


async def test_start_waits_for_a_store_that_is_away():
    store = AwayAtFirst()
    async with platform("embedded", store) as one:
        assert store.asked == 2
        await one.change(value="debug")


@pytest.mark.parametrize("database", ["", "postgresql://elsewhere/patriot"])
async def test_who_is_alone_on_a_store_does_not_ask_it_again_and_again(database: str):
    async with embedded(MemoryStore(), database_url=database) as host:
        assert ("settings" in {task.get_name() for task in host.scheduler._tasks}) == bool(database)


REFUSED = {
    "not there": ({"name": "log_levle", "value": "debug"}, "unknown_setting", ("log_levle", "log_level, trace_share")),
    "fixed": ({"name": "pool_app", "value": "9"}, "fixed_setting", ("PATRIOT_POOL_APP", "log_level, trace_share")),
    "a secret": ({"name": "database_url", "value": "postgresql://x:hunter2@h/d"}, "fixed_setting", ("at the start",)),
    "no level": ({"value": "loud"}, "invalid_setting", ("'debug', 'info', 'warning' or 'error'",)),
    "no share": ({"name": "trace_share", "value": "1.5"}, "invalid_setting", ("less than or equal to 1",)),
    "no number": ({"name": "trace_share", "value": "nan"}, "invalid_setting", ("trace_share",)),
    "no part": ({"value": "debug", "part": "router"}, "invalid_setting", ("no part router", "order-routing")),
    "whole": ({"name": "trace_share", "value": "1", "part": "auth"}, "invalid_setting", ("the same in all parts",)),
    "no collector": ({"name": "trace_share", "value": "1"}, "invalid_setting", ("PATRIOT_OTLP_ENDPOINT",)),
    "end of nothing": ({"seconds": 5}, "invalid_request", ()),
    "no reason": ({"value": "debug", "reason": ""}, "invalid_request", ()),
    "too long": ({"value": "debug", "seconds": 10**7}, "invalid_request", ()),
}


@pytest.mark.parametrize(("change", "code", "words"), REFUSED.values(), ids=list(REFUSED))
async def test_what_cannot_be_done_is_told_and_changes_nothing(change: Any, code: str, words: tuple[str, ...]):
    async with platform("embedded", MemoryStore()) as one:
        problem = await one.change(422, **change)
        assert problem["code"] == code
        assert all(word in problem["detail"] for word in words), problem["detail"]
        assert "hunter2" not in repr(problem)
        assert (await one.ask("GET", "/settings/changes"))["events"] == []


async def test_administrators_of_other_tenants_neither_change_nor_see_settings():
    stranger = Identity.of(ADMIN.user_id, UUID(int=99), Role.ADMIN, "test")
    async with platform("embedded", MemoryStore()) as one:
        change = {"name": "log_level", "value": "debug", "reason": "mine"}
        for method, path in (("POST", "/settings"), ("GET", "/settings"), ("GET", "/settings/changes")):
            problem = await one.ask(method, path, change, 403, stranger)
            assert "installation's own tenant" in problem["detail"]
        assert one.host.runtime.settings.log_level == "info"


async def test_value_that_this_version_does_not_know_is_let_alone():
    """Another version has taken it, and runs beside this one or did so before."""
    store = MemoryStore()
    async with platform("embedded", store) as one:
        context = system_context(one.host.runtime, "user-commands", TENANT)
        event = SettingChanged(user_id=ADMIN.user_id, name="log_level", value="chatty", reason="newer")
        newer = SettingChanged(user_id=ADMIN.user_id, name="colour", value="red", reason="newer")

        async def propose() -> Proposal[None]:
            return Proposal([Change(await context.load(SETTING, SETTINGS_ID), [event, newer])], None)

        await context.decide(propose)
    async with platform("embedded", store) as later:
        assert later.host.runtime.settings.log_level == "info"
        await later.change(value="debug")
        await later.everywhere("debug")
