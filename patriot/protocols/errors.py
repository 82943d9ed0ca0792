"""Errors of the codecs. Whatever bytes come in, `feed` raises nothing but these.

ProtocolError
├── MalformedFrame          not the venue's JSON, a field missing or mistyped; names what was wrong
│   └── UnknownInstrument   a symbol without a definition: fetch the definitions again
├── Unrepresentable         a value with more decimals than the instrument's scale; `feed` turns it into a `Resync`
├── SubscriptionLimit       more subscriptions than one connection may carry: open another
├── UnsupportedChannel      the venue has no such stream
└── RecordingError          a recording that cannot be read; names file, line and rule
"""

import msgspec

# all that bad bytes can cause in msgspec (syntax, UTF-8, depth) and int() (more than 4,300 digits)
DECODE_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)


class ProtocolError(Exception):
    """Root of the codecs' errors."""


class MalformedFrame(ProtocolError):
    """Bytes that are not what the venue's documentation promises."""


class UnknownInstrument(MalformedFrame):
    """A message about a symbol whose definition the codec was not given."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"no definition for symbol {symbol!r}")
        self.symbol = symbol


class Unrepresentable(ProtocolError):
    """A value that the instrument's scale cannot hold: its definition is out of date."""

    def __init__(self, text: str, decimals: int) -> None:
        super().__init__(f"{text!r} has more than {decimals} decimals")


class SubscriptionLimit(ProtocolError):
    """One connection carries no more than this."""

    def __init__(self, wanted: int, maximum: int) -> None:
        super().__init__(f"{wanted} subscriptions on one connection, the venue allows {maximum}")


class UnsupportedChannel(ProtocolError):
    """The venue has no stream for what was asked."""


class RecordingError(ProtocolError):
    """A recording that breaks its own format."""

    def __init__(self, name: str, line: int, rule: str) -> None:
        super().__init__(f"{name}, line {line}: {rule}")
        self.name = name
        self.line = line
        self.rule = rule
