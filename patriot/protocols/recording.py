"""Recordings as frames. Rule: no I/O; bytes in pieces of any size come in, whole frames go out, lazily.

The caller opens the file: `read_recording(iter(lambda: file.read(1 << 16), b""), "name")`. Compression (gzip, zstd,
none) and format are told from the content:
    <receive time> <json>                                   hftbacktest; time in ns or us
    <epoch>: <json>, <url> -> <epoch>: <json>, <url> <-> …  cryptofeed 2021; time in seconds
    {"t":"recv","conn":…,"ts":…,"data":"<json>"}            cryptofeed 2026, one JSON object per line
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
import zstandard

from patriot.protocols.errors import DECODE_ERRORS, RecordingError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LINE_MAX = 64 * 1024 * 1024  # the largest known line, a full book, has 6 MB
PIECE_MAX = 1024 * 1024  # at most this much is decompressed at once
NANOSECONDS = 10**9
TIME_MAX = Decimal(10) ** 11

Kind = Literal["ws", "rest", "control"]


class Frame(NamedTuple):
    """One recorded message. `source` is the address it came from, empty where the recording does not tell.

    Control frames (connects, what was sent, the recorder's own notes) are no market data.
    """

    received_ns: int
    kind: Kind
    payload: bytes
    source: str = ""

    @property
    def symbol(self) -> str:
        """The native symbol that the address asks for; empty where it names none."""
        return next(iter(parse_qs(urlsplit(self.source).query).get("symbol", ())), "")


class _Row(msgspec.Struct):
    t: Literal["header", "http", "connect", "send", "recv"]
    ts: Decimal = Decimal(0)
    conn: str = ""
    addr: str = ""
    url: str = ""
    data: str = ""


_row = msgspec.json.Decoder(_Row).decode
_Parse = Callable[[bytes], "Frame | None"]


def read_recording(pieces: Iterable[bytes], name: str) -> Iterator[Frame]:
    """Frames in the order of the file.

    Raises:
        RecordingError: for a broken archive, an unknown format or a line that breaks its format.

    """
    parse: _Parse | None = None
    number = 0
    for number, line in enumerate(_lines(_decompress(pieces, name), name), 1):
        try:
            parse = parse or _format_of(line)
            frame = parse(line) if line else None
        except DECODE_ERRORS as error:
            raise RecordingError(name, number, str(error)) from None
        if frame is not None:
            yield frame
    if not number:
        raise RecordingError(name, 1, "the file is empty")


def _format_of(line: bytes) -> _Parse:
    if line.startswith(b'{"t":'):
        return _RowReader().parse
    if line[:4].isdigit() and line.partition(b" ")[0].isdigit():
        return _parse_hftbacktest
    if line.startswith((b"http://", b"https://", b"ws://", b"wss://")) or line.partition(b": ")[0].count(b".") == 1:
        return _parse_cryptofeed
    raise ValueError("neither an hftbacktest nor a cryptofeed recording")


def _parse_hftbacktest(line: bytes) -> Frame:
    stamp, _, payload = line.partition(b" ")
    if not (stamp.isdigit() and len(stamp) in {16, 19}):
        raise ValueError("must begin with the receive time in microseconds (16 digits) or nanoseconds (19)")
    received_ns = int(stamp) * (1000 if len(stamp) == 16 else 1)
    return Frame(received_ns, "rest" if payload.startswith(b'{"lastUpdateId"') else "ws", _json(payload))


def _parse_cryptofeed(line: bytes) -> Frame:
    if line.startswith(b"configuration: "):
        return Frame(0, "control", line)
    head, _, payload = line.partition(b": ")
    address, arrow, stamp = head.rpartition(b" -> ")
    if arrow:
        return Frame(_seconds(stamp), "rest", _json(payload), address.decode())
    for sign in (b" <-> ", b" <- "):  # a connection, a message sent; the rest of such a line is the recorder's
        address, arrow, stamp = line.partition(sign)
        if arrow:
            return Frame(_seconds(stamp.partition(b":")[0]), "control", line, address.decode())
    return Frame(_seconds(head), "ws", _json(payload))


class _RowReader:
    """Rows name their connection; the row that opened it told the address."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}

    def parse(self, line: bytes) -> Frame:
        row = _row(line)
        received_ns = _seconds(str(row.ts).encode())
        if row.t == "http":
            return Frame(received_ns, "rest", _json(row.data.encode()), row.url)
        if row.t == "recv":
            return Frame(received_ns, "ws", _json(row.data.encode()), self._addresses.get(row.conn, row.conn))
        if row.t == "connect":
            self._addresses[row.conn] = row.addr
        return Frame(received_ns, "control", line, row.addr)


def _seconds(text: bytes) -> int:
    try:
        seconds = Decimal(text.decode("ascii"))
        if 0 <= seconds < TIME_MAX:
            return int(seconds * NANOSECONDS)
    except (InvalidOperation, UnicodeDecodeError):
        pass
    raise ValueError("the receive time must be seconds since 1970")


def _json(payload: bytes) -> bytes:
    if not payload.startswith((b"{", b"[")):
        raise ValueError("the message must be JSON")
    return payload


def _lines(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Split at newlines; the last line needs none."""
    rest, number = b"", 1
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
        for line in whole:
            number += 1
            yield line.rstrip(b"\r")
        if len(rest) > LINE_MAX:
            raise RecordingError(name, number, f"a line longer than {LINE_MAX} bytes")
    if rest:
        yield rest.rstrip(b"\r")


def _decompress(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Undo gzip or zstd, told from the first bytes; anything else passes."""
    source = iter(pieces)
    first = next(source, b"")
    while len(first) < len(ZSTD_MAGIC) and (piece := next(source, b"")):
        first += piece
    try:
        if first.startswith(GZIP_MAGIC):
            yield from _gunzip(first, source)
        elif first.startswith(ZSTD_MAGIC):
            yield from _unzstd(first, source)
        else:
            yield first
            yield from source
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise RecordingError(name, 1, f"broken archive: {error}") from None


def _gunzip(first: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    machine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    piece: bytes | None = first
    while piece is not None:
        while piece:
            yield machine.decompress(piece, PIECE_MAX)
            piece = machine.unconsumed_tail
            if machine.eof and (piece := machine.unused_data):  # archives may be concatenated
                machine = zlib.decompressobj(zlib.MAX_WBITS | 16)
        piece = next(source, None)
    if not machine.eof:
        raise EOFError("the file ends in the middle")


def _unzstd(first: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    machine = zstandard.ZstdDecompressor().decompressobj()
    piece: bytes | None = first
    while piece is not None:
        while piece:
            if machine.eof:  # archives may be concatenated
                machine = zstandard.ZstdDecompressor().decompressobj()
            yield machine.decompress(piece)
            piece = machine.unused_data
        piece = next(source, None)
    if not machine.eof:
        raise EOFError("the file ends in the middle")
