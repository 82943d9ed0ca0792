"""The public API is what its OpenAPI says: Schemathesis asks every route, answers must conform; nothing ends in 5xx."""

import asyncio
import copy
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from patriot.runtime import asgi, discovery
from patriot.runtime.context import SIGNED_IN
from patriot.runtime.embedded import Parts, public_app
from patriot.runtime.function import PUBLIC_PREFIX
from patriot.runtime.secured import SecuredRoute
from tests.support.host import PERPETUAL, SPOT, Client, define, running_host, set_price
from tests.support.venues import RestingVenue

PARTS = Parts(discovery.functions(), discovery.feeds())
DOCUMENT = public_app(PARTS).openapi()
ROUTES = [route for part in PARTS.all for route in part.router.routes if isinstance(route, SecuredRoute)]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

api = schemathesis.openapi.from_dict(DOCUMENT).exclude(path=f"{PUBLIC_PREFIX}/auth/logout")  # it ends the world's token


@dataclass(frozen=True)
class World:
    """A platform on a loop of its own, for tests that are not async, with one user who has a resting order."""

    runner: asyncio.Runner
    host: Any
    token: str

    def ask(self, request: requests.PreparedRequest) -> httpx.Response:
        """Send what Schemathesis has made up to the public edge, in process."""
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        headers = {
            name: value if isinstance(value, str) else value.decode("latin-1")
            for name, value in request.headers.items()
        }
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        call = asgi.request(self.host.public, request.method or "", request.path_url, headers, body)
        answer = self.runner.run(call)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        sent = httpx.Request(request.method or "", request.url or "", headers=raw, content=body)
        made = httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=sent)
        made.elapsed = timedelta(0)
        return made


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setattr(discovery, "feeds", lambda: [without_tasks(feed) for feed in PARTS.feeds])
        stack = AsyncExitStack()
        try:
            yield runner.run(make_world(runner, stack))
        finally:
            runner.run(stack.aclose())


def without_tasks(feed: Any) -> Any:
    """The feed's routes only: its tasks would open connections."""
    quiet = copy.copy(feed)
    quiet.tasks = []
    return quiet


async def make_world(runner: asyncio.Runner, stack: AsyncExitStack) -> World:
    host = await stack.enter_async_context(running_host(feeds=[feed.name for feed in PARTS.feeds]))
    host.runtime.venues["paper"] = RestingVenue()
    await define(host.runtime.store, PERPETUAL, SPOT)
    await set_price(host, PERPETUAL.id, "60000", "60000.1")
    user = await Client(host).register("ada")
    await user.paper_account(USDT="10000")
    return World(runner, host, user._token)


@pytest.mark.slow
@pytest.mark.requirement("A5", "P1")
@api.parametrize()
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_route_answers_as_documented(world: World, case: Any):
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {world.token}"}
    fields = case.as_transport_kwargs(base_url="http://patriot")
    fields.pop("timeout", None)
    request = requests.Request(**{name: value for name, value in fields.items() if name in REQUEST_FIELDS}).prepare()
    answer = world.ask(request)
    case.validate_response(answer, checks=CHECKS)


REQUEST_FIELDS = {"method", "url", "headers", "files", "data", "params", "json", "cookies"}


# The document itself


def operations() -> Iterator[tuple[SecuredRoute, dict[str, Any]]]:
    for route in ROUTES:
        (method,) = route.methods
        yield route, DOCUMENT["paths"][PUBLIC_PREFIX + route.path_format][method.lower()]


def test_every_public_route_is_in_the_document():
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == {
        (PUBLIC_PREFIX + route.path_format, method.lower()) for route in ROUTES for method in route.methods
    }


@pytest.mark.requirement("A5")
def test_every_operation_documents_its_problems_and_its_token():
    for route, operation in operations():
        answers = operation["responses"]
        assert str(route.status_code or 200) in answers
        assert {"400", "401", "422", "503"} <= set(answers)
        assert ("security" in operation) == (route.needs is not None)
        assert ("403" in answers) == (route.needs not in {None, SIGNED_IN})
        headers = [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"]
        assert ("Idempotency-Key" in headers) == route.idempotent


def test_every_reference_in_the_document_leads_somewhere():
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert isinstance(found, dict)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_money_in_the_document_is_text():
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["CreateOrder"]["properties"]["quantity"]["type"] == "string"
    assert "HTTPValidationError" not in schemas


async def test_document_is_served_and_shown():
    async with running_host() as host:
        shown = await asgi.request(host.public, "GET", "/docs")
        served = await asgi.request(host.public, "GET", "/openapi.json")
    assert (shown.status, served.status) == (200, 200)
    assert b"patriot" in shown.body
    assert b"urn:ietf" not in served.body
