"""What `patriot migrate` and `patriot rebuild` do. Rule: nothing is rebuilt under a running platform."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from patriot.cli.common import State
from patriot.cli.instance import AlreadyRuns, only_one
from patriot.cli.output import REFUSED, errors, fail
from patriot.cli.running import START_ERRORS, settings_of
from patriot.runtime.clock import SystemClock
from patriot.runtime.rebuild import Rebuild
from patriot.runtime.settings import Settings
from patriot.store.api import Query, Store
from patriot.store.migrate import migrations
from patriot.store.open import open_store
from patriot.store.tables import TABLES

SETTLE_LOOKS, SETTLE_SECONDS = 20, 0.5  # Kafka's brokers tell of a new topic one after the other
COMPARED_ROWS_MAX = 200_000  # of one table: they are held in memory twice

Result = TypeVar("Result")
Rows = Mapping[Any, Mapping[str, Any]]


def migrate(state: State) -> str:
    """Bring the schema up to date; returns the name of the newest migration."""
    settings = settings_of(state, {})

    async def run() -> None:
        async with _store(settings):
            pass

    _attempt(run, state)
    return migrations()[-1].name


def rebuild(state: State) -> dict[str, Any]:
    """Fold all events anew: {events, seconds, behind, tables: [{table, rows, different}]}.

    `behind` events were not published when the platform stopped: rows that lacked them differ now, as they should.
    """
    settings = settings_of(state, {})
    started = time.monotonic()

    async def run() -> dict[str, Any]:
        async with _store(settings) as store:
            return await compared(store)

    with _alone(state, settings):
        result = _attempt(run, state)
    return {**result, "seconds": round(time.monotonic() - started, 3)}


def topics(state: State, components: Path, *, make: bool) -> list[str]:
    """What is wrong with the components' settings and the brokers' topics, one line each."""
    from patriot.runtime.dapr import topics as made
    from patriot.runtime.dapr.components import judge

    async def run() -> list[str]:
        found = [str(finding) for finding in judge(components)]
        if not make or found:
            return [*found, *await made.check(components, os.environ)]
        await made.prepare(components, os.environ)
        for _ in range(SETTLE_LOOKS):
            if not (found := list(await made.check(components, os.environ))):
                break
            await asyncio.sleep(SETTLE_SECONDS)
        return found

    return _attempt(run, state)


async def compared(store: Store) -> dict[str, Any]:
    before = {name: await _rows(store, name) for name, table in TABLES.items() if table.disposable}
    behind = await store.outbox_depth()
    with _progress() as advance:
        events = await Rebuild(store).run(SystemClock().now(), advance)
    tables = [_comparison(name, rows, await _rows(store, name)) for name, rows in before.items()]
    return {"events": events, "behind": behind, "tables": tables}


def _comparison(name: str, before: Rows, after: Rows) -> dict[str, Any]:
    different = sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
    return {"table": name, "rows": len(after), "different": different}


async def _rows(store: Store, name: str) -> Rows:
    key = TABLES[name].full_key
    rows = await store.find(Query(name, None, order_by=TABLES[name].key, limit=COMPARED_ROWS_MAX))
    return {tuple(row[column] for column in key): row for row in rows}


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("rebuilding"), BarColumn(), TextColumn("{task.completed:,} events"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda events: progress.update(task, completed=events)


@contextlib.contextmanager
def _alone(state: State, settings: Settings) -> Iterator[None]:
    try:
        with only_one(settings.data_dir):
            yield
    except (AlreadyRuns, OSError) as error:
        fail(str(error), REFUSED, as_json=state.as_json)


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    async with open_store(settings.data_dir / "postgres", settings.database_url or "") as store:
        yield store


def _attempt(run: Callable[[], Coroutine[None, None, Result]], state: State) -> Result:
    try:
        return asyncio.run(run())
    except START_ERRORS as error:
        fail(str(error), REFUSED, as_json=state.as_json)
