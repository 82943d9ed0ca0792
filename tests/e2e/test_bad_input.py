"""Bad input at the public edge: a problem that names field and rule, the correlation id, and nothing changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import pytest
import pytest_asyncio

from patriot.runtime.embedded import Host
from patriot.runtime.ports import Response
from patriot.store.api import Query, Store
from patriot.store.tables import TABLES
from patriot.telemetry.correlation import is_correlation_id
from schemas.risk_events import RiskDenied
from tests.support.host import PASSWORD, PERPETUAL, SPOT, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

CORRELATION = "req_1700000000000_0123abcd"


@dataclass(frozen=True)
class World:
    """A platform with one user who has one resting order, and another user."""

    host: Host
    user: Client
    other: Client
    account: str
    order_id: str

    def order(self, **changes: Any) -> dict[str, Any]:
        fields = {
            "account_id": self.account,
            "instrument": PERPETUAL.id,
            "side": "buy",
            "order_type": "limit",
            "quantity": "0.01",
            "price": "60000",
        }
        return fields | changes

    async def everything(self) -> tuple[object, ...]:
        """All events and all rows; not what refusals tell of themselves."""
        store = self.host.runtime.store
        events = [(event.id, event.type) async for event in store.read() if event.type != RiskDenied.TYPE]
        rows = [(name, [dict(row) for row in await store.find(Query(name, None))]) for name in TABLES]
        return events, rows


@asynccontextmanager
async def make_world(store: Store | None) -> AsyncIterator[World]:
    async with running_host(store) as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL, SPOT)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user, other = await Client(host).register("ada"), await Client(host).register("eve")
        account = await user.paper_account(USDT="10000")
        world = World(host, user, other, account, "")
        receipt = await user.json("POST", "/orders", world.order(price="59000"), 201)
        await until_idle(host)
        yield World(host, user, other, account, receipt["order_id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """Shared by all tests of this module: what is refused leaves it as it was."""
    async with make_world(None) as made:
        yield made


@dataclass(frozen=True)
class Case:
    """One bad request. `changes` are for a good order; `raw` replaces it; `<order>` and `<account>` stand for ids."""

    name: str
    status: int
    code: str
    named: str  # the field that the problem must name
    changes: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    method: str = "POST"
    path: str = "/orders"
    headers: dict[str, str] = field(default_factory=dict)
    foreign: bool = False

    async def send(self, world: World) -> Response:
        client = world.other if self.foreign else world.user
        path = self.path.replace("<order>", world.order_id).replace("<account>", world.account)
        body: Any = self.raw
        if body is None and self.path == "/orders" and self.method == "POST":
            body = world.order(**self.changes)
        elif body is None and self.changes:
            body = self.changes
        elif isinstance(body, bytes):
            body = body.replace(b"<good>", orjson.dumps(world.order())[1:-1])
        return await client.call(self.method, path, body, x_correlation_id=CORRELATION, **self.headers)


def invalid(name: str, named: str, **changes: Any) -> Case:
    return Case(name, 422, "invalid_request", named, changes)


def malformed(name: str, raw: bytes) -> Case:
    return Case(name, 400, "malformed_json", "body", raw=raw)


def elsewhere(name: str, method: str, path: str, named: str, **changes: Any) -> Case:
    return Case(name, 422, "invalid_request", named, changes, method=method, path=path)


SOMEBODY = "/orders/00000000-0000-4000-8000-000000000000"

CASES = [
    malformed("no_json", b"{"),
    malformed("text_after_json", b"{<good>} {}"),
    malformed("not_utf8", b'{"side": "\xff"}'),
    malformed("nan", b'{<good>, "stop_price": NaN}'),
    malformed("infinity", b'{<good>, "stop_price": -Infinity}'),
    malformed("duplicate_key", b'{<good>, "quantity": "1"}'),
    malformed("deep_nesting", b"[" * 20_000 + b"]" * 20_000),
    malformed("deep_nesting_of_objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    malformed("null_character", b'{<good>, "strategy_id": "a\\u0000b"}'),
    malformed("null_byte", b'{<good>, "strategy_id": "a\x00b"}'),
    malformed("null_character_in_a_key", b'{<good>, "a\\u0000b": 1}'),
    malformed("half_a_surrogate", b'{<good>, "strategy_id": "\\ud800"}'),
    malformed("half_a_surrogate_as_key", b'{"\\udfff": [{"deep": ["\\ud800"]}]}'),
    malformed("integer_without_end", b'{<good>, "stop_price": ' + b"9" * 5_000 + b"}"),
    Case("no_body", 422, "invalid_request", "body", raw=b""),
    Case("array", 422, "invalid_request", "body", raw=b"[]"),
    Case("text", 422, "invalid_request", "body", raw=b'"order"'),
    Case("null", 422, "invalid_request", "body", raw=b"null"),
    Case("empty_object", 422, "invalid_request", "account_id", raw=b"{}"),
    invalid("number_as_quantity", "quantity", quantity=0.01),
    invalid("boolean_as_quantity", "quantity", quantity=True),
    invalid("object_as_quantity", "quantity", quantity={"value": "1"}),
    invalid("list_as_price", "price", price=["60000"]),
    invalid("null_quantity", "quantity", quantity=None),
    invalid("empty_quantity", "quantity", quantity=""),
    invalid("nan_text", "quantity", quantity="NaN"),
    invalid("signalling_nan_text", "price", price="sNaN"),
    invalid("infinity_text", "quantity", quantity="Infinity"),
    invalid("negative_quantity", "quantity", quantity="-0.01"),
    invalid("negative_price", "price", price="-60000"),
    invalid("zero_quantity", "quantity", quantity="0"),
    invalid("negative_zero", "quantity", quantity="-0"),
    invalid("exponent", "quantity", quantity="1e-2"),
    invalid("huge_exponent", "quantity", quantity="1e999999999"),
    invalid("tiny_exponent", "quantity", quantity="0e-999999999"),
    invalid("underscore", "quantity", quantity="1_0"),
    invalid("spaces", "quantity", quantity=" 1 "),
    invalid("plus", "quantity", quantity="+1"),
    invalid("comma", "quantity", quantity="0,01"),
    invalid("hexadecimal", "quantity", quantity="0x10"),
    invalid("other_digits", "quantity", quantity="\u0661"),
    invalid("newline_after_number", "quantity", quantity="1\n"),
    invalid("nineteen_decimals", "quantity", quantity="0.0000000000000000001"),
    invalid("nineteen_decimals_behind_many_digits", "quantity", quantity="123456789012345678.0000000000000000001"),
    invalid("too_large", "quantity", quantity="1000000000000000001"),
    invalid("endless_number", "quantity", quantity="1." + "0" * 50_000),
    Case("too_many_decimals_for_the_lot", 422, "quantity_lot", "quantity", {"quantity": "0.0101"}),
    Case("too_many_decimals_for_the_tick", 422, "price_tick", "price", {"price": "60000.01"}),
    Case("worth_too_little", 422, "minimum_notional", "quantity", {"quantity": "0.001", "price": "100"}),
    Case("far_from_the_market", 422, "price_collar", "price", {"price": "90000"}),
    Case(
        "expired",
        422,
        "expiry_in_the_future",
        "expire_at",
        {"time_in_force": "GTD", "expire_at": "2020-01-01T00:00:00Z"},
    ),
    invalid("unknown_side", "side", side="hold"),
    invalid("wrong_case", "side", side="BUY"),
    invalid("unknown_type", "order_type", order_type="iceberg"),
    invalid("unknown_time_in_force", "time_in_force", time_in_force="GTX"),
    invalid("text_as_flag", "post_only", post_only="yes"),
    invalid("number_as_flag", "reduce_only", reduce_only=1),
    invalid("unknown_field", "leverage", leverage="100"),
    invalid("field_of_the_server", "user_id", user_id=str(TENANT)),
    invalid("no_uuid", "account_id", account_id="mine"),
    invalid("instrument_without_venue", "instrument", instrument="BTC/USDT"),
    invalid("instrument_with_sql", "instrument", instrument="BINANCE:BTC/USDT'; drop table orders; --"),
    invalid("instrument_too_long", "instrument", instrument="BINANCE:" + "A" * 30 + "/USDT"),
    invalid("strategy_too_long", "strategy_id", strategy_id="s" * 65),
    invalid("strategy_with_markup", "strategy_id", strategy_id="<script>"),
    invalid("limit_without_price", "body", price=None),
    invalid("market_with_price", "body", order_type="market"),
    invalid("stop_without_trigger", "body", order_type="stop", price=None),
    invalid("expiry_without_gtd", "body", expire_at="2030-01-01T00:00:00Z"),
    invalid("expiry_without_zone", "expire_at", time_in_force="GTD", expire_at="2030-01-01T00:00:00"),
    invalid("expiry_beyond_time", "expire_at", time_in_force="GTD", expire_at="9999-12-31T23:59:59-23:00"),
    invalid("post_only_that_cannot_rest", "body", post_only=True, time_in_force="IOC"),
    Case("unknown_instrument", 422, "unknown_instrument", "instrument", {"instrument": "BINANCE:DOGE/USDT"}),
    Case("unknown_account", 404, "not_found", "", {"account_id": str(UUID(int=7))}),
    Case("foreign_account", 404, "not_found", "", foreign=True),
    Case("more_than_is_there", 422, "insufficient_buying_power", "quantity", {"quantity": "5"}),
    Case("unknown_order", 404, "not_found", "", method="GET", path=SOMEBODY),
    Case("cancel_unknown_order", 404, "not_found", "", method="DELETE", path=SOMEBODY),
    Case("modify_unknown_order", 404, "not_found", "", {"quantity": "1"}, method="PATCH", path=SOMEBODY),
    Case("foreign_order", 404, "not_found", "", method="GET", path="/orders/<order>", foreign=True),
    Case("cancel_foreign_order", 404, "not_found", "", method="DELETE", path="/orders/<order>", foreign=True),
    Case("events_of_foreign_order", 404, "not_found", "", method="GET", path="/events/<order>", foreign=True),
    Case(
        "modify_foreign_order",
        404,
        "not_found",
        "",
        {"price": "1"},
        method="PATCH",
        path="/orders/<order>",
        foreign=True,
    ),
    Case(
        "fund_foreign_account",
        404,
        "not_found",
        "",
        {"asset": "USDT", "amount": "1"},
        path="/accounts/<account>/funds",
        foreign=True,
    ),
    Case("close_foreign_account", 404, "not_found", "", method="DELETE", path="/accounts/<account>", foreign=True),
    Case(
        "limits_of_foreign_account",
        404,
        "not_found",
        "",
        {"maximum_open_orders": 1},
        path="/risk/limits/<account>",
        foreign=True,
    ),
    Case(
        "trades_of_foreign_account",
        404,
        "not_found",
        "",
        method="GET",
        path="/trades?account_id=<account>",
        foreign=True,
    ),
    elsewhere("modify_nothing", "PATCH", "/orders/<order>", "body", quantity=None),
    elsewhere("modify_to_zero", "PATCH", "/orders/<order>", "quantity", quantity="0"),
    elsewhere("order_id_that_is_none", "DELETE", "/orders/1%27%20or%201=1", "path.order_id"),
    elsewhere("limit_too_high", "GET", "/orders?limit=1001", "query.limit"),
    elsewhere("limit_negative", "GET", "/trades?limit=-1", "query.limit"),
    elsewhere("status_unknown", "GET", "/orders?status=filled,lost", "query.status"),
    elsewhere("kind_unknown", "GET", "/events/<order>?kind=secret", "query.kind"),
    elsewhere("after_beyond_integers", "GET", "/events/<order>?after=99999999999999999999", "query.after"),
    elsewhere("price_of_nonsense", "GET", "/prices?instrument=*", "query.instrument"),
    elsewhere("fund_nothing", "POST", "/accounts/<account>/funds", "amount", asset="USDT", amount="0"),
    elsewhere("fund_strange_asset", "POST", "/accounts/<account>/funds", "asset", asset="us dollar", amount="1"),
    elsewhere("live_account_without_key", "POST", "/accounts", "body", exchange="BINANCE", mode="live"),
    elsewhere("unknown_exchange", "POST", "/accounts", "exchange", exchange="MTGOX"),
    elsewhere("short_password", "POST", "/users", "password", username="bob", password="short"),
    elsewhere("long_username", "POST", "/users", "username", username="b" * 65, password=PASSWORD),
    elsewhere("telegram_beyond_integers", "PATCH", "/users/me", "telegram_id", telegram_id=2**63),
    elsewhere("negative_collar", "POST", "/risk/limits/<account>", "price_collar", price_collar="-0.1"),
    Case("null_in_query", 400, "invalid_request", "status", method="GET", path="/orders?status=a%00b"),
    Case("null_in_path", 400, "invalid_request", "order_id", method="GET", path="/orders/a%00b"),
    Case(
        "form",
        415,
        "unsupported_media_type",
        "content-type",
        headers={"content_type": "application/x-www-form-urlencoded"},
    ),
    Case("plain_text", 415, "unsupported_media_type", "content-type", headers={"content_type": "text/plain"}),
    Case("no_content_type", 415, "unsupported_media_type", "content-type", headers={"content_type": ""}),
    Case(
        "garbage_content_type", 415, "unsupported_media_type", "content-type", headers={"content_type": "\xff;;=\x7f"}
    ),
    Case("too_large_body", 413, "body_too_large", "body", raw=b'{"a": "' + b"x" * 65_536 + b'"}'),
    Case("announced_too_large", 413, "body_too_large", "body", headers={"content_length": "65537"}),
    Case("length_is_no_number", 400, "invalid_header", "content-length", headers={"content_length": "many"}),
    Case("length_negative", 400, "invalid_header", "content-length", headers={"content_length": "-1"}),
    Case("length_without_end", 400, "invalid_header", "content-length", headers={"content_length": "9" * 5_000}),
    Case("empty_key", 400, "invalid_idempotency_key", "idempotency-key", headers={"idempotency_key": ""}),
    Case("long_key", 400, "invalid_idempotency_key", "idempotency-key", headers={"idempotency_key": "k" * 129}),
    Case("unprintable_key", 400, "invalid_idempotency_key", "idempotency-key", headers={"idempotency_key": "a\x01b"}),
    Case("no_token", 401, "unauthenticated", "", headers={"authorization": ""}),
    Case("garbage_token", 401, "unauthenticated", "", headers={"authorization": "Bearer \xff.\xfe.\x00"}),
    Case("other_scheme", 401, "unauthenticated", "", headers={"authorization": "Basic YWRhOnB3"}),
    Case("three_empty_parts", 401, "unauthenticated", "", headers={"authorization": "Bearer .."}),
    Case("unknown_route", 404, "not_found", "", method="GET", path="/nothing"),
    Case("wrong_method", 405, "method_not_allowed", "", method="PUT", path="/orders/<order>"),
    Case("unknown_method", 405, "method_not_allowed", "", method="BREW", path="/orders"),
]


@pytest.mark.requirement("P8", "P15", "A5")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.asyncio(loop_scope="module")
async def test_bad_request_is_refused_with_field_and_rule_and_changes_nothing(world: World, case: Case):
    await check(world, case)


@pytest.mark.postgres
@pytest.mark.requirement("P8")
async def test_postgres_refuses_every_bad_request_alike(postgres_store: Store):
    async with make_world(postgres_store) as world:
        for case in CASES:
            await check(world, case)


async def check(world: World, case: Case) -> None:
    before = await world.everything()
    answer = await case.send(world)
    problem = orjson.loads(answer.body)
    assert (answer.status, problem["code"]) == (case.status, case.code), (case.name, problem)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-correlation-id"] == problem["correlation_id"] == CORRELATION
    assert problem["type"] == f"urn:patriot:problem:{case.code}"
    assert problem["status"] == case.status
    assert problem["title"]
    if case.named:
        assert case.named in [error["field"] for error in problem["errors"]], (case.name, problem)
        assert all(error["rule"] for error in problem["errors"])
    assert len(answer.body) < 16_384, case.name
    assert await world.everything() == before, case.name


@pytest.mark.asyncio(loop_scope="module")
async def test_body_without_length_is_cut_off_at_the_limit(world: World):
    chunks = [{"type": "http.request", "body": b"x" * 1024, "more_body": True} for _ in range(100)]
    answer = await streamed(world, chunks)
    assert answer[0]["status"] == 413
    assert len(chunks) > 30, "the rest was not read"


@pytest.mark.asyncio(loop_scope="module")
async def test_body_longer_than_its_length_is_cut_off_too(world: World):
    chunks = [{"type": "http.request", "body": b"x" * 70_000, "more_body": False}]
    assert (await streamed(world, chunks, (b"content-length", b"10")))[0]["status"] == 413


@pytest.mark.asyncio(loop_scope="module")
async def test_client_that_goes_away_in_its_body_is_no_error_of_ours(world: World):
    chunks = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    assert (await streamed(world, chunks))[0]["status"] == 400


async def streamed(world: World, chunks: list[dict[str, Any]], *headers: tuple[bytes, bytes]) -> list[Any]:
    token = f"Bearer {world.user._token}".encode()
    sent: list[Any] = []

    async def receive() -> Any:
        return chunks.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/orders",
        "raw_path": b"/api/v1/orders",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", token), (b"content-type", b"application/json"), *headers],
        "client": None,
        "server": None,
    }
    await world.host.public(scope, receive, send)
    return sent


@pytest.mark.requirement("P15")
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 10_000,
        "req_1_0000000",
        "req_1_0123abcd\r\nset-cookie: a=b",
        "\xff",
        "req_١_0123abcd".encode().decode("latin-1"),
    ],
)
async def test_invalid_correlation_id_is_replaced(world: World, given: str):
    answer = await world.user.call("GET", "/orders", x_correlation_id=given)
    assert answer.status == 200
    assert answer.headers["x-correlation-id"] != given
    assert is_correlation_id(answer.headers["x-correlation-id"])
    assert answer.headers["x-trace-id"] == answer.headers["x-correlation-id"]


# Idempotency


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Store | None:
    return request.getfixturevalue("postgres_store") if request.param == "postgres" else None


@pytest.fixture
async def fresh(store: Store | None) -> AsyncIterator[World]:
    """A world of its own for each test that changes it."""
    async with make_world(store) as made:
        yield made


async def created(world: World) -> int:
    return sum(1 for event in await events(world) if event.type == "order.created")


async def events(world: World) -> list[Any]:
    return [event async for event in world.host.runtime.store.read()]


@pytest.mark.requirement("P8", "A5")
async def test_same_key_and_body_replays_the_answer(fresh: World):
    first = await fresh.user.call("POST", "/orders", fresh.order(), idempotency_key="k1")
    again = await fresh.user.call("POST", "/orders", fresh.order(), idempotency_key="k1")
    assert (first.status, again.status) == (201, 201)
    assert orjson.loads(again.body) == orjson.loads(first.body)
    assert again.headers["idempotent-replay"] == "true"
    assert "idempotent-replay" not in first.headers
    assert await created(fresh) == 2


@pytest.mark.requirement("P8", "A5")
async def test_same_key_with_another_body_is_refused(fresh: World):
    await fresh.user.json("POST", "/orders", fresh.order(), 201, idempotency_key="k1")
    problem = await fresh.user.json("POST", "/orders", fresh.order(quantity="0.02"), 422, idempotency_key="k1")
    assert problem["code"] == "idempotency_key_reused"
    assert await created(fresh) == 2


@pytest.mark.requirement("P8", "A5")
async def test_same_key_with_another_query_is_refused(fresh: World):
    await fresh.user.json("DELETE", "/risk/halts/user?reason=one", None, 200, idempotency_key="k1")
    problem = await fresh.user.json("DELETE", "/risk/halts/user?reason=two", None, 422, idempotency_key="k1")
    assert problem["code"] == "idempotency_key_reused"


@pytest.mark.requirement("P8", "A5")
async def test_concurrent_requests_with_one_key_make_one_order(fresh: World):
    calls = [fresh.user.call("POST", "/orders", fresh.order(), idempotency_key="k1") for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {201}
    assert len({orjson.loads(answer.body)["order_id"] for answer in answers}) == 1
    assert await created(fresh) == 2


@pytest.mark.requirement("P8", "A5")
async def test_rejection_replays_although_it_would_be_accepted_now(fresh: World):
    large = fresh.order(quantity="5")
    refused = await fresh.user.call("POST", "/orders", large, idempotency_key="k1")
    await fresh.user.json("POST", f"/accounts/{fresh.account}/funds", {"asset": "USDT", "amount": "1000000"}, 201)
    again = await fresh.user.call("POST", "/orders", large, idempotency_key="k1")
    assert (refused.status, again.status) == (422, 422)
    assert again.body == refused.body
    assert again.headers["content-type"] == "application/problem+json"
    assert (await fresh.user.call("POST", "/orders", large, idempotency_key="k2")).status == 201


@pytest.mark.requirement("P8", "A5")
async def test_success_replays_although_it_would_be_refused_now(fresh: World):
    receipt = await fresh.user.json("POST", "/orders", fresh.order(), 201, idempotency_key="k1")
    await fresh.user.json("DELETE", f"/accounts/{fresh.account}", status=200)
    assert (await fresh.user.call("POST", "/orders", fresh.order())).status == 409
    assert await fresh.user.json("POST", "/orders", fresh.order(), 201, idempotency_key="k1") == receipt


async def test_keys_of_two_users_and_two_routes_do_not_meet(fresh: World):
    account = await fresh.other.paper_account(USDT="10000")
    mine = await fresh.user.json("POST", "/orders", fresh.order(), 201, idempotency_key="k1")
    theirs = await fresh.other.json("POST", "/orders", fresh.order(account_id=account), 201, idempotency_key="k1")
    linked = await fresh.user.json("POST", "/accounts", {"exchange": "BYBIT"}, 201, idempotency_key="k1")
    assert mine["order_id"] != theirs["order_id"]
    assert linked["exchange"] == "BYBIT"


@pytest.mark.requirement("P8", "A5")
async def test_funding_twice_under_one_key_funds_once(fresh: World):
    path, body = f"/accounts/{fresh.account}/funds", {"asset": "BTC", "amount": "1"}
    for _ in range(3):
        await fresh.user.json("POST", path, body, 201, idempotency_key="fund")
    balances = (await fresh.user.json("GET", "/portfolio"))["balances"]
    assert [row["total"] for row in balances if row["asset"] == "BTC"] == ["1"]


@pytest.mark.requirement("P8")
async def test_cancel_under_one_key_answers_alike(fresh: World):
    path = f"/orders/{fresh.order_id}"
    first = await fresh.user.json("DELETE", path, idempotency_key="c1")
    await until_idle(fresh.host)
    assert await fresh.user.json("DELETE", path, idempotency_key="c1") == first
    shown = await fresh.user.json("GET", path)
    assert shown["status"] == "cancelled"
