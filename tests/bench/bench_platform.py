"""What a running platform costs: seconds to start, memory, and how both the memory and an order grow with its size.

Method: each size runs in a process of its own, with PostgreSQL beside it. The start is from the creation of the process
until the first order is acknowledged: cold in an empty folder (database made and migrated), warm in the same folder
again. Memory is what the process holds (RSS), and PostgreSQL's share of memory (PSS, shared pages counted once). The
cost of an order is the processor time of the platform's process for its whole way: acknowledged, filled, booked, shown.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.load import ROOT, Load, measure
from tests.bench.world import World, opened

SYMBOLS = (1, 10, 100)
ACCOUNTS = (1, 100, 1000)
ORDERS = 1_000
ROUNDS = 2
CONNECTIONS = 32
SETTLED_SECONDS = 6.0
MEGABYTE = 1_000_000

Row = dict[str, Any]


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="patriot-bench-") as folder:
        Path(folder).chmod(0o755)
        cold, warm = _child(folder=folder), _child(folder=folder)
    rows = [
        _row("start, cold (empty folder) until the first order", cold["start_seconds"], "s", "< 60"),
        _row("start, warm until the first order", warm["start_seconds"], "s"),
        _row("memory idle: platform", cold["idle_mb"], "MB"),
        _row("memory idle: PostgreSQL", cold["postgres_idle_mb"], "MB"),
        _row(f"memory after {ROUNDS * ORDERS} orders: platform", cold["after_mb"], "MB"),
        _row(f"memory after {ROUNDS * ORDERS} orders: PostgreSQL", cold["postgres_after_mb"], "MB"),
        _row("processor idle, synthetic market of 8 instruments", cold["idle_share"] * 100, "% of a core"),
    ]
    for symbols in SYMBOLS:
        rows += _size_rows(f"{symbols} symbols, 1 account", _child(symbols=symbols))
    for accounts in ACCOUNTS:
        rows += _size_rows(f"1 symbol, {accounts} accounts", _child(symbols=1, accounts=accounts))
    return rows


def _size_rows(name: str, found: dict[str, float]) -> list[Row]:
    return [
        _row(f"{name}: an order", found["order_us"], "µs of processor"),
        _row(f"{name}: memory after {ROUNDS * ORDERS} orders", found["after_mb"], "MB"),
    ]


def _child(**size: Any) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.bench_platform", json.dumps({**size, "born": time.time()})]
    finished = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(finished.stdout.splitlines()[-1]))


# --- in the process of its own ----------------------------------------------------------------------------------------


async def _figures(born: float, folder: str = "", **size: int) -> dict[str, float]:
    async with opened(folder=Path(folder) if folder else None, **size) as world:
        found, data = {"start_seconds": time.time() - born}, world.host.runtime.settings.data_dir
        await asyncio.sleep(SETTLED_SECONDS)
        busy = time.process_time()
        await asyncio.sleep(1)
        found |= {"idle_share": time.process_time() - busy, "idle_mb": _held(), "postgres_idle_mb": _postgres(data)}
        costs = [await _order_us(world) for _ in range(ROUNDS)]
        return found | {"order_us": min(costs), "after_mb": _held(), "postgres_after_mb": _postgres(data)}


async def _order_us(world: World) -> float:
    busy = time.process_time()
    load = Load(world.port, "/api/v1/orders", world.orders(), [world.token], CONNECTIONS, 60, ORDERS)
    measured = await measure(load)
    assert not measured.refused, measured.sample
    await world.until_idle()
    return (time.process_time() - busy) / ORDERS * 1e6


def _held() -> float:
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def _postgres(data: Path) -> float:
    """The server of this folder and its children."""
    server = int(next(data.rglob("postmaster.pid")).read_text().split()[0])
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return sum(_share_bytes(process) for process in (server, *map(int, children))) / MEGABYTE


def _share_bytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _row(name: str, value: float, unit: str, target: str | None = None) -> Row:
    return {"name": name, "value": value, "unit": unit, "target": target}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_figures(**json.loads(sys.argv[1])))))
