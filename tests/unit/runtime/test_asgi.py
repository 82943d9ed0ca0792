"""A request in the process is a request: decoded path, raw query, length, whole body, disconnect afterwards."""

from typing import Any

import pytest

from patriot.runtime import asgi


async def test_app_sees_an_ordinary_request():
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        seen["body"] = await receive()
        seen["after"] = await receive()
        await send({"type": "http.response.start", "status": 202, "headers": [(b"x-a", b"\xe4")]})
        await send({"type": "http.response.body", "body": b"one, ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    answer = await asgi.request(app, "POST", "/a%20b%00?x=%2F", {"X-Name": "\xe4"}, b"body")
    assert (answer.status, answer.headers, answer.body) == (202, {"x-a": "\xe4"}, b"one, two")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/a b\0", b"/a%20b%00", b"x=%2F")
    assert (b"x-name", b"\xe4") in seen["headers"]
    assert (b"content-length", b"4") in seen["headers"]
    assert seen["body"] == {"type": "http.request", "body": b"body", "more_body": False}
    assert seen["after"] == {"type": "http.disconnect"}


async def test_given_length_is_sent_as_it_is():
    async def app(scope: Any, _: Any, send: Any) -> None:
        assert [value for name, value in scope["headers"] if name == b"content-length"] == [b"99"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert (await asgi.request(app, "GET", "/", {"content-length": "99"})).status == 200


async def test_what_the_app_raises_comes_out():
    async def app(*_: Any) -> None:
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        await asgi.request(app, "GET", "/")


async def test_silent_app_counts_as_a_failure():
    async def app(*_: Any) -> None:
        pass

    assert (await asgi.request(app, "GET", "/")).status == 500
