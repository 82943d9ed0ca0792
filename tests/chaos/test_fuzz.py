"""Case 19: whatever bytes come in, a codec raises its documented errors only, and afterwards reads on.

The inputs are the exchanges' own messages, broken: bytes flipped, dropped, doubled, cut, or two messages spliced.
"""

import os
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from patriot.domain.instrument import Instrument
from patriot.protocols.codec import find_codecs
from patriot.protocols.errors import ProtocolError
from tests.data import recording

SEED = int(os.environ.get("PATRIOT_SEED", "20261119"))
INPUTS = int(os.environ.get("PATRIOT_INPUTS", "100000"))
FIXTURES = "nautilus/fixtures"
FOLDERS = {
    "BINANCE": ("binance/futures/market_data_json", "binance_py/ws_messages"),
    "BYBIT": ("bybit",),
    "COINBASE": ("coinbase",),
}
SYMBOLS = {"BINANCE": "BTCUSDT", "BYBIT": "BTCUSDT", "COINBASE": "BTC-USD"}
ALPHABET = b'{}[]",:.-+eE0123456789ntfu\\\x00\xff'
CHANGES = (1, 1, 1, 2, 4)


def corpus(venue: str) -> list[bytes]:
    folders = [recording(f"{FIXTURES}/{folder}") for folder in FOLDERS[venue]]
    found = [path.read_bytes() for folder in folders for path in sorted(Path(folder).glob("*.json"))]
    return [message for message in found if len(message) < 4096]


def broken(message: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """A message with up to four changes."""
    data = bytearray(message)
    for _ in range(dice.choice(CHANGES)):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([dice.choice(ALPHABET)])
        elif kind == 1:
            del data[at : at + dice.randint(1, 8)]
        elif kind == 2:
            data[at:at] = data[at : at + dice.randint(1, 40)]
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            data[at:at] = str(dice.choice((10**400, -1, 0, 2**63, 2**64, "1e999", "NaN"))).encode()
        else:
            data[at:] = dice.choice(others)[at:]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.requirement("P7")
@pytest.mark.parametrize("name", find_codecs())
def test_codec_raises_only_what_is_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    codec_type, dice = find_codecs()[name], random.Random(f"{SEED} {name}")
    messages, symbol = corpus(codec_type.venue), SYMBOLS[codec_type.venue]
    tick = Decimal("1e-8")
    market = Instrument(f"{codec_type.venue}:BTC/X", symbol, "BTC", "X", "X", "spot", tick, tick, 8, 8)
    codec = codec_type([market])
    ends: Counter[str] = Counter()
    for _ in range(INPUTS):
        data = broken(dice.choice(messages), messages, dice)
        try:
            if dice.random() < 0.1:
                codec.snapshot(market.id, data)
            else:
                codec.feed(data)
            ends["read"] += 1
        except ProtocolError as error:
            ends[type(error).__name__] += 1
    with capsys.disabled():
        print(f"\nfuzz: seed {SEED}, {name}, {INPUTS:,} inputs: {dict(ends.most_common())}, 0 other errors")
    assert ends["read"] > INPUTS // 100
    assert ends["MalformedFrame"] > INPUTS // 100
    codec.reset()
    assert codec_type([market]).subscribe([]) == codec.subscribe([])
