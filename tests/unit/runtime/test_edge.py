"""The outermost layer: who calls, under which correlation id, how much may come in."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patriot.runtime import asgi
from patriot.runtime.context import RequestContext
from patriot.runtime.edge import Edge, system_context, user_context
from patriot.runtime.embedded import Host
from patriot.store.api import PUBLIC_TENANT
from patriot.telemetry.correlation import current_correlation_id, is_correlation_id
from patriot.telemetry.metrics import metrics
from tests.support.host import TENANT, running_host

ID = "req_1700000000000_0123abcd"


class Inside:
    """An app that remembers what it was given."""

    def __init__(self) -> None:
        self.contexts: list[RequestContext] = []
        self.bodies: list[bytes] = []
        self.ids: list[str] = []
        self.active: list[int] = []
        self.edge: Edge | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.contexts.append(scope["patriot"])
        self.ids.append(current_correlation_id())
        assert self.edge is not None
        self.active.append(self.edge.active)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host(body_bytes_max=100) as running:
        yield running


def wrapped(host: Host, service: str = "gateway") -> tuple[Inside, Edge]:
    inside = Inside()
    inside.edge = Edge(inside, host.runtime, service)
    return inside, inside.edge


@pytest.mark.requirement("P15")
async def test_given_correlation_id_is_kept_everywhere(host: Host):
    inside, edge = wrapped(host)
    answer = await asgi.request(edge, "GET", "/", {"X-Correlation-ID": ID})
    assert answer.headers["x-correlation-id"] == answer.headers["x-trace-id"] == ID
    assert inside.contexts[0].origin.correlation_id == ID
    assert inside.ids == [ID]
    assert answer.headers["x-own"] == "1"
    assert current_correlation_id() == ""


@pytest.mark.requirement("P15")
async def test_missing_correlation_id_is_made_and_counted(host: Host):
    inside, edge = wrapped(host)
    before = counted()
    answers = [await asgi.request(edge, "GET", "/") for _ in range(3)]
    made = {answer.headers["x-correlation-id"] for answer in answers}
    assert len(made) == 3
    assert all(is_correlation_id(one) for one in made)
    assert [context.origin.correlation_id for context in inside.contexts] == [
        answer.headers["x-correlation-id"] for answer in answers
    ]
    assert counted() == before + 3


def counted() -> float:
    name = "http_requests_without_correlation_id_total"
    return metrics.registry.get_sample_value(name, {"service": "gateway"}) or 0


async def test_refusals_carry_the_correlation_id_too(host: Host):
    _, edge = wrapped(host)
    for headers in ({"authorization": "Bearer x"}, {"content-length": "101"}, {"content-length": "x"}):
        answer = await asgi.request(edge, "POST", "/", {**headers, "X-Correlation-ID": ID})
        assert answer.headers["x-correlation-id"] == orjson.loads(answer.body)["correlation_id"] == ID
        assert answer.headers["content-type"] == "application/problem+json"


async def test_caller_without_a_token_is_anonymous(host: Host):
    inside, edge = wrapped(host)
    await asgi.request(edge, "GET", "/")
    context = inside.contexts[0]
    assert (context.identity, context.caller) == (None, "")
    assert (context.tenant_id, context.origin.actor) == (PUBLIC_TENANT, "anonymous")


async def test_user_and_part_are_told_apart(host: Host):
    access = host.runtime.access
    token, _ = access.issue(TENANT, TENANT, "user", "t1")
    user = user_context(host.runtime, "strategies", TENANT, TENANT)
    cases = [
        ({"authorization": f"Bearer {token}"}, "", f"user:{TENANT}", TENANT),
        (access.service_headers("order-commands", "auth"), "order-commands", "service:order-commands", PUBLIC_TENANT),
        (access.service_headers("order-commands", "auth", user.identity), "order-commands", f"user:{TENANT}", TENANT),
    ]
    inside, edge = wrapped(host, "auth")
    for headers, caller, actor, tenant in cases:
        await asgi.request(edge, "GET", "/", headers)
        context = inside.contexts[-1]
        assert (context.caller, context.origin.actor, context.tenant_id) == (caller, actor, tenant)


@pytest.mark.requirement("P14")
async def test_service_token_means_nothing_at_the_public_edge(host: Host):
    inside, edge = wrapped(host)
    await asgi.request(edge, "GET", "/", host.runtime.access.service_headers("order-commands", "auth"))
    assert inside.contexts[0].caller == ""


@pytest.mark.parametrize(("size", "status"), [(0, 200), (100, 200), (101, 413), (10_000, 413)])
async def test_body_is_limited(host: Host, size: int, status: int):
    inside, edge = wrapped(host)
    answer = await asgi.request(edge, "POST", "/", {}, b"x" * size)
    assert answer.status == status
    assert inside.bodies == ([b"x" * size] if status == 200 else [])


@pytest.mark.requirement("A5")
def test_no_header_breaks_the_edge():
    names = st.sampled_from(["authorization", "x-service-token", "x-correlation-id", "content-length", "content-type"])
    texts = st.text(st.characters(max_codepoint=255), max_size=50) | st.sampled_from(["Bearer ", "Bearer a.b.c"])

    with asyncio.Runner() as runner:

        async def make() -> Edge:
            async with running_host() as host:
                return wrapped(host, "auth")[1]

        edge = runner.run(make())

        @settings(deadline=None)
        @given(st.dictionaries(names, texts))
        def try_headers(headers: dict[str, str]) -> None:
            assert runner.run(asgi.request(edge, "POST", "/", headers)).status in {200, 400, 401, 413}

        try_headers()


async def test_requests_in_progress_are_counted(host: Host):
    inside, edge = wrapped(host)
    await asyncio.gather(*(asgi.request(edge, "GET", "/") for _ in range(3)))
    assert max(inside.active) >= 1
    assert edge.active == 0


async def test_failing_app_is_counted_and_no_longer_active(host: Host):
    async def broken(*_: Any) -> None:
        raise LookupError("inside")

    edge = Edge(broken, host.runtime, "gateway")
    with pytest.raises(LookupError):
        await asgi.request(edge, "GET", "/")
    assert edge.active == 0


async def test_other_protocols_pass_through(host: Host):
    seen: list[str] = []

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope["type"])

    await Edge(app, host.runtime, "gateway")({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


async def test_contexts_of_feeds_have_an_id_and_an_actor(host: Host):
    context = system_context(host.runtime, "relay")
    assert is_correlation_id(context.origin.correlation_id)
    assert (context.origin.actor, context.tenant_id) == ("service:relay", PUBLIC_TENANT)
