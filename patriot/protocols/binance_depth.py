"""Binance depth frames. Rule: a frame that proves its form is converted in bulk, any other one text by text.

Binance prints all prices of an instrument with the same number of decimals, and all quantities. Without the points the
texts are the units already, so the points are deleted from the bytes before decoding, and the decoder reads integers:

    "b":[["61826.02","0.050"], …]  ─►  "b":[["6182602","0050"], …]  ─►  [(6182602, 50), …]

That is the same number only if every text had its point at the right place. Counting proves it: as many points, and as
many endings of the right form, as there are texts, and no character that does not belong. What fails the proof is not
wrong, it is only unusual, and goes the slow way.
"""

from typing import Annotated

import msgspec

from patriot.protocols.codec import Listing
from patriot.protocols.errors import DECODE_ERRORS
from patriot.protocols.market import BookDelta
from patriot.protocols.number import Pairs, levels

FIRST_LEVEL = b'"b":['
BELONGS = b'0123456789.[],":ba}'  # everything that comes after the header
DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
MISSES_MAX = 8  # unusual frames in a row, before the fast way is no longer tried

Id = Annotated[int, msgspec.Meta(ge=0)]


class _Header(msgspec.Struct, gc=False):
    U: Id
    u: Id
    E: int
    pu: int = -1  # futures only
    T: int = 0  # futures only


class _Texts(_Header, kw_only=True, gc=False):
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _Units(_Header, kw_only=True, gc=False):
    """Quantities begin with zeros, which JSON numbers must not: they stay text."""

    b: list[tuple[int, str]]
    a: list[tuple[int, str]]


class _WrappedTexts(msgspec.Struct, gc=False):
    data: _Texts


class _WrappedUnits(msgspec.Struct, gc=False):
    data: _Units


_texts = msgspec.json.Decoder(_WrappedTexts).decode
_units = msgspec.json.Decoder(_WrappedUnits, strict=False).decode


class DepthReader:
    """Reads the depth stream of one instrument."""

    def __init__(self, listing: Listing) -> None:
        self._instrument = listing.id
        self._price, self._quantity = listing.price, listing.quantity
        self._endings = _endings(self._price.decimals, self._quantity.decimals)
        self._points = bool(self._price.decimals) + bool(self._quantity.decimals)  # per level
        self._surplus: list[tuple[bytes, bytes]] = []  # zeros printed beyond the scale
        self._misses = 0

    def read(self, data: bytes) -> BookDelta:
        """Convert one frame. Raises DECODE_ERRORS, MalformedFrame, Unrepresentable."""
        if self._misses < MISSES_MAX and (delta := self._read_in_bulk(data)) is not None:
            self._misses = 0
            return delta
        self._misses += 1
        return self._read_each(data)

    def _read_in_bulk(self, data: bytes) -> BookDelta | None:
        for zeros, end in self._surplus:
            data = data.replace(zeros, end)
        plain = data.translate(None, b".")
        try:
            body = _units(plain).data
            bids = [(price, int(quantity)) for price, quantity in body.b]
            asks = [(price, int(quantity)) for price, quantity in body.a]
        except DECODE_ERRORS:
            return None
        count = len(bids) + len(asks)
        if len(data) - len(plain) != count * self._points or not self._is_plain(data, count):
            return None
        return BookDelta(self._instrument, bids, asks, body.U, body.u, body.pu, body.T or body.E)

    def _is_plain(self, data: bytes, count: int) -> bool:
        """Whether the levels are `count` pairs of digits, each text with the scale's decimals, and nothing else."""
        start = data.find(FIRST_LEVEL)
        tail = data[start:]
        if start < 0 or tail.translate(None, BELONGS):
            return False
        shape = tail.translate(DIGITS_AS_ZERO)
        for ending, texts_per_level in self._endings:  # noqa: SIM110 - no generator on this way
            if shape.count(ending) != count * texts_per_level:
                return False
        return True

    def _read_each(self, data: bytes) -> BookDelta:
        body = _texts(data).data
        bids, asks = (levels(side, self._price, self._quantity) for side in (body.b, body.a))
        self._learn(body.b or body.a)
        return BookDelta(self._instrument, bids, asks, body.U, body.u, body.pu, body.T or body.E)

    def _learn(self, pairs: Pairs) -> None:
        """Definitions may have fewer decimals than are printed: see from a level how many zeros that makes."""
        self._surplus = []
        if pairs:
            price, quantity = pairs[0]
            self._expect(price, self._price.decimals, b'",')
            self._expect(quantity, self._quantity.decimals, b'"]')

    def _expect(self, text: str, decimals: int, end: bytes) -> None:
        surplus = len(text.partition(".")[2]) - decimals
        if surplus > 0:
            point = b"" if decimals else b"."
            self._surplus.append((point + b"0" * surplus + end, end))


def _endings(price_decimals: int, quantity_decimals: int) -> list[tuple[bytes, int]]:
    """How texts end when every digit is a zero, and how many of a level's two texts end so."""
    price, quantity = (b"." + b"0" * count if count else b"0" for count in (price_decimals, quantity_decimals))
    return [(price + b'"', 2)] if price == quantity else [(price + b'",', 1), (quantity + b'"]', 1)]
