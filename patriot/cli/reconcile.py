"""`patriot reconcile`: compare an account with its venue."""

import uuid

import typer

from patriot.cli import lookup
from patriot.cli.common import Account, Json, state_of
from patriot.cli.output import show
from patriot.cli.tables import plain_text, table


def reconcile(context: typer.Context, account: Account = None, as_json: Json = False) -> None:
    """Compare orders, balances and positions with the venue now; what differs is told and mended."""
    state = state_of(context, as_json)
    client = state.client()
    path = f"/accounts/{lookup.account_id(client, account)}/reconcile"
    found = client.call("POST", path, Idempotency_Key=str(uuid.uuid4()))
    columns = (
        plain_text("kind"),
        plain_text("subject"),
        plain_text("ours", "here"),
        plain_text("theirs", "at the venue"),
    )
    show(found, as_json=state.as_json, text=table(columns, found["divergences"], empty="both agree"))


def register(main: typer.Typer) -> None:
    main.command("reconcile")(reconcile)
