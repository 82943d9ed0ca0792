"""`patriot user …`: who may do what. Rule: a password is never an argument; a new one is shown once, or asked for.

Administrators create and manage; they are other users than those who trade: set PATRIOT_USERNAME and PATRIOT_PASSWORD.
"""

import asyncio
import os
import secrets
import uuid
from typing import Annotated, Any

import typer
from rich.text import Text

from patriot.cli.common import Json, State, quiet_logs, state_of
from patriot.cli.figures import moment
from patriot.cli.output import NOT_FOUND, REFUSED, done, fail, show
from patriot.cli.session import Client
from patriot.cli.tables import Column, plain_text, table

app = typer.Typer(help="Create users, give roles, verify, deactivate.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(help="Username, or the user's id.")]
RoleName = Annotated[str, typer.Argument(help="user, fund_manager or admin.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
ASKED = "asked on the command line"

COLUMNS = (
    plain_text("username"),
    plain_text("role"),
    Column("state", lambda user: Text(user["status"], "green" if user["status"] == "active" else "dim")),
    plain_text("compliance"),
    Column("since", lambda user: moment(user["since"])),
    plain_text("user_id", "user id"),
)


def create(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="How the user logs in.")],
    role: RoleName = "user",
    as_json: Json = False,
) -> None:
    """Make a user. The password is made, too, and shown once; PATRIOT_NEW_PASSWORD sets another."""
    state = state_of(context, as_json)
    given = os.environ.get("PATRIOT_NEW_PASSWORD", "")
    password = given or secrets.token_urlsafe(18)
    body = {"username": username, "password": password, "role": role}
    user = state.client().call("POST", "/tenant-users", body, Idempotency_Key=str(uuid.uuid4()))
    text = f"{user['role']} {username!r} made" + ("" if given else f"; the password, shown only now: {password}")
    show(user | ({} if given else {"password": password}), as_json=state.as_json, text=done(text))


def list_users(context: typer.Context, as_json: Json = False) -> None:
    """Everybody of your tenant."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/tenant-users")
    show(page, as_json=state.as_json, text=table(COLUMNS, page["users"]))


def me(context: typer.Context, as_json: Json = False) -> None:
    """Who you are here."""
    state = state_of(context, as_json)
    user = state.client().call("GET", "/users/me")
    text = f"{user['username']}: {user['role']}, {user['status']}, compliance {user['compliance']}"
    show(user, as_json=state.as_json, text=text)


def password(
    context: typer.Context,
    lost: Annotated[bool, typer.Option("--lost", help="With the one-time password of an administrator.")] = False,
    as_json: Json = False,
) -> None:
    """Change your own password. The new one is asked for, or is PATRIOT_NEW_PASSWORD. Other log-ins of yours end."""
    state = state_of(context, as_json)
    client = state.client()
    proof = _one_time_password(client) if lost else {"old_password": client.session.password}
    new = os.environ.get("PATRIOT_NEW_PASSWORD") or typer.prompt(
        "New password", hide_input=True, confirmation_prompt=True, err=True
    )
    answer = client.call("POST", "/auth/password/reset" if lost else "/auth/password", proof | {"new_password": new})
    client.keep(password=new, token=answer["access_token"])
    show({"changed": True}, as_json=state.as_json, text=done("password changed; other log-ins of yours have ended"))


def reset_password(context: typer.Context, who: Who, as_json: Json = False) -> None:
    """For who has lost the password: the old one and all log-ins end, a one-time password is made and shown once.

    Hand it over; within an hour the user sets another with it: `patriot user password --lost`.
    """
    state = state_of(context, as_json)
    client = state.client()
    made = client.call("POST", f"/tenant-users/{_user_id(client, who)}/password-reset")
    text = f"one-time password of {made['username']!r}, shown only now: {made['one_time_password']}"
    text += f"\n  it works once, until {moment(made['expires_at'])}, with `patriot user password --lost`"
    show(made, as_json=state.as_json, text=done(text))


def logout(context: typer.Context, as_json: Json = False) -> None:
    """End every token of yours, wherever it is used. The next command here logs in anew."""
    state = state_of(context, as_json)
    client = state.client()
    answer = client.call("POST", "/auth/logout")
    client.keep(token="")
    show(answer, as_json=state.as_json, text=done("logged out everywhere"))


def role(context: typer.Context, who: Who, role: RoleName, reason: Reason = ASKED, as_json: Json = False) -> None:
    """Give another role. It counts from the next log-in on; who is logged in must do so again."""
    _manage(state_of(context, as_json), who, {"role": role, "reason": reason})


def deactivate(context: typer.Context, who: Who, reason: Reason = ASKED, as_json: Json = False) -> None:
    """Let nobody log in as this user; nothing new of theirs is sent from now on. Their history stays."""
    _manage(state_of(context, as_json), who, {"status": "deactivated", "reason": reason})


def activate(context: typer.Context, who: Who, reason: Reason = ASKED, as_json: Json = False) -> None:
    """Let the user in again."""
    _manage(state_of(context, as_json), who, {"status": "active", "reason": reason})


def verify(
    context: typer.Context,
    who: Who,
    status: Annotated[str, typer.Argument(help="unverified, pending, verified or rejected.")] = "verified",
    reason: Reason = ASKED,
    as_json: Json = False,
) -> None:
    """Set the compliance status. The limit verified_only (live, all) says where it takes one to trade."""
    _manage(state_of(context, as_json), who, {"compliance": status, "reason": reason})


def first_admin(context: typer.Context, as_json: Json = False) -> None:
    """Make the first administrator, right in the database: for a platform that `patriot up` did not start."""
    from patriot.cli.running import START_ERRORS, settings_of
    from patriot.runtime.edge import system_context
    from patriot.runtime.platform import make_host
    from patriot.runtime.users import Credentials
    from patriot.runtime.users import first_admin as made
    from patriot.store.open import open_store

    quiet_logs()
    state = state_of(context, as_json)
    settings = settings_of(state, {})

    async def run() -> Credentials | None:
        async with open_store(settings.data_dir / "postgres", settings.database_url or "") as store:
            return await made(system_context(make_host(settings, store).runtime, "user-commands"))

    try:
        found = asyncio.run(run())
    except START_ERRORS as error:
        fail(str(error), REFUSED, as_json=state.as_json)
    if found is None:
        fail("there is an administrator already; administrators make others", REFUSED, as_json=state.as_json)
    text = f"administrator {found.username!r} made; the password, shown only now: {found.password}"
    show(found._asdict(), as_json=state.as_json, text=done(text))


def _one_time_password(client: Client) -> dict[str, str]:
    """Asked for, or PATRIOT_ONE_TIME_PASSWORD. Whatever the session knew of a log-in has ended."""
    client.keep(token="")
    given = os.environ.get("PATRIOT_ONE_TIME_PASSWORD") or typer.prompt("One-time password", hide_input=True, err=True)
    return {"username": client.session.username, "one_time_password": given}


def _manage(state: State, who: str, change: dict[str, Any]) -> None:
    client = state.client()
    path = f"/tenant-users/{_user_id(client, who)}"
    user = client.call("PATCH", path, change, Idempotency_Key=str(uuid.uuid4()))
    text = f"{user['username']} is {user['role']}, {user['status']}, compliance {user['compliance']}"
    show(user, as_json=state.as_json, text=done(text))


def _user_id(client: Client, who: str) -> str:
    users = client.call("GET", "/tenant-users")["users"]
    found = [user["user_id"] for user in users if who.lower() in {user["username"].lower(), user["user_id"]}]
    if not found:
        fail(f"there is no user {who!r}; see `patriot user list`", NOT_FOUND, as_json=client.as_json)
    return str(found[0])


for command in (me, create, password, reset_password, role, verify, deactivate, activate):
    app.command()(command)
app.command("list")(list_users)
app.command("first-admin")(first_admin)
