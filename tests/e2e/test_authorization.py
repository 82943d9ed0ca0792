"""Every endpoint against everybody who must not use it. Whoever is refused learns nothing and changes nothing."""

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import jwt
import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from patriot.runtime import asgi, discovery
from patriot.runtime.context import SIGNED_IN
from patriot.runtime.embedded import Host
from patriot.runtime.function import PUBLIC_PREFIX
from patriot.runtime.ports import Response
from patriot.runtime.secured import SecuredRoute
from patriot.security.roles import ROLE_PERMISSIONS, Identity, Role
from patriot.security.tokens import UserTokens
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_TENANT = UUID(int=99)
RANDOM_REQUESTS = 2_000
ROUTES = [
    (method, route)
    for part in [*discovery.functions(), *discovery.feeds()]
    for route in part.router.routes
    if isinstance(route, SecuredRoute)
    for method in route.methods or ()
]
FEEDS = ("relay", "account-data", "trading-engine", "market-data")
SECURED = [(method, route) for method, route in ROUTES if route.needs is not None]

LIMITED = [(method, route) for method, route in SECURED if route.needs != SIGNED_IN]
MANAGING = [(method, route) for method, route in LIMITED if route.needs not in ROLE_PERMISSIONS[Role.USER]]
FOREIGNERS = [
    *((method, route, "same_user_of_another_tenant") for method, route in SECURED),
    *((method, route, "another_user") for method, route in SECURED if (method, route) not in MANAGING),
]

every_secured_route = pytest.mark.parametrize(
    ("method", "route"), SECURED, ids=[f"{method} {route.path}" for method, route in SECURED]
)
every_limited_route = pytest.mark.parametrize(
    ("method", "route"), LIMITED, ids=[f"{method} {route.path}" for method, route in LIMITED]
)


@dataclass(frozen=True)
class World:
    """Ada has an account, a position-to-be and an order; eve is another user of the same tenant."""

    host: Host
    ada: Identity
    eve: Identity
    account: str
    order: str
    secrets: frozenset[str]  # what only ada may read

    def path(self, route: SecuredRoute) -> str:
        return path_of(route, self.account, self.order)

    def body(self, route: SecuredRoute) -> bytes:
        """A good body: what is refused is refused for who asks, not for what is asked."""
        return orjson.dumps(BODIES.get(route.path, {})).replace(b"<account>", self.account.encode())

    async def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        sent = {"content-type": "application/json", **headers}
        return await asgi.request(self.host.public, method, path, sent, body)

    def token(self, identity: Identity, age: timedelta = timedelta(0)) -> dict[str, str]:
        tokens = self.host.runtime.access._users
        return bearer(tokens.issue(identity, self.host.runtime.clock.now() - age))

    async def events(self) -> list[str]:
        return [event.id async for event in self.host.runtime.store.read()]


def path_of(route: SecuredRoute, account: object, other: object) -> str:
    names = (
        "order_id",
        "aggregate_id",
        "list_id",
        "user_id",
        "transfer_id",
        "strategy_id",
        "algorithm_id",
        "instrument",
    )
    ids = dict.fromkeys(names, other)
    scope = account if route.needs == "accounts:manage" else f"account:{account}"
    ids["correlation_id"] = "req_1_00000000"
    return PUBLIC_PREFIX + route.path_format.format(account_id=account, scope=scope, **ids)


def role_for(route: SecuredRoute) -> Role:
    """One that may use it."""
    return next(role for role, held in ROLE_PERMISSIONS.items() if route.needs in {SIGNED_IN, *held})


BODIES: dict[str, Any] = {
    "/orders": {
        "account_id": "<account>",
        "instrument": PERPETUAL.id,
        "side": "buy",
        "order_type": "limit",
        "quantity": "0.01",
        "price": "60000",
    },
    "/orders/{order_id}": {"quantity": "0.02"},
    "/accounts": {"exchange": "BINANCE"},
    "/accounts/{account_id}/funds": {"asset": "USDT", "amount": "1"},
    "/accounts/{account_id}/credentials": {"api_key": "k" * 16, "api_secret": "s" * 16},
    "/risk/limits/{scope}": {"maximum_open_orders": 1},
    "/risk/tenant-limits/{scope}": {"maximum_open_orders": 1},
    "/risk/platform-limits": {"maximum_open_orders": 1},
    "/risk/halts/{scope}": {"reason": "test"},
    "/risk/tenant-halts/{scope}": {"reason": "test"},
    "/risk/platform-halt": {"reason": "test"},
    "/users/me": {"base_currency": "EUR"},
    "/transfers/{transfer_id}/rejection": {"reason": "test"},
    "/orders/{order_id}/busts": {"trade_id": "42", "reason": "test"},
    "/strategies/{strategy_id}/assignments": {"account_id": "<account>"},
    "/tenant-strategies/{strategy_id}/assignments": {"account_id": "<account>"},
    "/algorithms": {
        "account_id": "<account>",
        "algorithm": "twap",
        "instrument": PERPETUAL.id,
        "side": "buy",
        "quantity": "0.01",
    },
    "/order-lists": {
        "kind": "oco",
        "orders": [
            {
                "account_id": "<account>",
                "instrument": PERPETUAL.id,
                "side": "buy",
                "order_type": "limit",
                "quantity": "0.01",
                "price": price,
            }
            for price in ("59000", "58000")
        ],
    },
    "/orders/cancel": {"account_id": "<account>"},
    "/positions/close": {"account_id": "<account>"},
    "/strategies/{strategy_id}/parameters": {"parameters": {}},
    "/accounts/{account_id}/leverage": {"instrument": PERPETUAL.id, "leverage": 2},
    "/auth/password": {"old_password": "not the right one", "new_password": "correct horse battery"},
    "/auth/password/reset": {
        "username": "ada",
        "one_time_password": "not the right one",
        "new_password": "correct horse battery",
    },
    "/tenant-users": {"username": "mallory", "password": "correct horse battery", "role": "admin"},
    "/tenant-users/{user_id}": {"role": "admin"},
    "/settings": {"name": "log_level", "value": "debug", "reason": "test"},
}
BODIES["/risk/checks"] = BODIES["/orders"]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_host(feeds=FEEDS) as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        ada = await Client(host).register("ada")
        await Client(host).register("eve")
        account = await ada.paper_account(USDT="10000")
        order = {**BODIES["/orders"], "account_id": account}
        receipt = await ada.json("POST", "/orders", order, 201)
        await until_idle(host)
        identities = [identity(name) for name in ("ada", "eve")]
        secrets = frozenset({account, receipt["order_id"], str(identities[0].user_id)})
        yield World(host, *identities, account, receipt["order_id"], secrets)


def identity(name: str, tenant: UUID = TENANT, role: Role = Role.USER) -> Identity:
    return Identity.of(uuid5(TENANT, "user:" + name), tenant, role, "test-" + name)


@every_secured_route
@pytest.mark.requirement("P14")
async def test_owner_is_let_in(world: World, method: str, route: SecuredRoute):
    """Else the refusals below would prove nothing. Unknown ids, so that the world stays as it is."""
    path = path_of(route, UUID(int=5), UUID(int=5))
    answer = await world.ask(method, path, b"{}", world.token(identity("ada", role=role_for(route))))
    assert answer.status in {200, 404, 422}


def refused_tokens(world: World) -> Iterator[tuple[str, int, dict[str, str]]]:
    """(who, status, headers)"""
    now, access = world.host.runtime.clock.now(), world.host.runtime.access
    keys = access._users._keys
    good = world.token(world.ada)["authorization"].removeprefix("Bearer ")
    head, claims, signature = good.split(".")
    payload = jwt.decode(good, options={"verify_signature": False})
    kid = {"kid": keys.current}
    stranger = ec.generate_private_key(ec.SECP256R1())
    public = keys.public[keys.current].public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    other_audience = UserTokens(keys, issuer="patriot", audience="another-api")
    other_issuer = UserTokens(keys, issuer="somebody", audience="patriot-api")
    yield "anonymous", 401, {}
    yield "expired", 401, world.token(world.ada, timedelta(hours=2))
    yield "from the future", 401, world.token(world.ada, -timedelta(hours=2))
    yield "for another audience", 401, bearer(other_audience.issue(world.ada, now))
    yield "of another issuer", 401, bearer(other_issuer.issue(world.ada, now))
    yield "alg none", 401, bearer(jwt.encode(payload, "", algorithm="none", headers=kid))
    yield "alg none, signed", 401, bearer(f"{_part({'alg': 'none', 'typ': 'JWT', **kid})}.{claims}.{signature}")
    yield "signed by a stranger", 401, bearer(jwt.encode(payload, stranger, algorithm="ES256", headers=kid))
    yield "public key as secret", 401, bearer(_hmac(payload, public, kid))
    yield "without signature", 401, bearer(f"{head}.{claims}.")
    yield "changed claims", 401, bearer(f"{head}.{_part({**payload, 'role': 'admin'})}.{signature}")
    yield "lives too long", 401, bearer(_sign(keys, {**payload, "exp": payload["exp"] + 86_400}))
    yield "without expiry", 401, bearer(_sign(keys, {name: payload[name] for name in payload if name != "exp"}))
    yield "unknown role", 401, bearer(_sign(keys, {**payload, "role": "root"}))
    yield (
        "service token",
        401,
        access.service_headers("order-commands", "gateway" if "gateway" in access._services else "auth", world.ada),
    )
    yield "service token as bearer", 401, bearer(access.service_headers("broker", "auth")["X-Service-Token"])


def _part(content: Any) -> str:
    return jwt.utils.base64url_encode(orjson.dumps(content)).decode()


def _hmac(payload: Any, key: bytes, headers: dict[str, str]) -> str:
    """What PyJWT refuses to sign: HS256 with a public key."""
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', **headers})}.{_part(payload)}"
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return signed + "." + jwt.utils.base64url_encode(algorithm.sign(signed.encode(), key)).decode()


def _sign(keys: Any, payload: Any) -> str:
    return jwt.encode(payload, keys.private, algorithm="ES256", headers={"kid": keys.current})


@every_secured_route
@pytest.mark.requirement("P14", "A4")
async def test_nobody_gets_in_with_a_bad_token(world: World, method: str, route: SecuredRoute):
    before = await world.events()
    for who, status, headers in refused_tokens(world):
        answer = await world.ask(method, world.path(route), world.body(route), headers)
        assert answer.status == status, (who, answer.body)
        assert orjson.loads(answer.body)["code"] == "unauthenticated"
    assert await world.events() == before


@every_limited_route
@pytest.mark.requirement("P14")
async def test_role_without_the_permission_is_refused(world: World, method: str, route: SecuredRoute):
    before, tried = await world.events(), 0
    for role, permissions in ROLE_PERMISSIONS.items():
        if route.needs in permissions:
            continue
        tried += 1
        headers = world.token(identity("ada", role=role))
        answer = await world.ask(method, world.path(route), world.body(route), headers)
        problem = orjson.loads(answer.body)
        assert (answer.status, problem["code"]) == (403, "forbidden"), (role, problem)
    assert tried >= 1
    assert await world.events() == before


@pytest.mark.requirement("P14", "A4")
@pytest.mark.parametrize(
    ("method", "route", "foreigner"),
    FOREIGNERS,
    ids=[f"{who} {method} {route.path}" for method, route, who in FOREIGNERS],
)
async def test_foreigner_sees_and_moves_nothing(world: World, method: str, route: SecuredRoute, foreigner: str):
    role = role_for(route)
    who = world.eve if foreigner == "another_user" else identity("ada", OTHER_TENANT, role)
    mine = await streams(world)
    answer = await world.ask(method, world.path(route), world.body(route), world.token(who))
    names_an_id = "{" in route.path or route.path == "/risk/checks" or (method, route.path) == ("POST", "/orders")
    if route.path.startswith(("/risk/platform", "/settings")):
        assert answer.status == 403
    elif names_an_id:
        assert answer.status == 404 or orjson.loads(answer.body) == {"events": []}, answer.body
    assert not leaked(world, answer, who)
    assert await streams(world) == mine


@pytest.mark.requirement("P1", "P14")
@pytest.mark.parametrize(("method", "route"), MANAGING, ids=[f"{method} {route.path}" for method, route in MANAGING])
async def test_who_manages_a_tenant_may_act_on_all_of_its_users(world: World, method: str, route: SecuredRoute):
    """In a world of its own ids: what a manager asks for is looked at, and refused only for what it is."""
    manager = identity("olga", role=role_for(route))
    answer = await world.ask(method, path_of(route, UUID(int=5), world.ada.user_id), b"{}", world.token(manager))
    assert answer.status not in {401, 403}, answer.body


async def streams(world: World) -> list[str]:
    """The events of ada's streams."""
    events = [event async for event in world.host.runtime.store.read()]
    return [
        event.id
        for event in events
        if any(secret.encode() in event.data for secret in world.secrets) and event.stream.tenant_id == TENANT
    ]


def leaked(world: World, answer: Response, who: Identity) -> set[str]:
    """What a good answer tells of ada's. (A refusal repeats the id that was asked for.)"""
    if answer.status >= 400:
        return set()
    own = {str(who.user_id)}
    return {secret for secret in world.secrets - own if secret.encode() in answer.body}


@pytest.mark.slow
@pytest.mark.requirement("P14", "A4")
async def test_random_requests_of_foreigners_find_no_foreign_row(world: World):
    generator = random.Random(20240808)
    before = await streams(world)
    headers = [world.token(world.eve), world.token(identity("ada", OTHER_TENANT)), {}]
    answered = 0
    for _ in range(RANDOM_REQUESTS):
        method, route = generator.choice(ROUTES)
        if route.path in {"/users", "/auth/token", "/auth/password", "/auth/password/reset", "/auth/logout"}:
            continue  # passwords are slow by design, and who has logged out is refused everything
        ids = sorted(world.secrets)
        path = path_of(route, generator.choice(ids), generator.choice(ids))
        query = generator.choice(
            ["", f"?account_id={world.account}", "?kind=account", "?kind=user", "?kind=position", "?limit=1000"]
        )
        who = generator.choice(headers)
        answer = await world.ask(method, path + query, world.body(route), who)
        assert answer.status < 500
        answered += answer.status < 300
        other_tenant = who is headers[1]
        found = leaked(world, answer, identity("ada", OTHER_TENANT) if other_tenant else world.eve)
        assert not found, (method, path, query, answer.body)
    assert answered > 100, "the requests must not all be nonsense"
    assert await streams(world) == before


@pytest.mark.requirement("P14")
async def test_internal_routes_are_out_of_reach(world: World):
    internal = [
        (method, route.path_format)
        for part in [*discovery.functions(), *discovery.feeds()]
        for route in part.internal.routes
        if isinstance(route, SecuredRoute)
        for method in route.methods or ()
    ]
    events = [entry.path for part in discovery.functions() for entry in part.subscriptions]
    others = [
        ("GET", "/dapr/subscribe"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        *(("POST", path) for path in events),
    ]
    admin = world.token(identity("root", role=Role.ADMIN))
    service = world.host.runtime.access.service_headers("broker", "order-execution", world.ada)
    for method, path in (*internal, *others):
        asked = path.format(order_id=world.order, account_id=world.account, transfer_id=world.order)
        for prefix in ("", PUBLIC_PREFIX):
            for headers in ({}, admin, service):
                answer = await world.ask(method, prefix + asked, b"{}", headers)
                assert answer.status == 404, (method, prefix + asked)
    assert internal


async def test_docs_name_only_what_is_public(world: World):
    served = orjson.loads((await world.ask("GET", "/openapi.json", b"", {})).body)
    assert all(path.startswith(PUBLIC_PREFIX) for path in served["paths"])
