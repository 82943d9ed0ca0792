"""A leverage is chosen per account and instrument, binds the next order, and changes only while nothing is open."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pytest

from functions.order_commands import placing
from patriot.domain.venue import Rejected, Unknown
from patriot.runtime.embedded import Host
from patriot.runtime.rebuild import Rebuild
from patriot.store.api import Query
from patriot.store.memory import MemoryStore
from tests.chaos.books import rows
from tests.support.host import PERPETUAL, SPOT, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue, RestingVenue


@dataclass
class Desk:
    host: Host
    user: Client
    account: str
    venue: RestingVenue

    async def choose(self, leverage: Any, instrument: str = PERPETUAL.id) -> tuple[int, dict[str, Any]]:
        body = {"instrument": instrument, "leverage": leverage}
        answer = await self.user.call("POST", f"/accounts/{self.account}/leverage", body)
        return answer.status, orjson.loads(answer.body)

    async def order(self, status: int = 201, **changes: Any) -> dict[str, Any]:
        order = {"account_id": self.account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "1"}
        order |= {"price": "60000", **changes}
        answer: dict[str, Any] = await self.user.json("POST", "/orders", order, status)
        await until_idle(self.host)
        return answer

    async def cash(self) -> dict[str, Decimal]:
        query = Query("buying_power", None, {"asset": "USDT"})
        (row,) = await self.host.runtime.store.find(query)
        return {name: row[name] for name in ("reserved", "margin")}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_host() as host:
        venue = host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL, SPOT)
        for instrument in (PERPETUAL, SPOT):
            await set_price(host, instrument.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        yield Desk(host, user, await user.paper_account(USDT="20000"), venue)


@pytest.mark.requirement("P11", "B11")
async def test_reservation_holds_the_value_over_the_leverage_and_the_fee_and_gives_it_back(desk: Desk):
    assert (await desk.order(422))["code"] == "insufficient_buying_power"
    assert await desk.choose(5) == (200, (await desk.user.json("GET", "/accounts"))["accounts"][0])
    receipt = await desk.order()
    assert await desk.cash() == {"reserved": 12_000 + 30, "margin": 0}
    await desk.user.json("DELETE", f"/orders/{receipt['order_id']}")
    await until_idle(desk.host)
    assert await desk.cash() == {"reserved": 0, "margin": 0}


@pytest.mark.requirement("P11", "B3")
async def test_margin_of_a_position_is_bound_and_freed_by_the_leverage_that_opened_it(desk: Desk):
    desk.host.runtime.venues["paper"] = FillingVenue()
    await desk.choose(5)
    await desk.order()
    assert await desk.cash() == {"reserved": 0, "margin": 12_000}
    (position,) = (await desk.user.json("GET", "/portfolio"))["positions"]
    assert (position["quantity"], position["leverage"]) == ("1", 5)
    await desk.order(side="sell", quantity="0.4", reduce_only=True)
    assert await desk.cash() == {"reserved": 0, "margin": 7_200}
    await desk.order(side="sell", quantity="0.6", reduce_only=True)
    assert await desk.cash() == {"reserved": 0, "margin": 0}


@pytest.mark.requirement("P11")
async def test_leverage_is_refused_while_an_order_or_a_position_is_open_and_says_what_to_do(desk: Desk):
    receipt = await desk.order(quantity="0.1")
    status, problem = await desk.choose(5)
    assert (status, problem["code"]) == (409, "leverage_in_use")
    assert "cancel its orders and close its position" in problem["detail"]
    await desk.user.json("DELETE", f"/orders/{receipt['order_id']}")
    await until_idle(desk.host)
    assert (await desk.choose(5))[0] == 200
    desk.host.runtime.venues["paper"] = FillingVenue()
    await desk.order(side="sell", quantity="0.1")
    assert (await desk.choose(4))[0] == 409
    assert (await desk.choose(5))[0] == 200, "what is so already is no change"
    await desk.order(quantity="0.1", reduce_only=True)
    assert (await desk.choose(4))[0] == 200


BAD = [
    *((leverage, PERPETUAL.id, "leverage") for leverage in (0, -3, 21, 1000, 10**9, 2.5, "5", True, None)),
    (5, SPOT.id, "instrument"),
    (5, "BINANCE:DOGE/USDT:USDT", "instrument"),
    (5, "bitcoin", "instrument"),
]


@pytest.mark.requirement("P20", "P11")
async def test_bad_leverage_or_instrument_is_refused_by_name(desk: Desk):
    for leverage, instrument, field in BAD:
        status, problem = await desk.choose(leverage, instrument)
        assert (status, [error["field"] for error in problem["errors"]]) == (422, [field]), (leverage, instrument)
    assert (await desk.user.json("GET", "/accounts"))["accounts"][0]["leverages"] == {}


@pytest.mark.requirement("P11", "P20")
async def test_another_users_account_is_not_told_from_a_missing_one(desk: Desk):
    eve = await Client(desk.host).register("eve")
    body = {"instrument": PERPETUAL.id, "leverage": 5}
    assert (await eve.call("POST", f"/accounts/{desk.account}/leverage", body)).status == 404


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("scope", ["user", "account"])
async def test_limit_on_leverage_binds_the_choice_and_later_every_order(desk: Desk, scope: str):
    assert (await desk.choose(5))[0] == 200
    level = desk.account if scope == "account" else scope
    await desk.user.json("POST", f"/risk/limits/{level}", {"maximum_leverage": "3"})
    refused = await desk.order(422, quantity="0.1")
    assert (refused["code"], refused["errors"][0]["field"]) == ("leverage", "leverage")
    status, problem = await desk.choose(4)
    assert (status, "at most 3" in problem["detail"]) == (422, True)
    assert (await desk.choose(3))[0] == 200
    await desk.order(quantity="0.1")


@pytest.mark.requirement("P11")
async def test_orders_of_one_list_are_all_judged_on_what_holds_at_the_commit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    judge, judged = placing._judged, list[Any]()

    async def and_meanwhile(*arguments: Any) -> Any:
        judged.append(await judge(*arguments))
        if len(judged) == 1:
            assert (await desk.choose(5))[0] == 200
        return judged[-1]

    monkeypatch.setattr(placing, "_judged", and_meanwhile)
    order = {"account_id": desk.account, "instrument": PERPETUAL.id, "side": "sell", "quantity": "0.1"}
    orders = [{**order, "price": "61000"}, {**order, "order_type": "stop", "stop_price": "59000"}]
    listed = await desk.user.json("POST", "/order-lists", {"kind": "oco", "orders": orders}, 201)
    for receipt in listed["orders"]:
        (created, *_) = (await desk.user.json("GET", f"/events/{receipt['order_id']}"))["events"]
        assert created["data"]["leverage"] == 5


@pytest.mark.requirement("P8", "P11")
async def test_venue_is_told_before_the_first_order_that_opens_and_once(desk: Desk):
    await desk.order(quantity="0.1")
    assert desk.venue.leverages_set == [], "nobody chose one: the venue's own setting is left alone"
    await desk.user.json("POST", "/orders/cancel", {"account_id": desk.account})
    await until_idle(desk.host)
    await desk.choose(5)
    for _ in range(2):
        await desk.order(quantity="0.1")
    assert (desk.venue.leverages_set, len(desk.venue.created)) == ([(PERPETUAL.id, 5)], 3)
    await desk.user.json("POST", "/orders/cancel", {"account_id": desk.account})
    await until_idle(desk.host)
    for leverage in (3, 5):
        await desk.choose(leverage)
    await desk.order(quantity="0.1")
    assert desk.venue.leverages_set == [(PERPETUAL.id, 5)] * 2, "another may have been set in between, elsewhere"


@pytest.mark.requirement("P8", "P11")
async def test_unknown_outcome_is_asked_again_and_nothing_is_sent_before_it_is_known(desk: Desk):
    await desk.choose(5)
    desk.venue.leverage_answers = [Unknown("no answer"), Unknown("no answer")]
    order = await desk.order(quantity="0.1")
    assert (len(desk.venue.leverages_set), len(desk.venue.created)) == (3, 1)
    assert (await desk.user.json("GET", f"/orders/{order['order_id']}"))["status"] == "accepted"


@pytest.mark.requirement("P8", "P11")
@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([Rejected("-2028", "margin is insufficient")], "the venue refuses a leverage of 5: margin is insufficient"),
        ([Unknown("no answer")] * 4, "the venue does not confirm a leverage of 5: no answer"),
    ],
)
async def test_order_whose_leverage_cannot_be_had_ends_unsent_and_holds_nothing(
    desk: Desk, answers: list[Any], reason: str
):
    await desk.choose(5)
    desk.venue.leverage_answers = answers
    receipt = await desk.order(quantity="0.1")
    order = await desk.user.json("GET", f"/orders/{receipt['order_id']}")
    assert (order["status"], order["reason"], desk.venue.created) == ("cancelled", reason, [])
    assert await desk.cash() == {"reserved": 0, "margin": 0}


@pytest.mark.requirement("P11")
async def test_installations_default_holds_where_nobody_chose():
    async with running_host(default_leverage=10) as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        desk = Desk(host, user, await user.paper_account(USDT="20000"), RestingVenue())
        await desk.order()
        assert await desk.cash() == {"reserved": 6_000 + 30, "margin": 0}


@pytest.mark.requirement("P9", "B11")
async def test_rebuild_gives_the_same_after_a_change_of_leverage(desk: Desk):
    desk.host.runtime.venues["paper"] = FillingVenue()
    await desk.choose(5)
    await desk.order()
    await desk.order(side="sell", reduce_only=True)
    await desk.choose(3)
    store = desk.host.runtime.store
    assert isinstance(store, MemoryStore)
    names = ("quotas", "positions", "buying_power")
    before = [_sorted(await rows(store, name)) for name in names]
    await Rebuild(store).run(desk.host.runtime.clock.now())
    assert [_sorted(await rows(store, name)) for name in names] == before


def _sorted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: str(row.get("name")))
