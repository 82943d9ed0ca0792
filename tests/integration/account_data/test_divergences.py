"""A thousand random divergences between us and the venue: told once, mended in two cycles, then silence."""

import os
import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from feeds.account_data import reconcile
from feeds.account_data.reconcile import Reconciliation
from patriot.domain.external import order_id_at_venue
from patriot.domain.order import Order
from patriot.domain.venue import NotFound, OrderRef, OrderState, VenueBalanceState, VenuePositionState
from patriot.runtime.aggregates import ORDER
from patriot.runtime.edge import user_context
from patriot.store.api import Query
from schemas.reports import Execution
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

DIVERGENCES = int(os.environ.get("PATRIOT_DIVERGENCES", "1000"))
BATCH = 50
LIMITS = {"maximum_open_orders": 100_000, "maximum_orders_per_second": 100_000}
KINDS = ("cancelled", "expired", "partly", "filled", "terms", "foreign", "foreign_filled", "balance", "position")


class Venue(RestingVenue):
    """The truth. A test changes it behind our back."""

    def __init__(self) -> None:
        super().__init__()
        self.usdt = Decimal(0)
        self.position = Decimal(0)
        self.trades = 0

    async def open_orders(self, account_id: Any) -> Sequence[OrderState]:
        return [state for state in self._orders.values() if state.status == "open"]

    async def balances(self, account_id: Any) -> Sequence[VenueBalanceState]:
        return [VenueBalanceState("USDT", self.usdt, self.usdt)]

    async def positions(self, account_id: Any) -> list[VenuePositionState]:
        return [VenuePositionState(PERPETUAL.id, self.position, Decimal(60_000))] if self.position else []

    async def query(self, ref: OrderRef) -> OrderState | NotFound:
        return self._orders.get(ref.client_order_id) or NotFound()

    def put(self, state: OrderState) -> None:
        self._orders[state.ref.client_order_id] = state

    def filled(self, state: OrderState, quantity: Decimal) -> OrderState:
        """So much more of it has traded, at its price and without a fee."""
        self.trades += 1
        price = state.price or Decimal(60_000)
        one = Execution(
            trade_id=f"x{self.trades}",
            price=price,
            quantity=quantity,
            fee=Decimal(0),
            fee_asset="USDT",
            liquidity="maker",
        )
        self.position += quantity if state.side == "buy" else -quantity
        total = state.filled_quantity + quantity
        status = "filled" if total == state.quantity else state.status
        return replace(state, executions=(*state.executions, one), filled_quantity=total, status=status)


class World:
    def __init__(self, host: Any, venue: Venue, user: Client, account: str, seed: int) -> None:
        self.host, self.venue, self.user, self.account = host, venue, user, account
        self.chance = random.Random(seed)
        self.foreign = 0

    async def reconciliation(self) -> Reconciliation:
        (row,) = await self.host.runtime.store.find(Query("user_accounts", None, {"id": UUID(self.account)}))
        context = user_context(self.host.runtime, "account-data", row["tenant_id"], row["user_id"])
        return Reconciliation(row, self.venue, context)

    async def rest(self, count: int) -> list[OrderState]:
        """New orders of ours that rest on both sides."""
        body = {
            "account_id": self.account, "instrument": PERPETUAL.id, "side": "buy", "order_type": "limit",
            "quantity": "0.010",
        }  # fmt: skip
        prices = [f"{59_000 - number}" for number in range(count)]
        receipts = [await self.user.json("POST", "/orders", {**body, "price": price}, 201) for price in prices]
        await until_idle(self.host, 30)
        return [self.venue._orders[one["client_order_id"]] for one in receipts]

    def diverge(self, kind: str, state: OrderState) -> None:
        """Change the venue's truth; nobody tells us."""
        venue = self.venue
        match kind:
            case "cancelled" | "expired":
                venue.put(replace(state, status=kind))
            case "partly":
                venue.put(venue.filled(state, Decimal("0.004")))
            case "filled":
                venue.put(venue.filled(venue.filled(state, Decimal("0.004")), Decimal("0.006")))
            case "terms":
                venue.put(replace(state, quantity=Decimal("0.008")))
            case "foreign" | "foreign_filled":
                self.foreign += 1
                ref = OrderRef(state.ref.account_id, PERPETUAL.id, f"by hand {self.foreign}", f"f{self.foreign}")
                stranger = replace(state, ref=ref)
                venue.put(venue.filled(stranger, Decimal("0.004")) if kind == "foreign_filled" else stranger)
            case "balance":
                venue.usdt += self.chance.randrange(-50, 50)
            case _:
                venue.position += Decimal(self.chance.randrange(-9, 10)) / 1000

    async def cycle(self, check: Reconciliation) -> int:
        found = await check.everything()
        await until_idle(self.host, 30)
        return len(found)

    async def events(self) -> int:
        return sum([1 async for _ in self.host.runtime.store.read()])


@pytest.mark.slow
@pytest.mark.requirement("P9", "P22")
@pytest.mark.timeout(400)
async def test_divergences_are_told_once_and_mended_in_two_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "SETTLE", timedelta(0))
    monkeypatch.setattr(reconcile, "LASTING_SECONDS", 0.0)
    seed = int(os.environ.get("PATRIOT_SEED", "21"))
    cycles = total = 0
    async with running_host() as host:
        venue = host.runtime.venues["paper"] = Venue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="10000000")
        await user.json("POST", f"/risk/limits/{account}", LIMITS)
        venue.usdt = Decimal(10_000_000)
        world = World(host, venue, user, account, seed)
        check = await world.reconciliation()
        while total < DIVERGENCES:
            states = await world.rest(BATCH)
            kinds = [world.chance.choice(KINDS) for _ in states]
            for kind, state in zip(kinds, states, strict=True):
                world.diverge(kind, state)
            total += len(kinds)
            used = 0
            while await world.cycle(check) or used == 0:
                used += 1
                assert used <= 2, "orders in one, what is left of balances and positions in the next"
            cycles = max(cycles, used)
            before = await world.events()
            assert await world.cycle(check) == 0
            assert await world.cycle(check) == 0
            assert await world.events() == before, "a rerun emits nothing"
            await _same(world)
    print(f"{total} divergences, seed {seed}: converged in at most {cycles} cycles")


async def _same(world: World) -> None:
    context = (await world.reconciliation())._context
    for state in list(world.venue._orders.values()):
        order = await _order(context, state)
        assert order.filled_quantity == state.filled_quantity
        assert order.ended == (state.status != "open")
        assert order.quantity == state.quantity or order.ended
    rows = await context.find("positions", {"account_id": UUID(world.account)})
    assert [row["quantity"] for row in rows] in ([world.venue.position], [])
    (balance,) = await context.find("buying_power", {"account_id": UUID(world.account)})
    assert balance["total"] == world.venue.usdt


async def _order(context: Any, state: OrderState) -> Order:
    ref = state.ref
    order_id = order_id_at_venue(ref.account_id, ref.instrument, ref.client_order_id, ref.venue_order_id)
    assert order_id is not None
    loaded = await context.load(ORDER, order_id)
    assert loaded.state is not None
    return loaded.state  # type: ignore[no-any-return]
