import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from feeds.venue.wire import socket as socket_module
from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.server import BODY_MAX, FRAME_MAX, serving
from feeds.venue.wire.socket import Socket


class Echo:
    def __init__(self, *prefixes: str, hosts: tuple[str, ...] = ()) -> None:
        self.prefixes = prefixes
        self.hosts = hosts
        self.sockets: list[Socket] = []

    async def http(self, request: Request) -> Response:
        if request.path.endswith("bug"):
            raise RuntimeError("planted")
        shown = [self.prefixes[0], request.method, request.path, request.query, request.body.decode()]
        return Response(201, json.dumps(shown).encode(), {"X-Weight": "1"})

    async def websocket(self, socket: Socket) -> None:
        self.sockets.append(socket)
        async for message in socket:
            if message == "bug":
                raise RuntimeError("planted")
            if message == "bye":
                return
            socket.send(f"{self.prefixes[0]} {message!r}")


async def test_http_dispatches_by_longest_prefix_and_host():
    mounts = [Echo("/a/"), Echo("/a/b/", hosts=("api.example.com",))]
    async with serving(mounts) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.post("/a/x?q=%20", content=b"body")
        assert (answer.status_code, answer.json()) == (201, ["/a/", "POST", "/a/x", "q=%20", "body"])
        assert answer.headers["x-weight"] == "1"
        assert (await client.get("/a/b/x")).json()[0] == "/a/b/"
        assert (await client.get("/a/x", headers={"host": "api.example.com:443"})).json()[0] == "/a/b/"
        assert (await client.get("/none")).status_code == 404


async def test_http_survives_oversized_bodies_and_bugs():
    async with serving([Echo("/a/")]) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.post("/a/x", content=b"x" * (BODY_MAX + 1))).status_code == 413
        assert (await client.get("/a/bug")).status_code == 500
        assert (await client.get("/a/x")).status_code == 201


async def test_garbage_instead_of_http_is_refused():
    async with serving([Echo("/a/")]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00\xff\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()


async def test_websocket_echoes_text_and_bytes_and_ends():
    async with serving([Echo("/a/")]) as port, connect(f"ws://127.0.0.1:{port}/a/x") as client:
        await client.send("hello")
        await client.send(b"\xff")
        assert [await client.recv(), await client.recv()] == ["/a/ 'hello'", "/a/ b'\\xff'"]
        await client.send("bye")
        await client.wait_closed()
        assert client.close_code == 1000


async def test_websocket_of_an_unknown_path_is_refused():
    async with serving([Echo("/a/")]) as port:
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://127.0.0.1:{port}/none")


@pytest.mark.parametrize(("message", "code"), [("bug", 1011), ("x" * (FRAME_MAX + 1), 1009)])
async def test_websocket_ends_with_a_code_for_bugs_and_oversized_frames(message: str, code: int):
    async with serving([Echo("/a/")]) as port, connect(f"ws://127.0.0.1:{port}/a/x") as client:
        await client.send(message)
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == code


async def test_stopping_closes_open_websockets_as_a_restart():
    async with serving([Echo("/a/")]) as port:
        client = await connect(f"ws://127.0.0.1:{port}/a/x")
    await client.wait_closed()
    assert client.close_code == 1012


async def test_slow_client_is_conflated_then_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket_module, "PENDING_MAX", 50)
    mount = Echo("/a/")
    async with serving([mount]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(
            b"GET /a/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        while not mount.sockets:
            await asyncio.sleep(0.001)
        slow = mount.sockets[0]
        for _ in range(2000):
            slow.send("x" * 50_000, key="quote")
            await asyncio.sleep(0)
        assert slow.is_open
        for _ in range(51):
            slow.send("x")
        assert not slow.is_open
        writer.close()


async def test_conflated_messages_keep_their_place_and_show_the_last_value():
    mount = Echo("/a/")
    async with serving([mount]) as port, connect(f"ws://127.0.0.1:{port}/a/x") as client:
        await client.send("1")
        await client.recv()
        for text, key in [("old", "quote"), ("trade", ""), ("new", "quote")]:
            mount.sockets[0].send(text, key)
        assert [await client.recv(), await client.recv()] == ["new", "trade"]
