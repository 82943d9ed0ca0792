"""`patriot trace`: one request's way through the platform. Rule: it needs no collector, only what is stored anyway.

The events of the orders that the request made, and of the log those lines that carry its correlation id. An event ends
what its service did since the entry before; a line that tells its own duration is believed. What a venue told later
has a correlation id of its own and is shown all the same: from placement to settlement.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
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
from patriot.telemetry.correlation import is_correlation_id

BAR_CELLS = 24
ORDERS_LOOKED_AT = 1000
MADE_WITHIN_SECONDS = 60.0  # an order's creation after its request came
FAILURES = frozenset({"order.rejected", "order.submit_unknown", "order.modify_rejected", "order.cancel_rejected"})
BAD_LEVELS = frozenset({"warning", "error", "critical"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `duration_ms` up to `at`; None where nothing tells it."""

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
    files = [*(logs or ()), state.data_dir / LOG_FILE]
    entries = flow([*told, *_lines(correlation_id, files)])
    if not entries:
        fail(f"nothing is known of {correlation_id}", NOT_FOUND, as_json=state.as_json)
    services = by_service(entries)
    document = {"correlation_id": correlation_id, "flow": [asdict(one) for one in entries], "services": services}
    show(document, as_json=state.as_json, text=Group(correlation_id, _timeline(entries), "", _summary(services)))


def flow(entries: Iterable[Entry]) -> list[Entry]:
    """In order of time; what tells no duration took as long as has passed since the entry before."""
    ordered = sorted(entries, key=lambda one: one.at)
    before = ordered[0].at if ordered else None
    timed = []
    for one in ordered:
        assert before is not None
        passed = (one.at - before).total_seconds() * 1000
        timed.append(one if one.duration_ms is not None else replace(one, duration_ms=passed))
        before = one.at
    return timed


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
    first = entries[0].at
    whole = max((one.at - first).total_seconds() * 1000 for one in entries) or 1.0
    end = (entry.at - first).total_seconds() * 1000
    begin = max(0.0, end - (entry.duration_ms or 0))
    left = min(cells - 1, int(begin / whole * cells))
    return " " * left + "━" * max(1, round(end / whole * cells) - left)


# --- what is known ---
def _found(client: Client, request: str) -> tuple[str, list[Entry]]:
    """The correlation id, and the events of its orders."""
    if not is_correlation_id(request):
        events = _events(client, lookup.order_id(client, request))
        return str(events[0]["correlation_id"]), _entries(events)
    came = datetime.fromtimestamp(int(request.split("_")[1]) / 1000, UTC)
    orders = client.call("GET", f"/orders?limit={ORDERS_LOOKED_AT}")["orders"]
    near = [one for one in orders if 0 <= _since(came, one["created_at"]) + 1 <= MADE_WITHIN_SECONDS]
    streams = [_events(client, one["order_id"]) for one in near]
    return request, [
        entry
        for events in streams
        if any(event["correlation_id"] == request for event in events)
        for entry in _entries(events)
    ]


def _since(came: datetime, text: str) -> float:
    return (datetime.fromisoformat(text) - came).total_seconds()


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


def _lines(correlation_id: str, files: Iterable[Path]) -> Iterator[Entry]:
    mark = correlation_id.encode()
    for file in files:
        if not file.is_file():
            continue
        with file.open("rb") as lines:
            for line in lines:
                if mark in line and (entry := _line(line, correlation_id)):
                    yield entry


def _line(text: bytes, correlation_id: str) -> Entry | None:
    try:
        line = orjson.loads(text)
        if line["correlation_id"] != correlation_id:
            return None
        at = datetime.fromisoformat(line["timestamp"])
        return Entry(
            at, line["service"], line["message"], correlation_id, line["level"] in BAD_LEVELS, line["duration_ms"]
        )
    except (ValueError, KeyError, TypeError):  # cut off, or another program's
        return None


# --- what is shown ---
def _timeline(entries: Sequence[Entry]) -> Any:
    first = entries[0]
    rows = [
        {
            "at": f"{(one.at - first.at).total_seconds() * 1000:.1f}",
            "service": one.service,
            "what": one.what if one.correlation_id == first.correlation_id else f"later: {one.what}",
            "ms": f"{one.duration_ms:.1f}",
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
