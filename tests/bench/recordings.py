"""The recordings as plain lists of messages. Rule: standard library only, the peers' interpreter reads it."""

import gzip
import json
import os
from pathlib import Path

ROOT = Path(os.environ.get("PATRIOT_DATA", Path(__file__).parents[3] / "shared" / "data"))
STREAMS = {"depth": b"@depth", "quote": b"@bookTicker", "trade": b"@trade"}


def messages(recording: str, kind: str) -> tuple[bytes, list[bytes]]:
    """The REST snapshot and the messages of one kind ("depth" from the first diff that follows the snapshot).

    Trades are given the name of aggregate trades, the only ones that all peers read; the content stays as recorded.
    """
    with gzip.open(ROOT / recording) as file:
        payloads = [line.partition(b" ")[2].rstrip() for line in file]
    snapshot = next(payload for payload in payloads if payload.startswith(b'{"lastUpdateId"'))
    chosen = [payload for payload in payloads if STREAMS[kind] in payload[:40]]
    if kind == "depth":
        applied = json.loads(snapshot)["lastUpdateId"]
        chosen = [payload for payload in chosen if json.loads(payload)["data"]["u"] > applied]
    if kind == "trade":
        chosen = [_aggregate(payload) for payload in chosen]
    return snapshot, chosen


def _aggregate(trade: bytes) -> bytes:
    renamed = trade.replace(b"@trade", b"@aggTrade").replace(b'"e":"trade"', b'"e":"aggTrade"')
    return renamed.replace(b'"t":', b'"f":0,"l":0,"a":').replace(b'"b":', b'"x":')
