"""The exchanges' own host names on loopback. Rule: a CONNECT proxy that ends TLS itself and never dials out.

A client that trusts `certificate_file` and uses the proxy believes that it talks to api.binance.com; ccxt matches some
errors only then. The proxy takes the hosts it was given and refuses all others, so no order can reach a real exchange.

    async with intercepting(folder, hosts, port) as proxy:
        client = ccxt.pro.binance({"httpsProxy": proxy.url, "wssProxy": proxy.url})
        client.cafile = proxy.certificate_file
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Collection, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HEADER_MAX = 8192
HANDSHAKE_SECONDS_MAX = 10.0
CHUNK = 1 << 16
VALID = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Proxy:
    url: str
    certificate_file: str
    """The authority that the client has to trust."""


@contextlib.asynccontextmanager
async def intercepting(folder: Path, hosts: Collection[str], target_port: int) -> AsyncIterator[Proxy]:
    """Run the proxy while the context lasts; keys and certificates are made anew in `folder`."""
    context = make_certificates(folder, hosts)
    tunnels = _Tunnels(frozenset(hosts), context, target_port)
    server = await asyncio.start_server(tunnels.serve, "127.0.0.1", 0, limit=HEADER_MAX)
    try:
        port = server.sockets[0].getsockname()[1]
        yield Proxy(f"http://127.0.0.1:{port}", str(folder / "authority.pem"))
    finally:
        server.close()
        await tunnels.close()
        await server.wait_closed()


class _Tunnels:
    """The open connections."""

    def __init__(self, hosts: frozenset[str], context: ssl.SSLContext, target_port: int) -> None:
        self._hosts = hosts
        self._context = context
        self._target_port = target_port
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "start_server runs it in a task"
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                await self._tunnel(reader, writer)
        except asyncio.CancelledError:
            pass  # closing; the task ends quietly, as the server expects
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
            request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].split(b" ")
            host = request[1].decode("latin-1").rpartition(":")[0] if len(request) == 3 else ""
            if request[0] != b"CONNECT" or host not in self._hosts:
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(self._context)
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            await _join(_copy(reader, target_writer), _copy(target_reader, writer))
        finally:
            target_writer.transport.abort()


async def _join(*copies: Coroutine[None, None, None]) -> None:
    """Run until the first direction ends."""
    tasks = [asyncio.create_task(copy) for copy in copies]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()


def make_certificates(folder: Path, hosts: Collection[str]) -> ssl.SSLContext:
    """Write an authority and one certificate for all hosts; return the context of a server that shows it."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "patriot venue authority")])
    authority = (
        _builder(name, name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "patriot venue")])
    certificate = (
        _builder(subject, name, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in sorted(hosts)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    server_file = folder / "server.pem"
    server_file.touch(mode=0o600)
    server_file.write_bytes(_private_bytes(key) + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return context


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
