import asyncio
import ssl
from pathlib import Path

import httpx
import pytest

from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.server import serving
from feeds.venue.wire.socket import Socket
from feeds.venue.wire.tls import intercepting

HOST = "api.example.com"


class Hello:
    prefixes: tuple[str, ...] = ()
    hosts = (HOST,)

    async def http(self, request: Request) -> Response:
        return Response(200, request.body or request.host.encode())

    async def websocket(self, socket: Socket) -> None:
        raise NotImplementedError


async def test_a_client_that_trusts_the_authority_reaches_the_mount(tmp_path: Path):
    async with serving([Hello()]) as port, intercepting(tmp_path, [HOST], port) as proxy:
        context = ssl.create_default_context(cafile=proxy.certificate_file)
        async with httpx.AsyncClient(proxy=proxy.url, verify=context) as client:
            assert (await client.get(f"https://{HOST}/x")).text == HOST
            large = b"x" * 60_000
            assert (await client.post(f"https://{HOST}/x", content=large)).content == large


async def test_a_client_that_does_not_trust_it_refuses(tmp_path: Path):
    async with (
        serving([Hello()]) as port,
        intercepting(tmp_path, [HOST], port) as proxy,
        httpx.AsyncClient(proxy=proxy.url) as client,
    ):
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://{HOST}/x")


async def test_other_hosts_and_garbage_are_refused_and_nothing_is_dialled(tmp_path: Path):
    async with serving([Hello()]) as port, intercepting(tmp_path, [HOST], port) as proxy:
        address = proxy.url.rpartition(":")[2]
        for line in (b"CONNECT www.example.org:443 HTTP/1.1", b"GET / HTTP/1.1", b"nonsense", b"CONNECT HTTP/1.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address))
            writer.write(line + b"\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 403")
            writer.close()


def test_keys_are_readable_by_the_owner_only(tmp_path: Path):
    from feeds.venue.wire.tls import make_certificates

    make_certificates(tmp_path, [HOST])
    assert (tmp_path / "server.pem").stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in (tmp_path / "authority.pem").read_bytes()
