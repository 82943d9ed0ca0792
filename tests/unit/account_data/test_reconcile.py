"""Both sides compared: differences that stay are posted, with every order agreed upon; nothing is guessed."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from feeds.account_data.reconcile import LASTING_SECONDS, Reconciliation
from patriot.domain.venue import OrderRef, OrderState, Unknown, VenueBalanceState
from patriot.runtime.edge import user_context
from patriot.store.api import Query
from patriot.telemetry.metrics import metrics
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue


class Venue(RestingVenue):
    """A resting venue whose balances and open orders are as the test says."""

    def __init__(self):
        super().__init__()
        self.usdt: Decimal | None = Decimal(1000)
        self.open: list[OrderState] | None = []

    async def balances(self, account_id):
        return Unknown("no answer") if self.usdt is None else [VenueBalanceState("USDT", self.usdt, self.usdt)]

    async def open_orders(self, account_id):
        return Unknown("no answer") if self.open is None else self.open


class World:
    def __init__(self, host, user, account, venue):
        self.host, self.user, self.account, self.venue = host, user, account, venue

    async def reconciliation(self) -> Reconciliation:
        (row,) = await self.host.runtime.store.find(Query("user_accounts", None, {"id": UUID(self.account)}))
        context = user_context(self.host.runtime, "relay", row["tenant_id"], row["user_id"])
        return Reconciliation(row, self.venue, context)

    async def total(self) -> Decimal:
        (row,) = await self.host.runtime.store.find(Query("buying_power", None, {"account_id": UUID(self.account)}))
        return row["total"]


@pytest.fixture
async def world():
    async with running_host() as host:
        venue = host.runtime.venues["paper"] = Venue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="1000")
        await until_idle(host)
        yield World(host, user, account, venue)


def skip_time(world, monkeypatch, seconds):
    clock = world.host.runtime.clock
    now = clock.monotonic()
    monkeypatch.setattr(type(clock), "monotonic", lambda _: now + seconds)


async def test_equal_balances_post_nothing(world):
    check = await world.reconciliation()
    await check.everything()
    assert await world.total() == 1000


@pytest.mark.requirement("P22")
async def test_difference_is_posted_only_when_it_lasts(world, monkeypatch):
    world.venue.usdt = Decimal("990.5")
    check = await world.reconciliation()
    await check.everything()
    await check.everything()
    assert await world.total() == 1000
    skip_time(world, monkeypatch, LASTING_SECONDS + 1)
    before = counted("balance_adjustments_total")
    await check.everything()
    assert await world.total() == Decimal("990.5")
    assert counted("balance_adjustments_total") == before + 1
    events = await world.user.json("GET", f"/events/{world.account}?kind=account")
    assert events["events"][-1]["type"] == "account.balance_adjusted"


async def test_account_without_books_takes_over_at_once_what_the_venue_holds(world):
    body = {"exchange": "BINANCE", "mode": "live", "api_key": "the key of ada", "api_secret": "the secret of ada"}
    linked = await world.user.json("POST", "/accounts", body, 201)
    world.account = linked["account_id"]
    await until_idle(world.host)
    check = await world.reconciliation()
    await check.everything()
    assert await world.total() == 1000
    world.venue.usdt = Decimal(990)
    await check.everything()  # from now on there are books
    assert await world.total() == 1000


async def test_account_that_is_funded_while_it_is_looked_at_keeps_its_money(world):
    world.account = account = await world.user.paper_account()
    world.venue.usdt = Decimal(0)
    await until_idle(world.host)
    balances = world.venue.balances

    async def balances_after_funding(account_id):
        told = await balances(account_id)
        await world.user.json("POST", f"/accounts/{account}/funds", {"asset": "USDT", "amount": "500"}, 201)
        return told

    world.venue.balances = balances_after_funding
    await (await world.reconciliation()).everything()
    assert await world.total() == 500


async def test_difference_that_changes_starts_to_last_anew(world, monkeypatch):
    world.venue.usdt = Decimal(990)
    check = await world.reconciliation()
    await check.everything()
    world.venue.usdt = Decimal(991)
    skip_time(world, monkeypatch, LASTING_SECONDS + 1)
    await check.everything()
    assert await world.total() == 1000


async def test_silent_venue_posts_nothing(world):
    world.venue.usdt = world.venue.open = None
    check = await world.reconciliation()
    await check.everything()
    assert await world.total() == 1000


async def resting(world) -> dict:
    body = {
        "account_id": world.account,
        "instrument": PERPETUAL.id,
        "side": "buy",
        "quantity": "0.001",
        "price": "60000",
    }
    receipt = await world.user.json("POST", "/orders", body, 201)
    await until_idle(world.host)
    return receipt


async def test_order_that_changed_a_moment_ago_keeps_balances_alone(world, monkeypatch):
    await resting(world)
    world.venue.usdt = Decimal(990)
    check = await world.reconciliation()
    await check.balances()
    skip_time(world, monkeypatch, LASTING_SECONDS + 1)
    await check.balances()
    assert await world.total() == 1000


async def test_open_order_that_the_venue_sees_alike_is_not_asked_about(world, monkeypatch):
    receipt = await resting(world)
    monkeypatch.setattr("feeds.account_data.reconcile.SETTLE", timedelta(seconds=-5))
    ref = OrderRef(UUID(world.account), PERPETUAL.id, receipt["client_order_id"], "v1")
    world.venue.open = [OrderState(ref, "open", "buy", Decimal("0.001"), Decimal(0), Decimal(60000))]
    check = await world.reconciliation()
    assert await check.orders() == 0


async def test_orders_that_are_not_ours_are_counted_once(world, monkeypatch):
    await resting(world)
    monkeypatch.setattr("feeds.account_data.reconcile.SETTLE", timedelta(seconds=-5))
    by_hand = [OrderRef(UUID(world.account), PERPETUAL.id, name, name) for name in ("web_1", "web_2")]
    world.venue.open = [OrderState(ref, "open", "buy", Decimal(1), Decimal(0), Decimal(1)) for ref in by_hand]
    check, before = await world.reconciliation(), counted("foreign_orders_total")
    await check.orders()
    await check.orders()
    assert counted("foreign_orders_total") == before + 2


def counted(name: str) -> float:
    return metrics.registry.get_sample_value(name, {"venue": "BINANCE"}) or 0.0


@pytest.mark.requirement("P9")
async def test_open_order_that_the_venue_does_not_list_is_resolved(world, monkeypatch):
    receipt = await resting(world)
    monkeypatch.setattr("feeds.account_data.reconcile.SETTLE", timedelta(seconds=-5))
    ref = OrderRef(UUID(world.account), PERPETUAL.id, receipt["client_order_id"])
    await world.venue.cancel(ref)
    check = await world.reconciliation()
    assert await check.orders() == 1
    await until_idle(world.host)
    order = await world.user.json("GET", f"/orders/{receipt['order_id']}")
    assert order["status"] == "cancelled"


async def test_everything_waits_with_balances_while_an_order_differs(world, monkeypatch):
    await resting(world)
    monkeypatch.setattr("feeds.account_data.reconcile.SETTLE", timedelta(seconds=-5))
    world.venue.usdt = Decimal(5)
    check = await world.reconciliation()
    await check.everything()
    await asyncio.sleep(0)
    assert await world.total() == 1000


async def test_modification_whose_answer_was_lost_is_found_by_comparing(world, monkeypatch):
    receipt = await resting(world)
    monkeypatch.setattr("feeds.account_data.reconcile.SETTLE", timedelta(seconds=-5))
    ref = OrderRef(UUID(world.account), PERPETUAL.id, receipt["client_order_id"], "v1")
    world.venue.open = [OrderState(ref, "open", "buy", Decimal("0.001"), Decimal(0), Decimal("59999.9"))]
    check = await world.reconciliation()
    assert await check.orders() == 1
    await until_idle(world.host)
    order = await world.user.json("GET", f"/orders/{receipt['order_id']}")
    assert (Decimal(order["price"]), order["status"]) == (Decimal("59999.9"), "accepted")


@pytest.mark.requirement("A5")
async def test_venue_slower_than_a_call_may_last_is_asked_all_the_same(world, monkeypatch):
    receipt = await resting(world)
    monkeypatch.setattr("feeds.account_data.reconcile.SETTLE", timedelta(seconds=-5))
    await world.venue.cancel(OrderRef(UUID(world.account), PERPETUAL.id, receipt["client_order_id"]))
    check = await world.reconciliation()

    async def slow(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(world.host.runtime.invoker, "invoke", slow)
    assert await check.orders() == 1
    await until_idle(world.host)
    order = await world.user.json("GET", f"/orders/{receipt['order_id']}")
    assert order["status"] == "cancelled"
