"""What a platform that was stopped left behind, compared with what the venue's own journal says."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from patriot.domain.money import ZERO
from patriot.store.api import Store
from tests.chaos.books import rows

OPEN_WORDS = {"new": "accepted"}
SETTLE = "USDT"
DUST = Decimal("1e-12")
"""Both sides round the average price of a position, each in its own figures."""
BYBIT_ID_DIGITS = 12
"""The venue's own number of a trade, at the end of the ids that it shows on the wire."""


@dataclass
class Journal:
    """One venue's account of itself: its orders and fills, of the platform's accounts."""

    orders: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    fills: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """(venue, account, instrument, trade id) of every fill."""
    paid: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    """(account, asset) -> balance without the realised profit of derivatives, which depends on the order of fills."""

    @property
    def by_name(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for order in self.orders.values():
            found[order["client_order_id"]].append(order)
        return found


def read_journals(folder: Path) -> Journal:
    journal = Journal()
    for path in sorted((folder / "venue").glob("*.jsonl")):
        for raw in path.read_bytes().splitlines():
            line = orjson.loads(raw)
            for order in line["orders"]:
                journal.orders[path.stem, order["id"]] = order
            for fill in line["fills"]:
                journal.fills[path.stem, fill["account"], fill["instrument"], str(fill["trade_id"])] += 1
            for account, holdings in line["accounts"].items():
                realised = sum(int(position[-1]) for position in holdings["positions"])
                for asset, total in holdings["totals"].items():
                    journal.paid[account, asset] = Decimal(int(total) - realised * (asset == SETTLE)).scaleb(-18)
    return journal


async def differences(store: Store, journal: Journal, acknowledged: Mapping[str, str]) -> dict[str, list[Any]]:
    """By kind: what is lost, doubled, unproved, or differs from the venue. Empty lists where nothing is wrong."""
    orders = {str(row["id"]): row for row in await rows(store, "orders")}
    known = journal.by_name
    trades = Counter(
        (row["instrument"].partition(":")[0], str(row["account_id"]), row["instrument"], _number(row["trade_id"]))
        for row in await rows(store, "trades")
    )
    booked = {(str(row["account_id"]), row["asset"]): row["total"] for row in await rows(store, "buying_power")}
    for row in await rows(store, "positions"):
        if row["instrument"].count(":") > 1:  # spot profits never were cash of their own
            booked[str(row["account_id"]), SETTLE] -= row["realised_pnl"]
    return {
        "lost": sorted(set(acknowledged) - set(orders)),
        "not asked for": sorted(set(orders) - set(acknowledged)),
        "doubled at the venue": [name for name, found in known.items() if len(found) > 1],
        "unproved": [order for order, row in orders.items() if not _proved(row, known)],
        "fills": sorted(((trades - journal.fills) + (journal.fills - trades)).items()),
        "cash": sorted(
            (*key, booked.get(key), total)
            for key, total in journal.paid.items()
            if abs(booked.get(key, ZERO) - total) > DUST
        ),
        "dead letters": [(row["id"], row["error"]) for row in await rows(store, "dead_letters")],
    }


def _number(trade_id: str) -> str:
    """The venue's number of a trade, whatever the wire made of it."""
    digits = str(UUID(trade_id).int & 0xFFFF_FFFF_FFFF) if "-" in trade_id else trade_id
    return digits if len(digits) <= BYBIT_ID_DIGITS else str(int(digits[-BYBIT_ID_DIGITS:]))


def _proved(row: Mapping[str, Any], known: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Whether the venue says the same; an order that it never had is rejected, or was cancelled before it was sent."""
    theirs = known.get(row["client_order_id"])
    if not theirs:
        return row["status"] in {"rejected", "cancelled"} and not row["filled_quantity"]
    status = theirs[0]["status"]
    return bool(row["status"] == OPEN_WORDS.get(status, status))
