import contextlib
import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from patriot.protocols import recording
from patriot.protocols.errors import RecordingError
from patriot.protocols.recording import Frame, read_recording

HFTBACKTEST = (
    b'1723161254206652067 {"stream":"btcusdt@trade","data":{}}\n'
    b'1680652800004107 {"lastUpdateId":5,"bids":[],"asks":[]}\n'
    b'1723161254206652068 {"result":null,"id":1}\n'
)
CRYPTOFEED = (
    b"wss://stream.binance.com:9443/stream?streams=a@depth <-> 1633998511.159679\n"
    b'1633998512.0633569: {"stream":"a@depth","data":{}}\n'
    b'https://api.binance.com/api/v3/depth?symbol=NKNUSDT&limit=1000 -> 1633998512.320639: {"lastUpdateId":1}\n'
    b'wss://ws-feed.pro.coinbase.com <- 1633998512.5: {"type":"subscribe"}\n'
    b'configuration: {"trades":["NKN-USDT"]}\n\n'
)
ROWS = (
    b'{"t":"header","format":2,"exchange":"BYBIT"}\n'
    b'{"t":"http","conn":"h","ts":1786310817.601629,"url":"https://x/y?symbol=Z","data":"{\\"retCode\\":0}"}\n'
    b'{"t":"connect","conn":"ws.2","ts":1786310818,"addr":"wss://x/linear"}\n'
    b'{"t":"send","conn":"ws.2","ts":1786310818.5,"addr":"wss://x/linear","data":"{}"}\n'
    b'{"t":"recv","conn":"ws.2","ts":1786310819.25,"data":"{\\"topic\\":\\"t\\"}"}\n'
    b'{"t":"recv","conn":"ws.3","ts":1786310819.25,"data":"{}"}\n'
)


def frames(data: bytes, piece: int = 7) -> list[Frame]:
    return list(read_recording((data[at : at + piece] for at in range(0, len(data), piece)), "test.gz"))


def test_hftbacktest_in_micro_and_nanoseconds() -> None:
    assert frames(HFTBACKTEST) == [
        Frame(1723161254206652067, "ws", b'{"stream":"btcusdt@trade","data":{}}'),
        Frame(1680652800004107000, "rest", b'{"lastUpdateId":5,"bids":[],"asks":[]}'),
        Frame(1723161254206652068, "ws", b'{"result":null,"id":1}'),
    ]


def test_cryptofeed_of_2021() -> None:
    [connect, message, rest, sent, note] = frames(CRYPTOFEED)
    assert (connect.kind, connect.received_ns) == ("control", 1633998511159679000)
    assert connect.source == "wss://stream.binance.com:9443/stream?streams=a@depth"
    assert message == Frame(1633998512063356900, "ws", b'{"stream":"a@depth","data":{}}')
    assert (rest.kind, rest.payload, rest.symbol) == ("rest", b'{"lastUpdateId":1}', "NKNUSDT")
    assert (sent.kind, sent.received_ns) == ("control", 1633998512500000000)
    assert note.kind == "control"


def test_cryptofeed_rows_find_the_address_of_their_connection() -> None:
    kinds = [(frame.kind, frame.source, frame.symbol) for frame in frames(ROWS)]
    assert kinds == [
        ("control", "", ""),
        ("rest", "https://x/y?symbol=Z", "Z"),
        ("control", "wss://x/linear", ""),
        ("control", "wss://x/linear", ""),
        ("ws", "wss://x/linear", ""),
        ("ws", "ws.3", ""),
    ]
    assert frames(ROWS)[1].received_ns == 1786310817601629000
    assert frames(ROWS)[4].payload == b'{"topic":"t"}'


@pytest.mark.parametrize("piece", [1, 3, 10_000])
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes])
def test_archives_are_told_by_their_content(pack: object, piece: int) -> None:
    assert callable(pack)
    assert frames(pack(HFTBACKTEST), piece) == frames(HFTBACKTEST)
    if pack is not bytes:
        assert frames(pack(HFTBACKTEST) + pack(HFTBACKTEST), piece) == frames(HFTBACKTEST) * 2


def test_reading_is_lazy_also_in_a_highly_compressed_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PIECE_MAX", 64)
    reader = read_recording(iter([gzip.compress(HFTBACKTEST * 1000)]), "big.gz")
    assert next(reader) == frames(HFTBACKTEST)[0]


def test_last_line_needs_no_newline_and_carriage_returns_are_dropped() -> None:
    assert frames(HFTBACKTEST.rstrip().replace(b"\n", b"\r\n")) == frames(HFTBACKTEST)


@pytest.mark.parametrize(
    ("data", "line", "rule"),
    [
        (b"", 1, "empty"),
        (b"hello\n", 1, "neither an hftbacktest nor a cryptofeed recording"),
        (b"\n\n", 1, "neither"),
        (HFTBACKTEST + b"17231612542066520 {}\n", 4, "16 digits"),
        (HFTBACKTEST + b"1723161254206652067 <html>\n", 4, "must be JSON"),
        (CRYPTOFEED + b"soon: {}\n", 7, "seconds since 1970"),
        (CRYPTOFEED + b"-1.5: {}\n", 7, "seconds since 1970"),
        (CRYPTOFEED + b"NaN: {}\n", 7, "seconds since 1970"),
        (CRYPTOFEED + b"\xff: {}\n", 7, "seconds since 1970"),
        (ROWS + b'{"t":"other"}\n', 7, "Invalid enum value"),
        (ROWS + b'{"t":"recv","ts":1,"data":"text"}\n', 7, "must be JSON"),
        (gzip.compress(HFTBACKTEST)[:-10], 1, "broken archive"),
        (zstandard.compress(HFTBACKTEST)[:-3], 1, "broken archive"),
        (b"\x1f\x8b" + b"x" * 100, 1, "broken archive"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, 1, "broken archive"),
    ],
)
def test_bad_file_is_named_with_line_and_rule(data: bytes, line: int, rule: str) -> None:
    with pytest.raises(RecordingError, match=rule) as caught:
        frames(data)
    assert (caught.value.name, caught.value.line) == ("test.gz", line)


def test_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LINE_MAX", 50)
    with pytest.raises(RecordingError, match="longer than 50 bytes"):
        frames(HFTBACKTEST + b"1723161254206652067 {" + b" " * 100)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b'{"t":', HFTBACKTEST, CRYPTOFEED, ROWS]),
)
def test_any_bytes_raise_only_recording_errors(data: bytes, start: bytes) -> None:
    for whole in (start + data, zlib.compress(data, wbits=31), zstandard.compress(start + data)):
        with contextlib.suppress(RecordingError):
            frames(whole, 50)
