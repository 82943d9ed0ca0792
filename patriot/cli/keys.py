"""`patriot keys`: the key ring of an installation. Rule: what is printed is public, what is secret stays in the file.

Where many processes share the ring, a key changes in three steps, and between two of them each process starts anew:
`add` (all know it), `use` (it makes what is new), `retire` (what the old one made is refused, or was sealed again).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any, TypeVar

import typer

from patriot.cli.common import Json, State, quiet_logs, state_of
from patriot.cli.output import REFUSED, done, fail, show
from patriot.cli.tables import plain_text, table
from patriot.security.errors import KeyRingError, SecurityError
from patriot.security.keys import KeyRing, SigningKeys, SymmetricKeys
from patriot.security.vault import Place, Vault, key_of
from patriot.store.api import StoreError
from patriot.store.envelopes import Envelopes
from patriot.store.migrate import MigrationsPending
from patriot.store.place import EmbeddedError

FILE = "keys.json"
Result = TypeVar("Result")

app = typer.Typer(help="The key ring: make, show, add, use, retire; reseal credentials.", no_args_is_help=True)


class Kind(StrEnum):
    """What keys are for."""

    USERS = "users"
    SERVICES = "services"
    VAULT = "vault"


What = Annotated[Kind, typer.Argument(help="users: tokens of people; services: of parts; vault: stored credentials.")]
Id = Annotated[str, typer.Argument(help="The key's id: `patriot keys show`.")]


@app.command()
def make(context: typer.Context, as_json: Json = False) -> None:
    """Make the ring of a new installation; refused where there is one."""
    state = state_of(context, as_json)
    path = _path(state)
    if path.exists():
        fail(f"{path} is there already: losing it makes every credential unreadable", REFUSED, as_json=as_json)
    KeyRing.load_or_create(path)
    text = f"{path} made. Back it up apart from the database: without it no stored credential can be read"
    show({"made": str(path)}, as_json=state.as_json, text=done(text))


@app.command("show")
def show_ring(context: typer.Context, as_json: Json = False) -> None:
    """The keys by id, and which one is used."""
    state = state_of(context, as_json)
    ring = _load(state)
    rows = [
        {"kind": kind.value, "id": identifier, "state": _state(_set(ring, kind), identifier)}
        for kind in Kind
        for identifier in _set(ring, kind).ids
    ]
    columns = [plain_text(name) for name in ("kind", "id", "state")]
    show({"keys": rows}, as_json=state.as_json, text=table(columns, rows))


@app.command()
def public(context: typer.Context, as_json: Json = False) -> None:
    """The public halves of the user keys, as values of the chart: a gateway verifies tokens with them."""
    state = state_of(context, as_json)
    users = _load(state).users
    pems = {identifier: users.pem(identifier) for identifier in users.ids}
    text = "gateway:\n  publicKeys:\n" + "".join(
        f'    "{name}": |\n{indent(pem, " " * 6)}' for name, pem in pems.items()
    )
    show({"gateway": {"publicKeys": pems}}, as_json=state.as_json, text=text.rstrip())


@app.command()
def add(context: typer.Context, kind: What, as_json: Json = False) -> None:
    """A new key that is known and not used yet: the first step of a rotation."""
    state = state_of(context, as_json)
    ring = _changed(state, kind, lambda keys: keys.added())
    _save(state, ring)
    identifier = _set(ring, kind).ids[-1]
    text = f"key {identifier} is known; once every process has it: patriot keys use {kind} {identifier}"
    show({"kind": kind, "added": identifier}, as_json=state.as_json, text=done(text))


@app.command()
def use(context: typer.Context, kind: What, identifier: Id, as_json: Json = False) -> None:
    """Sign or seal with this key from now on: the second step, when every process knows it."""
    state = state_of(context, as_json)
    _save(state, _changed(state, kind, lambda keys: keys.used(identifier)))
    show({"kind": kind, "used": identifier}, as_json=state.as_json, text=done(f"key {identifier} is used for {kind}"))


@app.command()
def retire(
    context: typer.Context,
    kind: What,
    identifier: Id,
    look: Annotated[
        bool, typer.Option(help="Ask the database who needs it; else `keys reseal` must have said 0.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Drop a key: the last step. A key of the vault goes only when no stored credential needs it any more."""
    state = state_of(context, as_json)
    quiet_logs()
    changed = _changed(state, kind, lambda keys: keys.retired(identifier))
    if kind is Kind.VAULT and look:
        found = _attempt(_asked(state, lambda envelopes: envelopes.read()), state)
        needed = sum(key_of(one.text) == identifier for one in found)
        if needed:
            fail(f"{needed} stored fields need key {identifier}: patriot keys reseal", REFUSED, as_json=state.as_json)
    _save(state, changed)
    show({"kind": kind, "retired": identifier}, as_json=state.as_json, text=done(f"key {identifier} is gone"))


@app.command()
def reseal(context: typer.Context, as_json: Json = False) -> None:
    """Seal every stored credential with the key that is used now. May be repeated, and run beside the platform."""
    state = state_of(context, as_json)
    quiet_logs()
    vault = Vault(_load(state).vault)

    async def run(envelopes: Envelopes) -> dict[str, int]:
        found = await envelopes.read()
        old = [one for one in found if not vault.is_current(one.text)]
        sealed = await envelopes.replace([(one, vault.rotate(one.text, Place(*one[:3]))) for one in old])
        return {"fields": len(found), "resealed": sealed, "changed_meanwhile": len(old) - sealed}

    result = _attempt(_asked(state, run), state)
    text = f"{result['resealed']} of {result['fields']} stored fields sealed anew"
    text += f"; {result['changed_meanwhile']} changed meanwhile: run it again" if result["changed_meanwhile"] else ""
    show(result, as_json=state.as_json, text=done(text))


# --- the ring ---
def _path(state: State) -> Path:
    return state.data_dir / FILE


def _load(state: State) -> KeyRing:
    try:
        return KeyRing.load(_path(state))
    except KeyRingError as error:
        fail(str(error), REFUSED, as_json=state.as_json)


def _set(ring: KeyRing, kind: Kind) -> SigningKeys | SymmetricKeys:
    found: SigningKeys | SymmetricKeys = getattr(ring, kind.value)
    return found


def _state(keys: SigningKeys | SymmetricKeys, identifier: str) -> str:
    if identifier == keys.current:
        return "used"
    newer = keys.ids.index(identifier) > keys.ids.index(keys.current)
    return "known, not used yet" if newer else "used before"


def _changed(state: State, kind: Kind, change: Callable[[Any], Any]) -> KeyRing:
    ring = _load(state)
    try:
        return replace(ring, **{kind.value: change(_set(ring, kind))})
    except KeyRingError as error:
        fail(str(error), REFUSED, as_json=state.as_json)


def _save(state: State, ring: KeyRing) -> None:
    try:
        ring.save(_path(state))
    except OSError as error:
        fail(f"{_path(state)}: {error.strerror}", REFUSED, as_json=state.as_json)


# --- what it sealed ---
async def _asked(state: State, ask: Callable[[Envelopes], Awaitable[Result]]) -> Result:
    from patriot.cli.running import settings_of
    from patriot.store.connections import urls_of
    from patriot.store.embedded import EmbeddedServer
    from patriot.store.open import open_store

    settings = settings_of(state, {})
    place, url = settings.data_dir / "postgres", settings.database_url or ""
    if not url and not EmbeddedServer(place).folder.exists():
        raise FileNotFoundError("no database here that holds credentials: set PATRIOT_DATABASE_URL")
    async with open_store(place, url, may_change=False):
        return await ask(Envelopes(urls_of(url).system if url else EmbeddedServer(place).url(user="patriot_system")))


def _attempt(work: Any, state: State) -> Any:
    try:
        return asyncio.run(work)
    except (SecurityError, StoreError, MigrationsPending, EmbeddedError, OSError) as error:
        fail(str(error), REFUSED, as_json=state.as_json)
