"""A running platform to load: a user, funded accounts without tight limits, orders that fill.

`opened` runs the platform in this process, as `patriot up` would: PostgreSQL with fsync, HTTP on loopback, the
built-in venue with its synthetic market in process. With `symbols` it trades on that many made-up instruments instead,
at a venue that fills everything at once, so that nothing but their number changes.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Outcome, VenueOrder
from patriot.runtime.embedded import Host
from patriot.runtime.platform import platform
from patriot.runtime.settings import Settings
from schemas.reports import Execution
from tests.support.host import PASSWORD, PERPETUAL, Client, define, set_price

INSTRUMENT = PERPETUAL.id
QUANTITY = "0.002"
LIMITS = {
    "maximum_orders_per_second": 100_000,
    "maximum_open_orders": 100_000,
    "maximum_order_notional": "1000000000",
    "maximum_position_notional": "1000000000000",
}
START_SECONDS_MAX = 60.0


class AtOnce:
    """A venue that fills every order at once, at 60,000."""

    def __init__(self) -> None:
        self._trades = 0

    async def create(self, order: VenueOrder) -> Outcome:
        self._trades += 1
        fill = Execution(
            trade_id=f"t{self._trades}", price=Decimal(60_000), quantity=order.quantity,
            fee=Decimal("0.05"), fee_asset="USDT", liquidity="taker",
        )  # fmt: skip
        state = OrderState(
            ref=OrderRef(order.account_id, order.instrument, order.client_order_id, f"v{self._trades}"),
            status="filled", side=order.side, quantity=order.quantity, filled_quantity=order.quantity,
            executions=(fill,),
        )  # fmt: skip
        return Accepted(state.ref.venue_order_id, state)

    async def query(self, ref: OrderRef) -> NotFound:
        return NotFound()

    async def positions(self, account_id: Any) -> list[Any]:
        return []

    async def close(self) -> None:
        pass


@dataclass
class World:
    host: Host
    client: Client
    port: int
    accounts: list[str]
    instruments: list[str]

    @property
    def token(self) -> str:
        return self.client._token

    def orders(self) -> list[dict[str, Any]]:
        """Market orders of every account, buying and selling by turns, over all instruments."""
        turns = max(len(self.accounts), len(self.instruments))
        return [
            {
                "account_id": self.accounts[turn % len(self.accounts)],
                "instrument": self.instruments[turn % len(self.instruments)],
                "side": side,
                "order_type": "market",
                "quantity": QUANTITY,
            }
            for turn in range(turns)
            for side in ("buy", "sell")
        ]

    async def until_idle(self) -> None:
        while not self.host.broker.idle:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(
    accounts: int = 1, symbols: int = 0, folder: Path | None = None, **settings: Any
) -> AsyncIterator[World]:
    chosen = {"port": 0, "venue_port": 0, "execution": "in_process", "demo": False, **settings}
    with _folder() as temporary:
        data = (folder or temporary) / "data"
        if symbols:
            chosen["market"] = "replay"
        async with platform(Settings(data_dir=data, **chosen)) as running:
            host = running.host
            instruments = [INSTRUMENT] if not symbols else await _made_up(host, symbols)
            client = await _user(host)
            known = [await _account(client) for _ in range(accounts)]
            world = World(host, client, int(running.url.rpartition(":")[2]), known, instruments)
            await _until_trading(world)
            await world.until_idle()
            yield world


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-bench-") as name:
        Path(name).chmod(0o755)  # the database server runs as another user where we are root
        yield Path(name)


async def _user(host: Host) -> Client:
    """The bench's user: registered, or logged in where the folder knows it."""
    credentials = {"username": "bench", "password": PASSWORD}
    await Client(host).call("POST", "/users", credentials)
    token = await Client(host).json("POST", "/auth/token", credentials)
    return Client(host, token["access_token"])


async def _account(client: Client) -> str:
    account = await client.json("POST", "/accounts", {"exchange": "BINANCE", "label": f"bench {uuid4().hex}"}, 201)
    path = account["account_id"]
    await client.json("POST", f"/accounts/{path}/funds", {"asset": "USDT", "amount": "1000000000"}, 201)
    await client.json("POST", f"/risk/limits/{path}", LIMITS)
    return str(path)


async def _made_up(host: Host, symbols: int) -> list[str]:
    found = [replace(PERPETUAL, id=f"BINANCE:B{number}/USDT:USDT", base=f"B{number}") for number in range(symbols)]
    await define(host.runtime.store, *found)
    host.runtime.spawn(_quote(host, [instrument.id for instrument in found]), "bench prices")
    host.runtime.venues["paper"] = AtOnce()  # type: ignore[assignment]  # nothing else is asked of it
    return [instrument.id for instrument in found]


async def _quote(host: Host, instruments: list[str]) -> None:
    while True:
        for instrument in instruments:
            await set_price(host, instrument, "59999.9", "60000.1")
        await asyncio.sleep(1)


async def _until_trading(world: World) -> None:
    """The market has a price, and the caches know every account."""
    async with asyncio.timeout(START_SECONDS_MAX):
        for order in world.orders()[::2]:
            while (await world.client.call("POST", "/orders", order)).status != 201:
                await asyncio.sleep(0.05)
