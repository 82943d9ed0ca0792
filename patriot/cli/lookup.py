"""What a person types, and which order, account or instrument is meant. Rule: where two could be meant, neither is."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from patriot.cli.output import NOT_FOUND, REFUSED, USAGE, fail
from patriot.cli.session import Client

NEWEST = "last"
ORDERS_LOOKED_AT = 1000
_BEGINNING = re.compile(r"[0-9a-f-]{4,36}")


def order_id(client: Client, text: str) -> str:
    """The id of the order that `text` names: a whole id, the beginning of one of the newest orders' ids, or `last`."""
    if _is_whole(text):
        return text.lower()
    if text == NEWEST:
        newest = client.call("GET", "/orders?limit=1")["orders"]
        if not newest:
            fail("there is no order yet", NOT_FOUND, as_json=client.as_json)
        return str(newest[0]["order_id"])
    _check_beginning(client, text, "order", f", or `{NEWEST}`")
    orders = client.call("GET", f"/orders?limit={ORDERS_LOOKED_AT}")["orders"]
    return _only(client, "order", text, [order["order_id"] for order in orders])


def algorithm_id(client: Client, text: str) -> str:
    """The id of the algorithm that `text` names, as above."""
    if _is_whole(text):
        return text.lower()
    ids = [str(one["algorithm_id"]) for one in client.call("GET", "/algorithms")["algorithms"]]
    if text == NEWEST:
        if not ids:
            fail("there is no algorithm yet", NOT_FOUND, as_json=client.as_json)
        return ids[0]
    _check_beginning(client, text, "algorithm", f", or `{NEWEST}`")
    return _only(client, "algorithm", text, ids)


def account_id(client: Client, text: str | None) -> str:
    """The account that is named; else the session's; else the only one there is."""
    if text and _is_whole(text):
        return text.lower()
    if not text and client.session.account_id:
        return client.session.account_id
    accounts = client.call("GET", "/accounts")["accounts"]
    if text:
        _check_beginning(client, text, "account")
        return _only(client, "account", text, [account["account_id"] for account in accounts])
    active = [account["account_id"] for account in accounts if account["active"]]
    if not active:
        hint = "you have no account; open a paper account: patriot account link BINANCE"
        fail(hint, NOT_FOUND, as_json=client.as_json)
    if len(active) > 1:
        fail("you have several accounts; choose one with --account", USAGE, active, as_json=client.as_json)
    return str(active[0])


def instrument_hint(client: Client, text: str) -> str:
    """What may have been meant by an instrument that is not known."""
    prices = client.ask("GET", "/prices").json().get("prices", ())
    known = [price["instrument"] for price in prices]
    close = [name for name in known if name.endswith(f":{text}") or name.partition(":")[2].startswith(f"{text}:")]
    close = close or difflib.get_close_matches(text, known, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(close)}?" if close else "see what there is: patriot prices"


def short(identifier: str) -> str:
    """Enough of an id to name it on the command line."""
    return identifier[:8]


def _is_whole(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _check_beginning(client: Client, text: str, what: str, more: str = "") -> None:
    if not _BEGINNING.fullmatch(text.lower()):
        rule = f"{text!r} is no {what} id: give the whole id, its first 4 or more characters{more}"
        fail(rule, USAGE, as_json=client.as_json)


def _only(client: Client, what: str, text: str, ids: Sequence[str]) -> str:
    found = [identifier for identifier in ids if identifier.startswith(text.lower())]
    if not found:
        fail(f"there is no {what} {text}", NOT_FOUND, as_json=client.as_json)
    if len(found) > 1:
        listed = f"{len(found)} {what}s begin with {text}: {', '.join(found[:5])}"
        fail(listed, REFUSED, found, as_json=client.as_json)
    return found[0]


def is_about_instrument(problem: Mapping[str, Any]) -> bool:
    fields = [error["field"] for error in problem.get("errors") or ()]
    return problem.get("code") == "unknown_instrument" or "instrument" in fields
