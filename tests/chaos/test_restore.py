"""Case 28, back to a moment: base backup and log of a running platform, everything lost, restored to a chosen time.

Each round restores to another moment of the same history. What was acknowledged by then is there, what came later is
exactly what is missing, the ledger sums to zero, and the read models follow from the events. Prints its times.
"""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from patriot.runtime import asgi
from patriot.runtime.clock import SystemClock
from patriot.runtime.demo import INSTRUMENT, Demo
from patriot.runtime.platform import platform
from patriot.runtime.rebuild import Rebuild
from patriot.runtime.settings import Settings
from patriot.store.backup import BackupError, base_backup, bases_in, follow, forget, restore
from patriot.store.embedded import EmbeddedServer
from patriot.store.open import open_store
from tests.chaos.books import check_books, rows
from tests.conftest import Server

RESTORES = int(os.environ.get("PATRIOT_RESTORES", "2"))
SEED = int(os.environ.get("PATRIOT_SEED", "20261121"))
ORDERS, REQUESTS_MAX, PAUSE_SECONDS = 60, 600, 0.05
RTO_SECONDS_MAX = 300


class History(NamedTuple):
    """When each order was acknowledged, and the quiet moments in between that can be restored."""

    acknowledged: dict[str, datetime]
    moments: list[datetime]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-restore-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(300)
@pytest.mark.requirement("T10", "P2", "B13")
async def test_restore_to_a_moment_brings_back_what_was_acknowledged_and_nothing_later(folder: Path, capsys):
    backups = folder / "backup"
    settings = Settings(data_dir=folder / "live", port=0, venue_port=0, execution="in_process", demo=False)
    url = EmbeddedServer(settings.data_dir / "postgres").url()
    async with platform(settings) as running:
        receiver = await asyncio.to_thread(follow, url, backups)
        try:
            demo = Demo(running.host)
            await demo.prepare()
            await trade(running.host, demo, 10)
            started = time.monotonic()
            base = await asyncio.to_thread(base_backup, url, backups, datetime.now(UTC))
            backup_seconds = time.monotonic() - started
            await asyncio.sleep(1)  # base backups are named by the second
            history = await make_history(running.host, demo)
            await asyncio.sleep(1)
        finally:
            receiver.terminate()
            assert await asyncio.to_thread(receiver.wait) == 0
    shutil.rmtree(settings.data_dir)

    moments = random.Random(SEED).sample(history.moments, RESTORES)
    lines = [f"base backup {backup_seconds:.1f} s"]
    for number, moment in enumerate(moments):
        target = folder / f"restored-{number}"
        started = time.monotonic()
        restored = await restore(backups, target, moment)
        seconds = time.monotonic() - started
        assert restored.base == base.name
        assert restored.unbalanced == ()
        assert restored.last_event_at is not None
        assert restored.last_event_at <= moment
        later = await check(target, history, moment)
        lines.append(f"restored in {seconds:.1f} s: {restored.events} events, {later} later orders gone")
        assert seconds < RTO_SECONDS_MAX
    with capsys.disabled():
        print(f"\nseed {SEED}; " + "; ".join(lines))


async def trade(host: Any, demo: Demo, orders: int) -> dict[str, datetime]:
    """Small market orders, one after the other: order id -> when it was acknowledged."""
    acknowledged: dict[str, datetime] = {}
    for _ in range(REQUESTS_MAX):
        if len(acknowledged) == orders:
            return acknowledged
        body = {"account_id": demo.account_id, "instrument": INSTRUMENT, "order_type": "market", "quantity": "0.01"}
        body["side"] = ("buy", "sell")[len(acknowledged) % 2]
        headers = {"content-type": "application/json", "authorization": f"Bearer {demo._token}"}
        answer = await asgi.request(host.public, "POST", "/api/v1/orders", headers, orjson.dumps(body))
        told = orjson.loads(answer.body)
        if answer.status == 201:
            acknowledged[told["order_id"]] = datetime.now(UTC)
        await asyncio.sleep(PAUSE_SECONDS)  # an order before the first price is refused
    raise AssertionError(f"orders are refused: {told}")


async def make_history(host: Any, demo: Demo) -> History:
    history = History({}, [])
    for _ in range(6):
        history.acknowledged.update(await trade(host, demo, ORDERS // 6))
        await asyncio.sleep(0.3)
        history.moments.append(datetime.now(UTC))
        await asyncio.sleep(0.3)
    return history


async def check(target: Path, history: History, moment: datetime) -> int:
    """How many orders were acknowledged later; they, and only they, are missing."""
    async with open_store(target) as store:
        await check_books(store)
        orders = {str(row["id"]) for row in await rows(store, "orders")}
        missing = {order for order in history.acknowledged if order not in orders}
        assert missing == {order for order, at in history.acknowledged.items() if at > moment}
        before = {str(row["id"]): row["status"] for row in await rows(store, "orders")}
        await Rebuild(store).run(SystemClock().now(), lambda _events: None)
        assert {str(row["id"]): row["status"] for row in await rows(store, "orders")} == before
        await check_books(store)
    return len(missing)


# --- refusals ---
@pytest.mark.postgres
async def test_backup_without_a_server_says_so_and_leaves_nothing(folder: Path):
    with pytest.raises(BackupError, match="pg_basebackup"):
        base_backup(f"postgresql://postgres@/patriot?host={folder}", folder / "backup", datetime.now(UTC))
    assert not bases_in(folder / "backup")


async def test_restore_without_a_base_backup_is_refused(folder: Path):
    with pytest.raises(BackupError, match="there is none"):
        await restore(folder, folder / "new", None)


@pytest.mark.postgres
@pytest.mark.usefixtures("migrated")
async def test_damaged_backup_moment_outside_and_folder_in_use_are_refused(folder: Path, server: Server):
    backups, now = folder / "backup", datetime.now(UTC)
    (backups / "log").mkdir(parents=True)
    base = base_backup(server.url("postgres"), backups, now)
    with pytest.raises(BackupError, match="the oldest is of"):
        await restore(backups, folder / "early", datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(BackupError, match="the log ends before"):
        await restore(backups, folder / "late", datetime(2090, 1, 1, tzinfo=UTC))
    (folder / "used").mkdir()
    (folder / "used" / "file").touch()
    with pytest.raises(BackupError, match="not empty"):
        await restore(backups, folder / "used", None)
    victim = base / "global" / "pg_control"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    with pytest.raises(BackupError, match="pg_verifybackup"):
        await restore(backups, folder / "damaged", None)


@pytest.mark.postgres
def test_old_backups_go_with_the_log_that_only_they_need(folder: Path, server: Server):
    backups = folder / "backup"
    (backups / "log").mkdir(parents=True)
    bases = [base_backup(server.url("postgres"), backups, datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2, 3)]
    (backups / "log" / "000000010000000000000000").touch()
    (backups / "log" / "0000000100000000FFFFFFFF.partial").touch()
    (backups / "log" / "00000002.history").touch()
    removed = forget(backups, keep=2)
    assert [path.name for path in removed] == [bases[0].name, "000000010000000000000000"]
    assert list(bases_in(backups)) == bases[1:]
    assert forget(backups, keep=2) == []
    assert len(list((backups / "log").iterdir())) == 2
