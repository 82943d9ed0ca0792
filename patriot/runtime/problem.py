"""Every error that leaves the platform is RFC 9457 problem+json with a stable code and the correlation id.

A problem says which field broke which rule and what to do; it never carries a stack trace, SQL or a secret.
"""

from collections.abc import Sequence
from functools import singledispatch
from http import HTTPStatus

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.security.errors import PermissionDenied, TokenRefused
from patriot.store.api import GuardFailed, InsufficientFunds, StoreUnavailable, VersionConflict
from schemas.events import Event

RETRY_AFTER = {503: "1"}  # seconds; "send it again in a moment"
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:patriot:problem:"
ERRORS_MAX = 20  # a body of many wrong fields must not make a far larger answer
TEXT_LENGTH_MAX = 200


class ProblemError(Exception):
    """Raise to answer with a problem. `errors` are pairs (field, rule); `witness` is the event that it leaves."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        *,
        witness: Event | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.witness = witness


def not_found(what: str, identifier: object) -> ProblemError:
    return ProblemError(404, "not_found", f"there is no {what} {identifier}")


def forbidden(permission: str) -> ProblemError:
    return ProblemError(403, "forbidden", f"this needs the permission {permission}")


def unauthenticated() -> ProblemError:
    return ProblemError(401, "unauthenticated", "send a valid token: Authorization: Bearer <token>")


@singledispatch
def of_exception(_: Exception) -> ProblemError:
    """Turn what a handler raised into the problem that the caller sees. Unknown exceptions tell nothing."""
    return ProblemError(500, "internal", "the error is in the log under the correlation id")


@of_exception.register
def _(error: ProblemError) -> ProblemError:
    return error


@of_exception.register
def _(error: RequestValidationError) -> ProblemError:
    entries = error.errors()
    is_json = all(entry["type"] != "json_invalid" for entry in entries)
    errors = [(_field(entry["loc"]) if is_json else "body", _rule(entry)) for entry in entries[:ERRORS_MAX]]
    detail = "; ".join(f"{field}: {rule}" for field, rule in errors)
    return ProblemError(422 if is_json else 400, "invalid_request" if is_json else "malformed_json", detail, errors)


@of_exception.register
def _(error: InvalidValue) -> ProblemError:
    return ProblemError(422, "invalid_value", str(error), [(error.field, error.rule)])


@of_exception.register
def _(error: InvalidTransition) -> ProblemError:
    return ProblemError(409, "invalid_transition", str(error))


@of_exception.register
def _(error: PermissionDenied) -> ProblemError:
    return forbidden(error.permission)


@of_exception.register
def _(_: TokenRefused) -> ProblemError:
    return unauthenticated()


@of_exception.register
def _(error: InsufficientFunds) -> ProblemError:
    detail = f"{error.available} {error.asset} available, {error.required} required"
    return ProblemError(422, "insufficient_buying_power", detail, [("quantity", detail)])


@of_exception.register
def _(error: GuardFailed) -> ProblemError:
    return ProblemError(409, "trading_halted" if error.halted else "limits_changed", str(error))


@of_exception.register
def _(_: VersionConflict) -> ProblemError:
    return ProblemError(409, "conflict", "others changed this at the same time; send the request again")


@of_exception.register
def _(_: StoreUnavailable) -> ProblemError:
    return ProblemError(503, "store_unavailable", "nothing was changed as far as known; send it again")


@of_exception.register
def _(_: ClientDisconnect) -> ProblemError:
    return ProblemError(400, "client_disconnected", "the request ended before its body did")


@of_exception.register
def _(error: HTTPException) -> ProblemError:
    status = HTTPStatus(error.status_code)
    return ProblemError(status, status.phrase.lower().replace(" ", "_").replace("-", "_"), str(error.detail))


def headers(problem: ProblemError) -> dict[str, str]:
    """What goes with the body: when to come again, where that is what to do."""
    return {"Retry-After": RETRY_AFTER[problem.status]} if problem.status in RETRY_AFTER else {}


def body(problem: ProblemError, correlation_id: str) -> bytes:
    status = HTTPStatus(problem.status)
    return orjson.dumps(
        {
            "type": TYPE_PREFIX + problem.code,
            "title": status.phrase,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
            "correlation_id": correlation_id,
            "errors": [{"field": field, "rule": rule} for field, rule in problem.errors],
        }
    )


def _field(location: Sequence[object]) -> str:
    parts = [str(part) for part in location if part != "body"]
    return ".".join(parts)[:TEXT_LENGTH_MAX] or "body"


def _rule(entry: dict[str, object]) -> str:
    context = entry.get("ctx")
    if entry["type"] == "json_invalid" and isinstance(context, dict):
        return str(context["error"])[:TEXT_LENGTH_MAX]
    return str(entry["msg"]).removeprefix("Value error, ")[:TEXT_LENGTH_MAX]
