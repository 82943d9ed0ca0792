"""`patriot trace`: one request's way through the platform. Rule: it needs no collector, only what is stored anyway.

The events that the request caused, all others of its orders, and the log's lines about any of them. What a venue told
later has a correlation id of its own and is shown all the same: from placement to settlement. A line tells how long its
service worked; where a service has written none, an event ends what it did since the entry before.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Group

from patriot.cli import lookup
from patriot.cli.common import Json, state_of
from patriot.cli.output import NOT_FOUND, fail, show
from patriot.cli.running import LOG_FILE
from patriot.cli.session import Client
from patriot.cli.story import story
from patriot.cli.tables import Column, plain_text, table
from patriot.runtime.dapr.processes import FOLDER
from patriot.telemetry.correlation import is_correlation_id

BAR_CELLS = 24
ORDER_PREFIX = "order."
WHERE_ELSE = "; logs that lie elsewhere can be named: --logs FILE"
FAILURES = frozenset({"order.rejected", "order.submit_unknown", "order.modify_rejected", "order.cancel_rejected"})
BAD_LEVELS = frozenset({"warning", "error", "critical"})
TOLD = ("status", "verdict", "error", "code", "reason")
"""Of a line's context, what says how it went."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `duration_ms` up to `at`; None where nothing tells it, or another entry does."""

    at: datetime
    service: str
    what: str
    correlation_id: str
    failed: bool
    duration_ms: float | None = None


def trace(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help="Correlation id (req_…); or an order: its id, beginning, `last`.")],
    logs: Annotated[list[Path] | None, typer.Option(help="JSON logs to look into, besides the platform's own.")] = None,
    as_json: Json = False,
) -> None:
    """Show the way of one request: what each service did, how long it took, what went wrong."""
    state = state_of(context, as_json)
    client = state.client()
    correlation_id, told = _found(client, request)
    mine = {correlation_id, *(one.correlation_id for one in told)}
    parts = sorted((state.data_dir / FOLDER).glob("*.log"))
    entries = flow([*told, *_lines(mine, [*(logs or ()), state.data_dir / LOG_FILE, *parts])])
    if not entries:
        fail(f"nothing of yours is known of {correlation_id}{WHERE_ELSE}", NOT_FOUND, as_json=state.as_json)
    services = by_service(entries)
    document = {"correlation_id": correlation_id, "flow": [asdict(one) for one in entries], "services": services}
    text = Group(correlation_id, _timeline(correlation_id, entries), "", _summary(services))
    show(document, as_json=state.as_json, text=text)


def flow(entries: Iterable[Entry]) -> list[Entry]:
    """In order of time. What a service that tells no durations did took as long as has passed since what was before."""
    ordered = sorted(entries, key=lambda one: one.at)
    telling = {one.service for one in ordered if one.duration_ms is not None}
    return [
        one if one.service in telling else replace(one, duration_ms=(one.at - before.at).total_seconds() * 1000)
        for before, one in zip(ordered[:1] + ordered, ordered, strict=False)
    ]


def by_service(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Of each service, in order of appearance: how often, how long, how many errors."""
    names = dict.fromkeys(one.service for one in entries)
    mine = {name: [one for one in entries if one.service == name] for name in names}
    return [
        {
            "service": name,
            "entries": len(all_of),
            "duration_ms": sum(one.duration_ms or 0 for one in all_of),
            "errors": sum(one.failed for one in all_of),
        }
        for name, all_of in mine.items()
    ]


def bar(entry: Entry, entries: Sequence[Entry], cells: int = BAR_CELLS) -> str:
    """Where in the whole flow the entry lies: at least one mark wide."""
    whole = max(_ends_ms(one, entries) for one in entries) or 1.0
    end = _ends_ms(entry, entries)
    begin = max(0.0, end - (entry.duration_ms or 0))
    left = min(cells - 1, int(begin / whole * cells))
    return " " * left + "━" * max(1, round(end / whole * cells) - left)


def _ends_ms(entry: Entry, entries: Sequence[Entry]) -> float:
    """After the beginning of what began first."""
    began = min(one.at - timedelta(milliseconds=one.duration_ms or 0) for one in entries)
    return (entry.at - began).total_seconds() * 1000


# --- what is known ---
def _found(client: Client, request: str) -> tuple[str, list[Entry]]:
    """The correlation id, and the events of its orders."""
    if not is_correlation_id(request):
        events = _events(client, lookup.order_id(client, request))
        return str(events[0]["correlation_id"]), _entries(events)
    caused = client.call("GET", f"/trace/{request}")["events"]
    orders = dict.fromkeys(event["aggregate_id"] for event in caused if event["type"].startswith(ORDER_PREFIX))
    others = [event for event in caused if event["aggregate_id"] not in orders]
    return request, _entries([*others, *(event for order_id in orders for event in _events(client, order_id))])


def _events(client: Client, order_id: str) -> list[Mapping[str, Any]]:
    events: list[Mapping[str, Any]] = client.call("GET", f"/events/{order_id}")["events"]
    return events


def _entries(events: Sequence[Mapping[str, Any]]) -> list[Entry]:
    services = _services()
    return [
        Entry(
            datetime.fromisoformat(event["occurred_at"]),
            services.get(event["type"], "patriot"),
            story(event["type"], event["data"]),
            event["correlation_id"],
            event["type"] in FAILURES,
        )
        for event in events
    ]


def _services() -> dict[str, str]:
    """Who publishes what."""
    from patriot.runtime import discovery

    parts = [*discovery.functions(), *discovery.feeds()]
    return {kind.TYPE: part.name for part in reversed(parts) for kind in part.publishes}


def _lines(correlation_ids: AbstractSet[str], files: Iterable[Path]) -> Iterator[Entry]:
    marks = re.compile(b"|".join(re.escape(one.encode()) for one in sorted(correlation_ids)))
    for file in files:
        if not file.is_file():
            continue
        with file.open("rb") as lines:
            for line in lines:
                if marks.search(line) and (entry := _line(line, correlation_ids)):
                    yield entry


def _line(text: bytes, correlation_ids: AbstractSet[str]) -> Entry | None:
    try:
        line = orjson.loads(text)
        if line["correlation_id"] not in correlation_ids:
            return None
        said = [line["message"], *(str(line["context"][name]) for name in TOLD if name in line["context"])]
        return Entry(
            at=datetime.fromisoformat(line["timestamp"]),
            service=line["service"],
            what=" ".join(one for one in said if one != "SUCCESS"),
            correlation_id=line["correlation_id"],
            failed=line["level"] in BAD_LEVELS,
            duration_ms=line["duration_ms"],
        )
    except (ValueError, KeyError, TypeError):  # cut off, or another program's
        return None


# --- what is shown ---
def _timeline(correlation_id: str, entries: Sequence[Entry]) -> Any:
    rows = [
        {
            "at": f"{_ends_ms(one, entries):.1f}",
            "service": one.service,
            "what": one.what if one.correlation_id == correlation_id else f"later: {one.what}",
            "ms": "" if one.duration_ms is None else f"{one.duration_ms:.1f}",
            "bar": bar(one, entries),
            "failed": "wrong" if one.failed else "",
        }
        for one in entries
    ]
    columns = (
        Column("at ms", lambda row: row["at"], right=True),
        plain_text("service"),
        plain_text("what", "what happened"),
        Column("ms", lambda row: row["ms"], right=True),
        plain_text("bar", "", wide=True),
        plain_text("failed", ""),
    )
    return table(columns, rows, empty="nothing")


def _summary(services: Sequence[Mapping[str, Any]]) -> Any:
    columns = (
        plain_text("service"),
        Column("entries", lambda row: str(row["entries"]), right=True),
        Column("ms", lambda row: f"{row['duration_ms']:.1f}", right=True),
        Column("errors", lambda row: str(row["errors"]), right=True),
    )
    return table(columns, services, empty="nothing")


def register(app: typer.Typer) -> None:
    app.command()(trace)
