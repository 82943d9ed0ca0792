"""`patriot risk …`, `patriot kill`, `patriot resume`. Rule: a kill switch never asks whether you are sure.

A level is named as `account` (the session's, or one by its id), `user` (all your accounts), `strategy:NAME`. A manager
adds `--manager` and names `tenant`, `user:ID`, `account:ID` or `strategy:NAME`; an administrator names `platform`.
"""

import uuid
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Account, Json, state_of
from patriot.cli.figures import average, money, share
from patriot.cli.output import USAGE, done, fail, show
from patriot.cli.session import Client
from patriot.cli.tables import Column, amount, figure, plain_text, table

app = typer.Typer(help="Limits, exposure, value at risk, alerts.", no_args_is_help=True)

Level = Annotated[str, typer.Argument(help="account, account:ID, user, strategy:NAME, tenant, user:ID, platform.")]
Manager = Annotated[bool, typer.Option("--manager", help="As a fund manager of the tenant.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]

FRACTIONS = frozenset({"margin_ratio", "liquidation_distance", "drawdown", "concentration"})
LIMIT_COLUMNS = (plain_text("limit"), plain_text("value"), plain_text("set by"))
METRIC_COLUMNS = (plain_text("figure"), Column("value", itemgetter("value"), right=True))


def rules(context: typer.Context, as_json: Json = False) -> None:
    """Every pre-trade rule, in the order in which they are asked."""
    state = state_of(context, as_json)
    found = state.client().call("GET", "/risk/rules")
    columns = (plain_text("code"), plain_text("text", "what it demands"))
    show(found, as_json=state.as_json, text=table(columns, found["rules"]))


def limits(
    context: typer.Context,
    level: Level = "account",
    settings: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE …; without any, they are shown.")] = None,
    account: Account = None,
    manager: Manager = False,
    as_json: Json = False,
) -> None:
    """Show or replace the limits of a level: patriot risk limits account maximum_order_notional=5000."""
    state = state_of(context, as_json)
    client = state.client()
    named = _named(client, level, account)
    if settings:
        body = dict(_setting(client, text) for text in settings)
        found = client.call("POST", _path("limits", named, manager=manager), body)
    else:
        found = client.call("GET", f"/risk/levels/{quote(named)}")
    show(found, as_json=state.as_json, text=_level(found))


def show_account(context: typer.Context, account: Account = None, as_json: Json = False) -> None:
    """How an account stands: exposure, margin, value at risk, stress, alerts."""
    state = state_of(context, as_json)
    client = state.client()
    found = client.call("GET", f"/risk/accounts/{lookup.account_id(client, account)}")
    show(found, as_json=state.as_json, text=_standing(found))


def alerts(context: typer.Context, as_json: Json = False) -> None:
    """Figures of your accounts that are beyond a threshold now."""
    state = state_of(context, as_json)
    found = state.client().call("GET", "/risk/alerts")
    limit = Column("limit", lambda one: _metric(one["metric"], one["limit"]), right=True)
    columns = (plain_text("metric"), limit, Column("account", lambda one: lookup.short(one["account_id"])))
    show(found, as_json=state.as_json, text=table(columns, found["alerts"], empty="no alerts"))


def kill(
    context: typer.Context,
    level: Level = "account",
    reason: Reason = "asked on the command line",
    account: Account = None,
    manager: Manager = False,
    as_json: Json = False,
) -> None:
    """Kill switch: stop every new order below a level. Cancels pass."""
    _switch(context, "POST", level, account, reason, manager=manager, as_json=as_json)


def resume(
    context: typer.Context,
    level: Level = "account",
    reason: Reason = "asked on the command line",
    account: Account = None,
    manager: Manager = False,
    as_json: Json = False,
) -> None:
    """Let trading go on below a level."""
    _switch(context, "DELETE", level, account, reason, manager=manager, as_json=as_json)


def _switch(
    context: typer.Context, method: str, level: str, account: str | None, reason: str, *, manager: bool, as_json: bool
) -> None:
    state = state_of(context, as_json)
    client = state.client()
    path = _path("halts", _named(client, level, account), manager=manager)
    body, query = ({"reason": reason}, "") if method == "POST" else (None, f"?reason={quote(reason)}")
    found = client.call(method, path + query, body, Idempotency_Key=str(uuid.uuid4()))
    by = ", ".join(f"by the {who}: {why}" for who, why in found["halts"].items())
    still = "still " if method == "DELETE" else ""
    text = f"{found['scope']} is {still}halted {by}" if by else f"trading goes on: {found['scope']}"
    show(found, as_json=state.as_json, text=done(text))


def _named(client: Client, level: str, account: str | None) -> str:
    """The level with its whole id."""
    if level == "account" or level.startswith("account:"):
        return "account:" + lookup.account_id(client, level.partition(":")[2] or account)
    return level


def _path(what: str, level: str, *, manager: bool) -> str:
    """Who speaks decides which route it is."""
    if level == "platform":
        return "/risk/platform-limits" if what == "limits" else "/risk/platform-halt"
    prefix = "tenant-" if manager or level == "tenant" or level.startswith("user:") else ""
    return f"/risk/{prefix}{what}/{quote(level)}"


def _setting(client: Client, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        fail(f"{text!r} is not NAME=VALUE", USAGE, as_json=client.as_json)
    words: Mapping[str, Any] = {"true": True, "false": False, "none": None}
    if name in LISTS:
        return name, value.split(",")
    if name in COUNTS and value.isdigit():
        return name, int(value)
    return name, words.get(value, value)


LISTS = frozenset({"blocked_instruments", "sessions"})
COUNTS = frozenset(
    {
        "maximum_open_orders",
        "maximum_orders_per_second",
        "maximum_cancels_per_second",
        "price_age_seconds_max",
        "duplicate_seconds",
    }
)


def _level(level: Mapping[str, Any]) -> Any:
    lines: Sequence[Mapping[str, str]] = [
        {"limit": name, "value": _shown(value), "set by": who}
        for who, set_by_them in level["limits"].items()
        for name, value in set_by_them.items()
        if value is not None
    ]
    halts = [Text(f"halted by the {who}: {why}", "red") for who, why in level["halts"].items()]
    return Group(Text(level["scope"], "bold"), *halts, table(LIMIT_COLUMNS, lines, empty="no limits are set here"))


def _standing(found: Mapping[str, Any]) -> Any:
    """Tables of what is known; a figure that is not known is left out."""
    currency, exposure = found["currency"], found["exposure_by_asset"]
    figures = [{"figure": name, "value": _metric(name, value)} for name, value in found["figures"].items()]
    held = [{"asset": name, "value": value} for name, value in exposure.items()]
    return Group(
        Text(f"equity {money(found['equity']) or 'not known'} {currency}", "bold"),
        table(METRIC_COLUMNS, figures, empty="no figure is known"),
        table((plain_text("asset"), amount("value", f"exposure {currency}")), held, empty="no exposure"),
        _value_at_risk(found),
        table((plain_text("scenario", "stress"), plain_text("since"), amount("loss")), found["stress"]),
        *(
            Text(f"{alert['metric']} is beyond {_metric(alert['metric'], alert['limit'])}", "red")
            for alert in found["alerts"]
        ),
    )


def _metric(name: str, value: str) -> str:
    """See `patriot.domain.risk.standing`: what is not money is a fraction, leverage a multiple."""
    if name == "leverage":
        return f"{average(value) or 0}×"
    return share(value) if name in FRACTIONS else money(value)


def _value_at_risk(found: Mapping[str, Any]) -> Any:
    amounts = amount("value_at_risk", found["currency"]), amount("expected_shortfall", "shortfall")
    columns = (plain_text("method", "value at risk"), figure("confidence"), figure("days"), *amounts)
    return table(columns, found["value_at_risk"]) if found["value_at_risk"] else _why_no_value_at_risk(found)


def _why_no_value_at_risk(found: Mapping[str, Any]) -> str:
    needed = found["history_days_needed"]
    short = [f"{asset} has {days}" for asset, days in found["history_days"].items() if days < needed]
    if not found["exposure_by_asset"]:
        return "no value at risk: nothing is held"
    return f"no value at risk: it takes {needed} daily closes, {', '.join(short) or 'on days that all assets have'}"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


for name, command in (("show", show_account), ("alerts", alerts), ("limits", limits), ("rules", rules)):
    app.command(name)(command)


def register(main: typer.Typer) -> None:
    main.add_typer(app, name="risk")
    main.command()(kill)
    main.command()(resume)
