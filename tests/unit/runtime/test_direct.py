"""The short way to a route answers exactly as FastAPI would, whatever is sent."""

import asyncio
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from patriot.runtime import asgi
from patriot.runtime.direct import plain_handler
from patriot.runtime.edge import Edge
from patriot.runtime.function import PUBLIC_PREFIX, Context, Function
from patriot.runtime.secured import SecuredRoute
from schemas.commands import FundAccount
from schemas.queries import RuleView
from tests.support.host import running_host

part = Function("twins")


@part.post("/plain", needs=None, status_code=201)
async def plain(command: FundAccount, context: Context) -> RuleView:
    """Taken the short way."""
    return RuleView(code=context.service, text=f"{command.amount} {command.asset}")


@part.post("/usual", needs=None, status_code=201)
async def usual(command: FundAccount, context: Context, unused: int = 0) -> RuleView:
    """The same, but its query parameter sends it through FastAPI."""
    return await plain(command, context)


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just({}) | st.just([])
fields = st.dictionaries(st.sampled_from(["asset", "amount", "other"]), values | st.sampled_from(["USDT", "1.5", "-1"]))
bodies = st.one_of(
    st.binary(max_size=50),
    st.sampled_from([b"", b" ", b"null", b"[]", b"0", b'""']),
    fields.map(lambda body: repr(body).replace("'", '"').encode("utf-8", "replace")),
    st.fixed_dictionaries({"asset": st.just("USDT"), "amount": st.sampled_from(["1", "1.50", "0", "x"])}).map(
        orjson.dumps
    ),
)
types = st.sampled_from(["application/json", "application/json; charset=utf-8", "text/plain", ""])


def test_only_the_plain_route_takes_the_short_way():
    routes = {route.path: route for route in part.router.routes if isinstance(route, SecuredRoute)}
    assert plain_handler(routes["/plain"]) is not None
    assert plain_handler(routes["/usual"]) is None


def test_both_ways_answer_alike():
    with asyncio.Runner() as runner:

        async def make() -> Edge:
            async with running_host() as host:
                return Edge(part.served, host.runtime, "auth")

        edge = runner.run(make())

        async def ask(path: str, body: bytes, content_type: str) -> tuple[int, str, Any]:
            headers = {"content-type": content_type, "x-correlation-id": "req_1_0123abcd"}
            answer = await asgi.request(edge, "POST", PUBLIC_PREFIX + path, headers, body)
            return answer.status, answer.headers["content-type"], orjson.loads(answer.body)

        @settings(deadline=None, max_examples=300)
        @given(bodies, types)
        def compare(body: bytes, content_type: str) -> None:
            assert runner.run(ask("/plain", body, content_type)) == runner.run(ask("/usual", body, content_type))

        compare()
        assert runner.run(ask("/plain", b'{"asset":"USDT","amount":"1.50"}', "application/json"))[0] == 201
