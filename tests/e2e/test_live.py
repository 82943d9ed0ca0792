"""`patriot up --live` in front of an exchange under its own host names: a proxy leads them to the built-in venue.

The process is told of the proxy and of its authority by HTTPS_PROXY and SSL_CERT_FILE, as in any firm. Every other
exchange is out of reach, as is this one at first.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from feeds.venue.orders import OrderStatus
from feeds.venue.wire.binance import Binance
from feeds.venue.wire.tls import Proxy, intercepting
from tests.integration.venue.binance_world import KEY, SECRET, World, living_venue

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(400)]

PERPETUAL, SPOT = "BINANCE:BTC/USDT:USDT", "BINANCE:BTC/USDT"
SECONDS = 120


class Installation:
    """A platform in a process of its own, and the command line in front of it."""

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        own = {name: text for name, text in os.environ.items() if not name.lower().startswith(("patriot_", "no_proxy"))}
        ports = {"PATRIOT_PORT": "0", "PATRIOT_VENUE_PORT": "0"}
        way_out = {"HTTPS_PROXY": proxy.url, "https_proxy": proxy.url, "SSL_CERT_FILE": proxy.certificate_file}
        self._environment = own | ports | way_out | {"PATRIOT_API_KEY": KEY, "PATRIOT_API_SECRET": SECRET}

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        with (self._folder / "out").open("wb") as out:
            process = self._process = await self._start("up", "--live", stdout=out)
        try:
            await self.says('"running"')
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 0

    async def run(self, *words: str) -> Any:
        process = await self._start(*words, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        assert process.returncode == 0, (words, told)
        return orjson.loads(told)

    async def says(self, text: str) -> None:
        deadline = asyncio.get_running_loop().time() + SECONDS
        while text not in (said := self._said()):
            assert self._process is None or self._process.returncode is None, said
            assert asyncio.get_running_loop().time() < deadline, f"{text} did not come: {said}"
            await asyncio.sleep(0.1)

    def _said(self) -> str:
        return (self._folder / "out").read_text() + (self._folder / "log").read_text()

    async def _start(self, *words: str, stdout: Any) -> asyncio.subprocess.Process:
        line = ["-m", "patriot.cli.main", "--json", "--data-dir", str(self._folder / "data"), *words]
        with (self._folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, *line, stdout=stdout, stderr=log, env=self._environment
            )


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-live-") as name:
        Path(name).chmod(0o755)  # PostgreSQL's account goes through it
        yield Path(name)


@pytest.mark.requirement("P6", "P7", "T2", "T4")
async def test_live_prices_and_real_money_behind_the_proxy_of_a_firm(folder: Path) -> None:
    port = free_port()
    async with intercepting(folder, Binance.hosts, port) as proxy:
        installation = Installation(folder, proxy)
        async with installation.up():
            await installation.says("no exchange can be reached")
            async with living_venue(step_seconds=0.1, port=port) as world:
                await trade(installation, world)


async def trade(installation: Installation, world: World) -> None:
    await installation.says('"filled"')  # the demo's order, on paper at live prices
    assert not world.exchange.trades(world.trader)
    account = (await installation.run("account", "link", "BINANCE", "--live"))["account_id"]
    async with asyncio.timeout(SECONDS):
        while not await owned(installation, account):
            await asyncio.sleep(0.2)
    for words in ((PERPETUAL, "buy", "0.01"), (SPOT, "sell", "0.02")):
        order = await installation.run("order", "create", *words, "--account", account, "--wait", "30")
        assert order["status"] == "filled"
        there = world.exchange.order(world.trader, words[0], client_order_id=order["client_order_id"])
        assert there.status == OrderStatus.FILLED
    (price,) = (await installation.run("prices", PERPETUAL))["prices"]
    low = str(int(Decimal(price["bid"]) * Decimal("0.97")))
    resting = await installation.run(
        "order", "create", PERPETUAL, "buy", "0.01", low, "--account", account, "--wait", "30"
    )
    assert resting["status"] == "accepted"
    assert len(world.exchange.open_orders(world.trader)) == 1
    assert (await installation.run("order", "cancel", "last", "--wait", "30"))["status"] == "cancelled"
    assert not world.exchange.open_orders(world.trader)


async def owned(installation: Installation, account: str) -> dict[str, str]:
    balances = (await installation.run("portfolio"))["balances"]
    return {row["asset"]: row["total"] for row in balances if row["account_id"] == account}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
