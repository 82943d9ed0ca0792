"""Case 24: a canary in every place where a secret comes in, then a life of errors; it is found nowhere but sealed.

One platform on a real PostgreSQL, its venue on a socket, the command line as processes of their own. Looked through are
the logs at debug, traces, metrics, every answer, every row of every table, the state port, what the commands print, the
arguments of every process, and every file that is left: the server's own (its log and write-ahead log too), a backup.
"""

import asyncio
import io
import logging
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest
import structlog

from patriot.cli.session import Session, save
from patriot.domain.venue import Accepted
from patriot.runtime.clock import SeededIds
from patriot.runtime.credentials import open_credentials
from patriot.runtime.embedded import Host
from patriot.runtime.platform import KEY_FILE, make_host
from patriot.runtime.serving import free_port, listen, serving
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.store.api import Query
from patriot.store.embedded import EmbeddedServer
from patriot.store.open import open_store
from patriot.store.replica import ReplicaPlace
from patriot.telemetry.logs import configure_logs
from patriot.telemetry.metrics import metrics
from patriot.telemetry.otlp import exporting
from patriot.venues.opening import _login, open_venues
from tests.chaos.canaries import Canaries, command_lines, files_of, rows_of
from tests.support.collector import Collector, collecting
from tests.support.venues import RestingVenue

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.postgres, pytest.mark.timeout(300)]

SPOT = "BINANCE:BTC/USDT"
KEPT_ON_PURPOSE = rf"/({KEY_FILE}|session\.json)$"  # both are for their owner's eyes only


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-canary-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """All that is logged, at debug, by the platform and by the libraries."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    configure_logs(level="debug", form="json", stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


class Quoting(RestingVenue):
    """A venue whose library quotes the credentials in its errors."""

    def __init__(self, key: str, secret: str) -> None:
        super().__init__()
        self._text = f"GET /api?apiKey={key} failed; headers {{'X-MBX-APIKEY': '{key}'}}, secret: {secret}"

    async def create(self, _: object) -> Accepted:
        raise ConnectionError(self._text)


@dataclass
class World:
    host: Host
    url: str
    database_url: str
    folder: Path
    canaries: Canaries
    places: dict[str, bytes] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Any:
        """An answer; all of it is looked through later."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"authorization": f"Bearer {token}"} if token else {}
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1", timeout=20) as client:
            answer = await client.request(
                method, path, content=raw, headers={"content-type": "application/json", **sent}
            )
        if path != "/auth/token":  # which is for its owner
            self.keep(f"answer to {method} {path}", answer.content + repr(answer.headers).encode())
        return answer.json()

    async def run(self, *words: str, **environment: str) -> None:
        """A command as a process; whatever it does, its output is looked through later."""
        command = [sys.executable, "-m", "patriot.cli.main", "--data-dir", str(self.folder), *words]
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 120)
        self.keep(f"output of patriot {' '.join(words)}", said)

    def keep(self, place: str, content: bytes) -> None:
        self.places[place] = self.places.get(place, b"") + content


@asynccontextmanager
async def world(folder: Path, canaries: Canaries, collector: Collector) -> AsyncIterator[World]:
    server = EmbeddedServer(folder / "postgres", {"log_min_messages": "debug1", "log_min_error_statement": "debug1"})
    server.start()
    try:
        admin = await asyncpg.connect(server.url("postgres"))
        await admin.execute("create database patriot")
        await admin.close()
        password = canaries.new("password of the database")
        database_url = server.url().replace("postgres@", f"postgres:{password}@")
        replica_url = server.url().replace("postgres@", f"postgres:{canaries.new('password of the replica')}@")
        settings: dict[str, Any] = {"data_dir": folder, "database_url": database_url, "venue_port": free_port()}
        settings |= {"otlp_endpoint": collector.url, "log_level": "debug", "risk_seconds": 1, "snapshot_seconds": 1}
        async with (
            exporting(Settings(**settings), SeededIds(24)),
            open_store(folder, database_url, replica=ReplicaPlace(replica_url, 10)) as store,
        ):
            host = make_host(Settings(**settings), store)
            async with serving(host.public, listen("127.0.0.1", 0)) as url:
                await host.start()
                try:
                    await open_venues(host.runtime)
                    there_is_only_the_built_in_venue(host)
                    yield World(host, url, database_url, folder, canaries)
                finally:
                    await host.stop()
    finally:
        server.stop()


def there_is_only_the_built_in_venue(host: Host) -> None:
    from patriot.venues.ccxt_adapter import CcxtAdapter
    from patriot.venues.endpoints import VenueEndpoints

    runtime = host.runtime
    here = VenueEndpoints(runtime.settings.venue_port)
    runtime.venues["live"] = CcxtAdapter(
        partial(_login, runtime), here, runtime.clock, runtime.state, is_limited=False, address="live"
    )


@pytest.mark.requirement("P14", "P16", "A5")
async def test_no_canary_leaves_its_cage(folder: Path, logs: io.StringIO) -> None:
    canaries = Canaries()
    with collecting() as collector:
        async with world(folder, canaries, collector) as here, watched(here):
            keys_of(here)
            await a_life(here)
            await the_command_line(here)
            here.keep("metrics", metrics.exposition("application/openmetrics-text")[1] + metrics.exposition()[1])
            here.keep("state", repr(here.host.runtime.state._entries).encode())
            here.places |= {f"table {name}": content for name, content in (await rows_of(here.database_url)).items()}
        here.keep("traces", repr(collector.spans).encode())
    here.keep("logs", logs.getvalue().encode())
    here.places |= files_of(folder, but=KEPT_ON_PURPOSE)
    print(f"{len(canaries.texts)} canaries, {len(here.places)} places, {sum(map(len, here.places.values())):,} bytes")
    assert len(canaries.texts) >= 20
    expected = {
        "logs": b"X-MBX-APIKEY",
        "traces": b"POST /orders",
        "metrics": b"http_requests_total",
        "table public.event_store": b"submit_started",
    }
    missing = [place for place, text in expected.items() if text not in here.places[place]]
    found = canaries.found_in(here.places)
    assert (missing, found) == ([], [])


@asynccontextmanager
async def watched(here: World) -> AsyncIterator[None]:
    """Look at the arguments of all processes all the time."""

    async def look() -> None:
        while True:
            here.places |= {f"arguments of {path}": text for path, text in command_lines().items()}
            await asyncio.sleep(0.05)

    task = asyncio.create_task(look())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def keys_of(here: World) -> None:
    """The installation's own keys are canaries too."""
    ring = KeyRing.load(here.folder / KEY_FILE)
    for name, keys in {"vault": ring.vault, "services": ring.services}.items():
        here.canaries.add(f"key of {name}", keys.keys[keys.current])
    assert ring.users.private is not None
    number = ring.users.private.private_numbers().private_value
    here.canaries.add("key that signs tokens", number.to_bytes(32, "big"))


async def a_life(here: World) -> None:
    """Orders, and everything that goes wrong with secrets in hand."""
    new, call = here.canaries.new, here.call
    user = {"username": "ada", "password": new("password")}
    await call("POST", "/users", user)
    await call("POST", "/users", user)  # taken
    await call("POST", "/users", {"username": "bob", "password": new("password of the wrong type"), "extra": 1})
    await call("POST", "/users", {"username": "eve", "password": [new("password in a list")]})
    await call("POST", "/auth/token", {"username": "ada", "password": new("wrong password")})
    token = (await call("POST", "/auth/token", user))["access_token"]
    here.canaries.add("token", token)
    here.canaries.add("signature of the token", token.rpartition(".")[2])
    await strangers(here, token)
    live = await link(here, token, "BINANCE")
    await link(here, token, "BYBIT")
    paper = (await call("POST", "/accounts", {"exchange": "BINANCE"}, token))["account_id"]
    await call("POST", f"/accounts/{paper}/funds", {"asset": "USDT", "amount": "100000"}, token)
    made = await here.host.runtime.store.find(Query("user_accounts", None, {"id": UUID(paper)}))
    for name, secret in zip(("key", "secret"), open_credentials(here.host.runtime.access.vault, made[0]), strict=True):
        here.canaries.add(f"{name} of the paper account", secret.reveal())
    await order(here, token, paper)
    await rotate(here, token, live)
    await quoting_venue(here, token, live)


async def strangers(here: World, token: str) -> None:
    """Secrets where none belong."""
    new, call = here.canaries.new, here.call
    await call("GET", "/portfolio", token=token[:-2] + "xx")
    await call("GET", "/portfolio", authorization=f"Basic {new('basic authorization')}")
    await call("GET", "/portfolio", x_service_token=new("service token"))
    await call("GET", f"/portfolio?api_secret={new('secret in a query')}", token=token)
    await call("POST", "/orders", b'{"password": "' + new("password in broken JSON").encode(), token)
    await call("POST", "/orders", {"account_id": new("secret in a wrong field"), "quantity": "1"}, token)
    await call("POST", "/accounts", {"exchange": "BINANCE", "mode": "paper", "api_key": new("key too many")}, token)
    secret = {
        "exchange": "KRAKEN",
        "mode": "live",
        "api_key": "short",
        "api_secret": new("secret in bad company"),
    }
    await call("POST", "/accounts", secret, token, idempotency_key="k1")


async def link(here: World, token: str, exchange: str) -> str:
    new = here.canaries.new
    body = {"exchange": exchange, "mode": "live", "label": "live"}
    body |= {"api_key": new(f"{exchange} key"), "api_secret": new(f"{exchange} secret")}
    first = await here.call("POST", "/accounts", body, token, idempotency_key=f"link {exchange}")
    again = await here.call("POST", "/accounts", body, token, idempotency_key=f"link {exchange}")
    assert first == again
    return str(first["account_id"])


async def rotate(here: World, token: str, account: str) -> None:
    """Now the venue knows the account."""
    key, secret = (here.canaries.new(f"rotated {name}") for name in ("key", "secret"))
    here.host.runtime.local["venue"].open("BINANCE", UUID(account), key, secret)
    await here.call("POST", f"/accounts/{account}/credentials", {"api_key": key, "api_secret": secret}, token)


async def quoting_venue(here: World, token: str, account: str) -> None:
    """Errors of a library that quotes what it was given."""
    key, secret = here.canaries.new("quoted key"), here.canaries.new("quoted secret")
    adapter, here.host.runtime.venues["live"] = here.host.runtime.venues["live"], Quoting(key, secret)
    await order(here, token, account)
    here.host.runtime.venues["live"] = adapter


async def order(here: World, token: str, account: str) -> str:
    """Order, and wait a while for its end."""
    await eventually(partial(has_price, here))
    body = {"account_id": account, "instrument": SPOT, "side": "buy", "order_type": "market", "quantity": "0.01"}
    made = await here.call("POST", "/orders", body, token)
    if "order_id" not in made:
        return str(made["code"])
    shown = made
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            while shown["status"] not in {"filled", "rejected"}:
                await asyncio.sleep(0.05)
                shown = await here.call("GET", f"/orders/{made['order_id']}", token=token)
    return str(shown["status"])


async def has_price(here: World) -> bool:
    return any(one["instrument"] == SPOT for one in (await here.call("GET", "/prices"))["prices"])


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


async def the_command_line(here: World) -> None:
    new, url = here.canaries.new, here.database_url
    save(here.folder, Session(here.url, "ada", new("password in the session file")))
    keys = {"PATRIOT_API_KEY": new("key of the command line"), "PATRIOT_API_SECRET": new("secret of the command line")}
    place = url.partition("@")[2]
    wrong = f"postgresql://nobody:{new('password of nobody')}@{place}"
    hashed = f"postgresql://nobody:{new('password with a hash')}#@{place}"
    await asyncio.gather(
        here.run("portfolio"),  # refused: the password is wrong
        here.run("account", "link", "BINANCE", "--live", **keys),
        here.run("doctor", PATRIOT_DATABASE_URL=url, PATRIOT_DATABASE_REPLICA_URL=wrong),
        here.run("doctor", PATRIOT_DATABASE_URL=url, PATRIOT_DATABASE_REPLICA_URL=hashed),
        here.run("migrate", PATRIOT_DATABASE_URL=wrong),
        here.run("migrate", PATRIOT_DATABASE_URL=hashed),
        here.run("backup", "--to", str(here.folder / "backup"), PATRIOT_DATABASE_URL=url),
    )
