import pytest

from patriot.protocols.codec import Channel, Subscription, Topics, chunks, find_codecs
from patriot.protocols.errors import (
    MalformedFrame,
    ProtocolError,
    RecordingError,
    SubscriptionLimit,
    UnsupportedChannel,
)
from tests.unit.protocols.samples import instrument

CHANNELS: tuple[Channel, ...] = (
    "depth",
    "trade",
    "aggregate_trade",
    "quote",
    "ticker",
    "mini_ticker",
    "bar",
    "mark_price",
)


def test_codecs_are_found_by_name() -> None:
    assert set(find_codecs()) == {
        "binance-spot", "binance-linear", "binance-inverse", "bybit-linear", "bybit-spot", "coinbase-spot",
    }  # fmt: skip


@pytest.mark.requirement("P7")
@pytest.mark.parametrize("name", find_codecs())
def test_every_codec_keeps_the_contract(name: str) -> None:
    """What a feed relies on, whichever exchange it is."""
    codec_type = find_codecs()[name]
    market = instrument(f"{codec_type.venue}:BTC/USDT")
    codec = codec_type([market])
    supported = 0
    for channel in CHANNELS:
        wanted = Subscription(channel, market.id, 300 if channel == "bar" else 0)
        assert codec.url(channel).startswith("wss://")
        try:
            frames = codec.subscribe([wanted])
        except UnsupportedChannel:
            continue
        supported += 1
        assert all(frame.startswith(b"{") for frame in frames)
        assert all(frame.startswith(b"{") for frame in codec.unsubscribe([wanted]))
    assert supported >= 6
    assert (codec.limits.ping_interval_seconds > 0) == bool(codec.ping())
    assert codec.limits.subscriptions_max > 0
    for garbage in (b"", b"\x00", b"[]", b'"text"'):
        with pytest.raises(MalformedFrame):
            codec.feed(garbage)
        with pytest.raises(ProtocolError):
            codec.snapshot(market.id, garbage)
        with pytest.raises(MalformedFrame):
            codec_type.decode_instruments(garbage)
    codec.reset()


def test_topic_is_left_when_its_last_subscription_goes() -> None:
    topics = Topics(2)
    one, two = Subscription("quote", "X"), Subscription("ticker", "X")
    assert topics.add({one: "ticker", two: "ticker"}) == ["ticker"]
    assert topics.remove({one: "ticker"}) == []
    assert topics.remove({one: "ticker"}) == []
    assert topics.remove({two: "ticker"}) == ["ticker"]
    assert topics.remove({two: "ticker"}) == []


def test_topics_beyond_the_limit_change_nothing() -> None:
    topics = Topics(1)
    one, two = Subscription("quote", "X"), Subscription("trade", "X")
    with pytest.raises(SubscriptionLimit):
        topics.add({one: "a", two: "b"})
    assert topics.add({one: "a"}) == ["a"]
    topics.clear()
    assert topics.add({two: "b"}) == ["b"]
    assert Topics(0).add({one: "a", two: "b"}) == ["a", "b"]


def test_chunks() -> None:
    assert chunks(["a", "b", "c"], 2) == [["a", "b"], ["c"]]
    assert chunks([], 2) == []


def test_recording_error_names_file_line_and_rule() -> None:
    error = RecordingError("x.gz", 7, "must be JSON")
    assert (str(error), error.name, error.line, error.rule) == ("x.gz, line 7: must be JSON", "x.gz", 7, "must be JSON")
