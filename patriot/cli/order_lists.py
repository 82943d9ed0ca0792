"""`patriot order …` for several orders: bracket, oco, oto, lists, cancel-all; and `patriot close`."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from patriot.cli import lookup
from patriot.cli.common import Account, Json, Key, State, state_of
from patriot.cli.orders import app, columns, trailing_of
from patriot.cli.output import USAGE, fail, show
from patriot.cli.session import Client
from patriot.cli.tables import table

Instrument = Annotated[str, typer.Argument(help="For example BINANCE:BTC/USDT:USDT; see `patriot prices`.")]
Side = Annotated[str, typer.Argument(help="buy or sell")]
Quantity = Annotated[str, typer.Argument(help="In the base asset.")]
SPOT_COLONS = 1


def bracket(
    context: typer.Context,
    instrument: Instrument,
    side: Side,
    quantity: Quantity,
    price: Annotated[str | None, typer.Argument(help="Limit price of the entry; none = market order.")] = None,
    stop_loss: Annotated[str | None, typer.Option(help="Where the loss is cut.")] = None,
    take_profit: Annotated[str | None, typer.Option(help="Where the profit is taken, by a limit order.")] = None,
    trail: Annotated[str | None, typer.Option(help="A trailing stop instead: see `order create`.")] = None,
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """An entry with its exits: they take what the entry fills, and one cancels the other."""
    draft = _Draft(context, instrument, quantity, account, as_json=as_json)
    draft.add(side, price=price)
    if stop_loss or trail:
        draft.add(_other(side), stop_price=stop_loss, trail=trail, exits=True)
    if take_profit:
        draft.add(_other(side), price=take_profit, exits=True)
    if len(draft.orders) == 1:
        fail("give --stop-loss, --take-profit or --trail", USAGE, as_json=draft.state.as_json)
    draft.create("bracket", key)


def oco(
    context: typer.Context,
    instrument: Instrument,
    side: Side,
    quantity: Quantity,
    price: Annotated[str, typer.Argument(help="Limit price of the one.")],
    stop_price: Annotated[str, typer.Argument(help="Stop price of the other.")],
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Never open or flip a position.")] = False,
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """A limit order and a stop: one cancels the other."""
    draft = _Draft(context, instrument, quantity, account, as_json=as_json)
    draft.add(side, price=price, exits=reduce_only)
    draft.add(side, stop_price=stop_price, exits=reduce_only)
    draft.create("oco", key)


def oto(
    context: typer.Context,
    instrument: Instrument,
    side: Side,
    quantity: Quantity,
    price: Annotated[str, typer.Argument(help="Limit price of the first order.")],
    then_side: Annotated[str, typer.Argument(help="Side of the second.")],
    then_price: Annotated[str, typer.Argument(help="Limit price of the second.")],
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """A limit order that waits for another to be filled: one triggers the other."""
    draft = _Draft(context, instrument, quantity, account, as_json=as_json)
    draft.add(side, price=price)
    draft.add(then_side, price=then_price, exits=then_side.lower() != side.lower())
    draft.create("oto", key)


def list_of(
    context: typer.Context,
    list_id: Annotated[str, typer.Argument(help="Id of the list.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel all of its orders.")] = False,
    as_json: Json = False,
) -> None:
    """The orders of a list."""
    state = state_of(context, as_json)
    client = state.client()
    if cancel:
        client.call("DELETE", f"/order-lists/{list_id}", Idempotency_Key=str(uuid.uuid4()))
    _show_list(state, client, list_id)


def cancel_all(
    context: typer.Context,
    instrument: Annotated[str | None, typer.Argument(help="Only of this instrument.")] = None,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """Cancel all open orders of the account."""
    state = state_of(context, as_json)
    client = state.client()
    _report(state, client.call("POST", "/orders/cancel", _scope(client, account, instrument), **_fresh()), "cancelled")


def close(
    context: typer.Context,
    instrument: Annotated[str | None, typer.Argument(help="The position to close.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All positions of the account.")] = False,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """Cancel the open orders of a position and close it at the market."""
    state = state_of(context, as_json)
    if bool(instrument) == every:
        fail("name an instrument, or --all", USAGE, as_json=state.as_json)
    client = state.client()
    _report(state, client.call("POST", "/positions/close", _scope(client, account, instrument), **_fresh()), "closing")


class _Draft:
    """The orders of one list, all of one quantity, before it is asked for."""

    def __init__(
        self, context: typer.Context, instrument: str, quantity: str, account: str | None, *, as_json: bool
    ) -> None:
        self.state = state_of(context, as_json)
        self._client = self.state.client()
        account_id = lookup.account_id(self._client, account)
        self._shared = {"account_id": account_id, "instrument": instrument.upper(), "quantity": quantity}
        self._derivative = instrument.count(":") > SPOT_COLONS
        self.orders: list[Mapping[str, Any]] = []

    def add(
        self,
        side: str,
        *,
        price: str | None = None,
        stop_price: str | None = None,
        trail: str | None = None,
        exits: bool = False,
    ) -> None:
        order_type = "trailing_stop" if trail else "stop" if stop_price else "limit" if price else "market"
        order: dict[str, Any] = {
            "side": side.lower(),
            "order_type": order_type,
            "price": price,
            "stop_price": stop_price,
        }
        order |= {"trailing": trailing_of(trail) if trail else None}
        self.orders.append({**self._shared, **order, "reduce_only": exits and self._derivative})

    def create(self, kind: str, key: str | None) -> None:
        body = {"kind": kind, "orders": self.orders}
        made = self._client.call("POST", "/order-lists", body, Idempotency_Key=key or str(uuid.uuid4()))
        _show_list(self.state, self._client, made["list_id"])


def _other(side: str) -> str:
    return "sell" if side.lower() == "buy" else "buy"


def _show_list(state: State, client: Client, list_id: str) -> None:
    page = client.call("GET", f"/orders?list_id={list_id}")
    text = table(columns(), page["orders"], empty="no orders")
    show({"list_id": list_id, **page}, as_json=state.as_json, text=text)


def _scope(client: Client, account: str | None, instrument: str | None) -> dict[str, Any]:
    return {
        "account_id": lookup.account_id(client, account),
        "instrument": instrument.upper() if instrument else None,
    }


def _fresh() -> dict[str, str]:
    return {"Idempotency_Key": str(uuid.uuid4())}


def _report(state: State, receipts: Mapping[str, Any], word: str) -> None:
    ids = [one["order_id"] for one in receipts["orders"]]
    text = "\n".join(f"{word} {one}" for one in ids) or "nothing was open"
    show(receipts, as_json=state.as_json, text=text)


for name, command in (
    ("bracket", bracket),
    ("oco", oco),
    ("oto", oto),
    ("of-list", list_of),
    ("cancel-all", cancel_all),
):
    app.command(name)(command)


def register(main: typer.Typer) -> None:
    main.command("close")(close)
