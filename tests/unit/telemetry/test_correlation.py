"""Correlation ids: made from the ports, kept when valid, replaced when not, seen by every task inside."""

import asyncio
import contextlib
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.telemetry.correlation import (
    accept_correlation_id,
    add_correlation,
    correlated,
    correlation_headers,
    current_correlation_id,
    is_correlation_id,
    new_correlation_id,
)

ID = "req_1763690171123_9f86d081"


class Fixed:
    """A clock and an id source that stand still."""

    def now(self) -> datetime:
        return datetime(2025, 11, 21, 1, 56, 11, 123_999, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")

    def uuid(self) -> UUID:
        return UUID("9f86d081-884c-4d65-9a2f-eaa0c55ad015")


@pytest.mark.requirement("P15")
def test_new_id_is_made_of_clock_and_ids() -> None:
    assert new_correlation_id(Fixed(), Fixed()) == ID


@pytest.mark.requirement("P15")
@pytest.mark.parametrize("incoming", ["req_1_00000000", "req_1763690171123_ffffffff"])
def test_valid_incoming_id_is_kept(incoming: str) -> None:
    assert accept_correlation_id(incoming, Fixed(), Fixed()) == incoming


@pytest.mark.requirement("P15")
@pytest.mark.parametrize(
    "incoming",
    [
        None,
        "",
        "abc",
        ID + "\n",
        " " + ID,
        ID.upper(),
        "req_1763690171123_9F86D081",
        "req_1763690171123_9f86d08",
        "req_١٧٦٣_9f86d081",
        "req_1763690171123_9f86d081, " + ID,
        "req_" + "9" * 16 + "_9f86d081",
    ],
)
def test_invalid_incoming_id_is_replaced(incoming: str | None) -> None:
    assert accept_correlation_id(incoming, Fixed(), Fixed()) == ID


@given(st.text() | st.from_regex(r"req_\d+_[0-9a-f]+"))
def test_only_harmless_text_is_an_id(text: str) -> None:
    assert is_correlation_id(text) == bool(re.match(r"\Areq_[0-9]{1,15}_[0-9a-f]{8}\Z", text, re.ASCII))


@pytest.mark.requirement("P15")
def test_both_headers_go_with_an_outgoing_call() -> None:
    headers = {"Accept": "*/*"}
    with correlated(ID):
        add_correlation(headers)
    assert headers == {"Accept": "*/*", "X-Correlation-ID": ID, "X-Trace-ID": ID}
    assert correlation_headers(ID) == {"X-Correlation-ID": ID, "X-Trace-ID": ID}


def test_no_header_outside_of_any_operation() -> None:
    headers: dict[str, str] = {}
    add_correlation(headers)
    assert headers == {}


def test_id_is_restored_after_nesting_and_errors() -> None:
    with correlated("outer"):
        with correlated("inner"):
            assert current_correlation_id() == "inner"
        with contextlib.suppress(RuntimeError), correlated("failing"):
            raise RuntimeError
        assert current_correlation_id() == "outer"
    assert current_correlation_id() == ""


@pytest.mark.requirement("P15")
async def test_tasks_inherit_their_id_and_do_not_mix() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return current_correlation_id()

    async def request(name: str) -> str:
        with correlated(name):
            return await asyncio.create_task(work())

    names = [f"req_{number}_00000000" for number in range(50)]
    assert await asyncio.gather(*map(request, names)) == names
