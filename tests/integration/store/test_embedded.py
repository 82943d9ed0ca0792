"""The embedded server: who starts it, who stops it, what a crash leaves behind."""

# ruff: noqa: ASYNC220, ASYNC221 (blocking on a child process is what these tests are about)
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from patriot.store.embedded import EmbeddedServer, embedded_server
from patriot.store.place import EmbeddedError, account_for, can_reach

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("P3")]

OWNER = """
import sys, time
from pathlib import Path
from patriot.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-embedded-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "postgres"


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()  # an orphan may wait for init to bury it


async def query(server: EmbeddedServer, text: str) -> object:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def test_a_server_starts_cold_in_seconds_and_stops_for_good(folder: Path):
    before = time.monotonic()
    with EmbeddedServer(folder) as server:
        cold_seconds = time.monotonic() - before
        assert await query(server, "show fsync") == "on"
        assert await query(server, "show listen_addresses") == ""  # no network port
        pid = server.pid
        assert pid is not None
    assert not alive(pid)
    assert server.pid is None
    assert cold_seconds < 30  # a target of 3 s on a quiet machine, measured by the benchmarks


async def test_the_data_outlives_the_server(folder: Path):
    with EmbeddedServer(folder) as server:
        await query(server, "create table kept (id int)")
    with EmbeddedServer(folder) as server:
        assert await query(server, "select count(*) from kept") == 0


async def test_a_killed_server_recovers_when_it_is_started_again(folder: Path):
    with EmbeddedServer(folder) as server:
        await query(server, "create table kept as select 1 as id")
        os.kill(server.pid or 0, signal.SIGKILL)
    with EmbeddedServer(folder) as server:
        assert await query(server, "select id from kept") == 1


async def test_a_server_that_dies_is_kept_running(folder: Path):
    async with embedded_server(folder) as server:
        first = server.pid
        os.kill(first or 0, signal.SIGKILL)
        async with asyncio.timeout(20):
            while True:
                await asyncio.sleep(0.05)
                try:
                    assert await query(server, "select 1") == 1
                    break
                except (OSError, asyncpg.CannotConnectNowError):
                    continue
        assert server.pid not in (None, first)


async def test_a_server_whose_owner_was_killed_is_adopted_and_stopped(folder: Path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    assert alive(pid)
    with EmbeddedServer(folder) as server:
        assert server.pid == pid
        assert await query(server, "select 1") == 1
    assert not alive(pid)


async def test_a_second_user_shares_the_server_and_leaves_it_running(folder: Path):
    with EmbeddedServer(folder) as first:
        script = OWNER.replace("time.sleep(60)", "server.stop()")
        shared = subprocess.run([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, check=True)
        assert int(shared.stdout) == first.pid
        assert await query(first, "select 1") == 1


async def test_a_stale_pid_file_of_another_program_is_no_obstacle(folder: Path):
    with EmbeddedServer(folder):
        pass
    stale = folder / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n/somewhere\n1\n5432\n/tmp\n\n\nready\n")
    with EmbeddedServer(folder) as server:
        assert await query(server, "select 1") == 1


async def test_a_start_that_was_interrupted_in_initdb_is_repeated(folder: Path):
    half = folder / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    account_for(folder / "data").give(folder)
    with EmbeddedServer(folder) as server:
        assert await query(server, "select 1") == 1


async def test_a_long_path_gets_its_socket_elsewhere(folder: Path):
    deep = folder / ("a" * 60) / ("b" * 60)
    with EmbeddedServer(deep) as server:
        assert await query(server, "select 1") == 1
        assert server.folder == deep


def test_a_server_that_cannot_start_says_why(folder: Path):
    with pytest.raises(EmbeddedError, match="nonsense"):
        EmbeddedServer(folder, {"nonsense": "1"}).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
async def test_a_folder_that_the_account_cannot_reach_is_left_alone_and_another_is_used(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    private = folder.parent / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedServer(private / "postgres")
    try:
        assert "cannot reach" in caplog.text
        assert not server.folder.is_relative_to(private)
        with server:
            assert await query(server, "select 1") == 1
            assert EmbeddedServer(private / "postgres").folder == server.folder  # found again
        assert private.stat().st_mode & 0o777 == 0o700
        assert list(private.iterdir()) == []
    finally:
        subprocess.run(["rm", "-rf", str(server.folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_no_folder_above_the_data_changes(folder: Path):
    before = {path: path.stat().st_mode for path in folder.parents}
    with EmbeddedServer(folder) as server:
        assert (server.folder / "data").stat().st_uid != 0
    assert {path: path.stat().st_mode for path in folder.parents} == before
    assert can_reach(account_for(folder / "data"), folder / "data")
