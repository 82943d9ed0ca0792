"""Depth in bulk: it gives what the conversion text by text gives, or leaves the frame to it."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.instrument import Instrument
from patriot.protocols.binance_depth import EXACT_DIGITS, DepthReader
from patriot.protocols.codec import Listing
from patriot.protocols.errors import DECODE_ERRORS, MalformedFrame, Unrepresentable
from patriot.protocols.market import BookDelta

Pairs = list[tuple[str, str]]


def reader(price_decimals: int = 2, quantity_decimals: int = 3) -> DepthReader:
    tick, lot = Decimal(1).scaleb(-price_decimals), Decimal(1).scaleb(-quantity_decimals)
    return DepthReader(
        Listing(
            Instrument(
                "BINANCE:BTC/USDT",
                "BTCUSDT",
                "BTC",
                "USDT",
                "USDT",
                "spot",
                tick,
                lot,
                price_decimals,
                quantity_decimals,
            )
        )
    )


def frame(bids: object, asks: object, **more: object) -> bytes:
    data = {"e": "depthUpdate", "E": 7, "s": "BTCUSDT", "U": 1, "u": 2, "b": bids, "a": asks, **more}
    return msgspec.json.encode({"stream": "btcusdt@depth", "data": data})


FULL = frame([["1.00", "1.000"]], [["2.00", "1.000"]])


def in_bulk(reader: DepthReader, data: bytes) -> BookDelta | None:
    return reader._read_in_bulk(data)


def test_levels_with_all_decimals_are_read_in_bulk() -> None:
    data = frame([["61826.02", "0.050"], ["61825.00", "0.000"]], [["61827.10", "12.001"]])
    delta = in_bulk(reader(), data)
    assert delta == BookDelta("BINANCE:BTC/USDT", [(6182602, 50), (6182500, 0)], [(6182710, 12001)], 1, 2, -1, 7)
    assert reader().read(data) == delta


def test_whole_numbers_are_read_in_bulk() -> None:
    delta = in_bulk(reader(1, 0), frame([["61773.6", "1001"]], [["61774.0", "0"]]))
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(617736, 1001)], [(617740, 0)])
    delta = in_bulk(reader(0, 0), frame([["617", "10"]], [["618", "0"]]))
    assert delta is not None
    assert delta.bids == [(617, 10)]


@pytest.mark.parametrize(
    ("price", "units"),
    [
        ("61826.0", 6182600),
        ("61826", 6182600),
        ("61826.020", 6182602),
        ("0.01", 1),
        ("0.00", 0),
        ("9" * 13, 10**15 - 100),
    ],
)
def test_any_number_of_decimals_is_read_in_bulk(price: str, units: int) -> None:
    delta = in_bulk(reader(), frame([[price, "0.050"]], [["61900.00", "1"]]))
    assert delta is not None
    assert (delta.bids, delta.asks) == ([(units, 50)], [(6190000, 1000)])


def test_every_number_of_fifteen_digits_is_exact_in_bulk() -> None:
    @given(st.integers(0, 10**EXACT_DIGITS - 1), st.integers(0, 10**EXACT_DIGITS - 1), st.sampled_from([0, 1, 2, 5, 8]))
    def exact(price: int, quantity: int, decimals: int) -> None:
        pair = [f"{Decimal(units).scaleb(-decimals):f}" for units in (price, quantity)]
        delta = in_bulk(reader(decimals, decimals), frame([pair], [pair]))
        assert delta is not None
        assert delta.bids == delta.asks == [(price, quantity)]

    exact()


@pytest.mark.parametrize("decimals", [0, 2, 8])
def test_longer_numbers_are_not_read_in_bulk_but_exactly(decimals: int) -> None:
    unit = Decimal(1).scaleb(-decimals)
    for units in (10**EXACT_DIGITS, 2**53 + 1, 10**20 + 1):
        data = frame([[f"{units * unit:f}", "1.000"]], [["1", "1"]])
        assert in_bulk(reader(decimals), data) is None
        assert reader(decimals).read(data).bids == [(units, 1000)]


def test_a_value_finer_than_the_scale_is_refused_however_long() -> None:
    for text in ("61826.021", "61826.02000000001", "61826.0200000000000000001", "0.001", "90000000000.0000001"):
        data = frame([[text, "1.000"]], [["1.00", "1.000"]])
        assert in_bulk(reader(), data) is None
        with pytest.raises(Unrepresentable):
            reader().read(data)


@pytest.mark.parametrize(
    ("price", "quantity"),
    [
        ("61826.02", "0.0.050"),
        ("6.1826.02", "0.050"),
        ("1e5.00", "0.050"),
        ("0e5.00", "0.050"),
        ("-1.00", "0.050"),
        ("61826.02", "-1.000"),
        ("61826.02", "+1.000"),
        ("61826.02", "1_0.000"),
        ("61826.02", " 1.000"),
        ("61826.02 ", "1.000"),
        ("61826.02", "-0.000"),
        ("-0", "0"),
        (".02", "1.000"),
        ("1.", "1.000"),
        ("001.00", "1.000"),
        ("61826.02", ""),
        ("", "1.000"),
        ("٣.00", "1.000"),
        (61826.02, "0.050"),
        ("61826.02", 0.051),
    ],
)
@pytest.mark.parametrize("others", [[["61825.00", "1.000"]], [["61825.0", "1.0000"], ["1", "1"]]])
def test_unusual_texts_are_not_read_in_bulk(price: object, quantity: object, others: list[object]) -> None:
    odd = [price, quantity]
    for bids, asks in (([odd], others), ([odd, *others], others), (others, [odd]), (others, [*others, odd])):
        assert in_bulk(reader(), frame(bids, asks)) is None


@pytest.mark.parametrize(
    "data",
    [
        FULL.replace(b",", b", "),
        FULL.replace(b"1.000", b"1.000\n"),
        FULL.replace(b'"b":', b'"b": '),
        FULL.replace(b'"]]', b'"] ]'),
        FULL.replace(b'["1.00"', b"[1.00"),
        FULL.replace(b'"1.000"', b"1.000"),
        FULL[:-1],
        FULL[:-3],
        frame([["1.00", "1.000"]], [["1.00", "1.000"]], z="x.00"),
        frame([["1.00", "1.000"]], [["1.00", "1.000"]], E=1.5),
        frame([["1.00"]], [["1.00", "1.000"]]),
        frame([["1.00", "1.000"], ["1.00"]], [["1.00", "1.000"]]),
        frame([["1.00", "1.000"], ["1.00", "2", "3"]], [["1.00", "1.000"]]),
        frame([["1.00"], ["1.00", "2", "3"]], [["1.00", "1.000"]]),
        frame([["1.00", "1.000"]], []),
        frame([], [["1.00", "1.000"]]),
        frame([], []),
        b'{"stream":"btcusdt@depth","data":{"E":7,"U":1,"u":2,"a":[["1.00","1.000"]],"b":[]}}',
        b"",
        b"{",
    ],
)
def test_unusual_frames_are_not_read_in_bulk(data: bytes) -> None:
    assert in_bulk(reader(), data) is None


def texts(decimals: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    """Numbers as venues write them, and some as they do not."""
    plain = st.builds(
        lambda whole, digits, places: f"{whole}.{digits[:places]}" if places else str(whole),
        st.integers(0, 10**14),
        st.sampled_from(["00000000", "12000000", "12345678"]),
        decimals,
    )
    return plain | st.text("0123456789.-+e_ ", max_size=8)


@pytest.mark.parametrize("decimals", [st.just(2), st.sampled_from([0, 1, 2, 3, 8])])
def test_bulk_agrees_with_one_by_one(decimals: st.SearchStrategy[int]) -> None:
    sides = st.lists(st.tuples(texts(decimals), texts(decimals)), max_size=4)

    @given(st.lists(st.tuples(sides, sides), max_size=3), st.sampled_from([(2, 2), (2, 1), (1, 0), (0, 0)]))
    def agree(frames: list[tuple[Pairs, Pairs]], scales: tuple[int, int]) -> None:
        fast, slow = reader(*scales), reader(*scales)
        for bids, asks in frames:
            data = frame(bids, asks)
            assert outcome(fast.read, data) == outcome(slow._read_each, data)

    agree()


def outcome(read: object, data: bytes) -> object:
    assert callable(read)
    try:
        return read(data)
    except (MalformedFrame, Unrepresentable, *DECODE_ERRORS) as error:
        return type(error)
