"""The public OpenAPI document. Rule: what every route has in common is said here, once: problems, tokens, keys.

A route itself says its shapes only. From `needs` and `idempotent` follow its security, its headers and which problems
it may answer with.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from patriot.runtime.context import SIGNED_IN
from patriot.runtime.problem import MEDIA_TYPE
from patriot.runtime.secured import KEY_LENGTH_MAX, SecuredRoute
from schemas.queries import Problem

Document = dict[str, Any]

PROBLEMS = {
    400: "malformed: not JSON, or a header or parameter that means nothing",
    401: "no valid token",
    403: "the token lacks the permission",
    404: "there is no such thing, or it is another's",
    409: "the state of things does not allow it now",
    413: "the body is too large",
    415: "the body is not application/json",
    422: "well formed, but against a rule; `errors` names field and rule",
    503: "the store did not answer; nothing was changed as far as known",
}
ALWAYS = (400, 401, 422, 503)
KEY_PARAMETER: Document = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "repeating a request under the same key (24 h) repeats its answer; another body is refused with 422",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[ -~]+$"},
}


def describe(app: FastAPI, routes: Iterable[SecuredRoute], prefix: str) -> Callable[[], Document]:
    """What `app.openapi` shall be: FastAPI's document, completed for `routes`, which are served under `prefix`."""
    known = tuple(routes)

    @cache
    def document() -> Document:
        made = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
        )
        for route in known:
            for method in route.methods or ():
                _complete(made["paths"][prefix + route.path_format][method.lower()], route)
        _add_components(made["components"])
        return made

    return document


def _complete(operation: Document, route: SecuredRoute) -> None:
    answers = operation["responses"]
    answers |= {str(status): {"$ref": f"#/components/responses/{status}"} for status in _problems_of(route)}
    if route.needs is not None:
        operation["security"] = [{"token": []}]
        needs = "a token of any role" if route.needs == SIGNED_IN else f"the permission `{route.needs}`"
        operation["description"] = f"{operation['description']}\n\nNeeds {needs}."
    if route.idempotent:
        operation.setdefault("parameters", []).append(KEY_PARAMETER)


def _problems_of(route: SecuredRoute) -> list[int]:
    statuses = {*ALWAYS, 404}
    if route.needs not in {None, SIGNED_IN}:
        statuses.add(403)
    if route.methods != {"GET"}:
        statuses |= {409, 413, 415}
    return sorted(statuses)


def _add_components(components: Document) -> None:
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["schemas"]["Problem"] = Problem.model_json_schema(mode="serialization")
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "from POST /auth/token"}
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        str(status): {"description": text, "content": content} for status, text in PROBLEMS.items()
    }
