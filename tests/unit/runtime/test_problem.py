"""Errors as problems: stable codes, field and rule, the correlation id, and never an inside told."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from patriot.domain.errors import DomainError, InvalidTransition, InvalidValue
from patriot.runtime.problem import (
    ERRORS_MAX,
    TEXT_LENGTH_MAX,
    ProblemError,
    body,
    forbidden,
    not_found,
    of_exception,
    unauthenticated,
)
from patriot.security.errors import PermissionDenied, TokenExpired, TokenForged
from patriot.store.api import GuardFailed, InsufficientFunds, StoreError, StoreUnavailable, StreamId, VersionConflict
from schemas.commands import CreateOrder
from schemas.queries import Problem

CORRELATION = "req_1700000000000_0123abcd"
STREAM = StreamId(UUID(int=1), "order", UUID(int=2))


@pytest.mark.requirement("A5", "P15")
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidValue("price", "must be a multiple of 0.1"), 422, "invalid_value"),
        (InvalidTransition("it has ended"), 409, "invalid_transition"),
        (PermissionDenied("orders:create"), 403, "forbidden"),
        (TokenExpired("its time is over"), 401, "unauthenticated"),
        (TokenForged("signed with an unknown key"), 401, "unauthenticated"),
        (InsufficientFunds(UUID(int=1), "USDT", Decimal(1), Decimal(2)), 422, "insufficient_buying_power"),
        (GuardFailed("platform", halted=True), 409, "trading_halted"),
        (GuardFailed("account:1", halted=False), 409, "limits_changed"),
        (VersionConflict(STREAM, 3), 409, "conflict"),
        (StoreUnavailable("connection refused by 10.0.0.1"), 503, "store_unavailable"),
        (ClientDisconnect(), 400, "client_disconnected"),
        (HTTPException(405), 405, "method_not_allowed"),
        (HTTPException(404), 404, "not_found"),
        (ProblemError(418, "teapot", "short and stout"), 418, "teapot"),
        (not_found("order", 7), 404, "not_found"),
        (forbidden("orders:create"), 403, "forbidden"),
        (unauthenticated(), 401, "unauthenticated"),
    ],
)
def test_known_error_has_its_status_and_code(error: Exception, status: int, code: str):
    problem = of_exception(error)
    assert (problem.status, problem.code) == (status, code)
    shown = Problem.model_validate_json(body(problem, CORRELATION))
    assert (shown.status, shown.code, shown.correlation_id) == (status, code, CORRELATION)
    assert shown.type == f"urn:patriot:problem:{code}"
    assert "10.0.0.1" not in shown.detail


@pytest.mark.requirement("P14")
@given(
    st.text(min_size=3), st.sampled_from([ValueError, KeyError, RuntimeError, DomainError, StoreError, AssertionError])
)
def test_unknown_error_tells_nothing(inside: str, kind: type[Exception]):
    problem = of_exception(kind("password of ada: " + inside))
    assert (problem.status, problem.code) == (500, "internal")
    assert b"password" not in body(problem, CORRELATION)


def wrong_order(fields: dict[str, Any]) -> RequestValidationError:
    try:
        CreateOrder.model_validate(fields)
    except ValidationError as error:
        found = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()]
        return RequestValidationError(found)
    raise AssertionError("it is right")


def test_validation_names_every_field_and_its_rule():
    problem = of_exception(wrong_order({"quantity": 1.5, "side": "hold", "surprise": 1}))
    errors = dict(problem.errors)
    assert {"account_id", "instrument", "side", "quantity", "surprise"} <= set(errors)
    assert errors["quantity"].startswith("must be a decimal string")
    assert "quantity: must be" in problem.detail


@given(st.dictionaries(st.text(max_size=1000), st.integers(), min_size=100, max_size=120))
def test_answer_to_many_wrong_fields_is_bounded(fields: dict[str, int]):
    problem = of_exception(wrong_order(fields))
    assert len(problem.errors) == ERRORS_MAX
    assert all(len(field) <= TEXT_LENGTH_MAX and len(rule) <= TEXT_LENGTH_MAX for field, rule in problem.errors)


def test_malformed_json_says_what_is_wrong_with_it():
    error = RequestValidationError(
        [
            {
                "type": "json_invalid",
                "loc": ("body", 7),
                "msg": "JSON decode error",
                "ctx": {"error": "the key 'a' is there twice"},
            }
        ]
    )
    problem = of_exception(error)
    assert (problem.status, problem.code) == (400, "malformed_json")
    assert problem.errors == (("body", "the key 'a' is there twice"),)


def test_problem_about_the_whole_body_names_the_body():
    error = RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
    assert of_exception(error).errors == (("body", "Field required"),)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_body_is_json_whatever_it_says(field: str, rule: str):
    made = json.loads(body(ProblemError(422, "code", rule, [(field, rule)]), CORRELATION))
    assert made["errors"] == [{"field": field, "rule": rule}]
    assert orjson.loads(orjson.dumps(made)) == made
