"""Binance depth frames. Rule: a frame that proves its form is converted in bulk, any other one text by text.

The decoder reads a number with an exponent as an integer and refuses what is not whole. So the scale is written into
the bytes, and the decoder makes all levels in one call:

    ["61826.02","0.050"],["61825.00", …  ─►  [61826.02e2,0.050e3],[61825.00e2, …  ─►  [(6182602, 50), (6182500, …

On its way the decoder goes through a binary float, which is exact as long as no text has more than 15 digits (IEEE 754:
such a decimal has a float of its own, so only a whole one meets a whole float). Frames with a longer text, as with any
other oddity, are not wrong, only unusual, and go the slow way.
"""

from typing import Annotated

import msgspec

from patriot.protocols.codec import Listing
from patriot.protocols.errors import DECODE_ERRORS
from patriot.protocols.market import BookDelta
from patriot.protocols.number import levels

EXACT_DIGITS = 15
TOO_LONG = b'"' + b"0" * (EXACT_DIGITS + 2)  # a point may be among them; 16 digits without one are beyond `Units`
ODD = b"!"  # what JSON allows beside numbers, and Binance does not print: signs and white space
SHAPE = bytes.maketrans(b"123456789.- \t\r\n", b"0000000000!!!!!")

Id = Annotated[int, msgspec.Meta(ge=0)]
Units = Annotated[int, msgspec.Meta(ge=0, lt=10**EXACT_DIGITS)]


class _Header(msgspec.Struct, gc=False):
    U: Id
    u: Id
    E: int
    pu: int = -1  # futures only
    T: int = 0  # futures only


class _Texts(_Header, kw_only=True, gc=False):
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _Numbers(_Header, kw_only=True, gc=False):
    b: list[tuple[Units, Units]]
    a: list[tuple[Units, Units]]


class _WrappedTexts(msgspec.Struct, gc=False):
    data: _Texts


class _WrappedNumbers(msgspec.Struct, gc=False):
    data: _Numbers


_texts = msgspec.json.Decoder(_WrappedTexts).decode
_numbers = msgspec.json.Decoder(_WrappedNumbers, strict=False).decode


class DepthReader:
    """Reads the depth stream of one instrument."""

    def __init__(self, listing: Listing) -> None:
        self._instrument = listing.id
        self._price, self._quantity = listing.price, listing.quantity
        price, quantity = b"e%d" % self._price.decimals, b"e%d" % self._quantity.decimals
        self._next_number = price + b","
        self._next_level = quantity + b"],["
        self._next_side = quantity + b']],"a":[['
        self._end = quantity + b"]]}}"

    def read(self, data: bytes) -> BookDelta:
        """Convert one frame. Raises DECODE_ERRORS, MalformedFrame, Unrepresentable."""
        return self._read_in_bulk(data) or self._read_each(data)

    def _read_in_bulk(self, data: bytes) -> BookDelta | None:
        """All levels in one decoder call, None for an unusual frame."""
        head, _, tail = data.partition(b'"b":[["')
        shape = data.translate(SHAPE)
        if shape.rfind(TOO_LONG) >= 0 or ODD in shape or tail[-5:] != b'"]]}}':
            return None
        levels = tail[:-5].replace(b'","', self._next_number).replace(b'"],["', self._next_level)
        levels = levels.replace(b'"]],"a":[["', self._next_side, 1)
        try:
            body = _numbers(b'%b"b":[[%b%b' % (head, levels, self._end)).data
        except DECODE_ERRORS:
            return None
        return BookDelta(self._instrument, body.b, body.a, body.U, body.u, body.pu, body.T or body.E)

    def _read_each(self, data: bytes) -> BookDelta:
        body = _texts(data).data
        bids, asks = (levels(side, self._price, self._quantity) for side in (body.b, body.a))
        return BookDelta(self._instrument, bids, asks, body.U, body.u, body.pu, body.T or body.E)
