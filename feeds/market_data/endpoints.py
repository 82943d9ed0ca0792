"""Where market data comes from: the exchanges, or the built-in venue, which speaks their protocols on loopback."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from patriot.protocols.codec import Channel, Codec, find_codecs
from patriot.runtime.settings import Settings

BUILT_IN = ("binance-spot", "binance-linear", "bybit-spot", "bybit-linear")
"""What the built-in venue speaks."""
AGGREGATED = "BINANCE"
"""Aggregate trades: numbered without a hole, so that a missing one is seen, and any range can be asked for later."""
UNSTATED_CONNECTIONS_MAX = 100


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One codec at one place. `origin` replaces the exchange's hosts ("127.0.0.1:8010"); empty = the exchange."""

    codec: type[Codec]
    origin: str = ""

    @property
    def name(self) -> str:
        return self.codec.name

    @property
    def venue(self) -> str:
        return self.codec.venue

    def url(self, channel: Channel) -> str:
        """The WebSocket address of a channel."""
        address = self.codec.url(channel)
        return f"ws://{self.origin}{urlsplit(address).path}" if self.origin else address

    def rest(self, path: str) -> str:
        return f"http://{self.origin}{path}" if self.origin else f"{self.codec.rest_url}{path}"

    @property
    def address(self) -> str:
        """The host whose connections are counted; all channels of a codec have the same."""
        return urlsplit(self.url("trade")).netloc

    @property
    def trade_channel(self) -> Channel:
        return "aggregate_trade" if self.venue == AGGREGATED else "trade"

    @property
    def has_mark_price(self) -> bool:
        return self.name.endswith(("linear", "inverse"))


def endpoints(settings: Settings) -> Sequence[Endpoint]:
    """All endpoints of the chosen market; none where others publish on the ticks port."""
    codecs = find_codecs()
    if settings.market == "live":
        return [Endpoint(codec) for codec in codecs.values()]
    if settings.market == "synthetic" and settings.execution == "wire" and settings.market_told:
        return [Endpoint(codecs[name], settings.venue_address) for name in BUILT_IN]
    return []


def connections_max(settings: Settings, venue: str) -> int:
    """Connections that one address of the venue may have."""
    stated = {"BINANCE": settings.binance_connections_max, "BYBIT": settings.bybit_connections_max}
    return stated.get(venue, UNSTATED_CONNECTIONS_MAX)
