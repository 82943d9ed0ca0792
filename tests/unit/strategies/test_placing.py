"""A signal becomes one order, however often it has to be asked for."""

from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from feeds.strategies.app import ASK_AGAIN_SECONDS, place_order
from patriot.runtime.clock import SeededIds
from patriot.runtime.ports import Response
from patriot.strategy import Intent
from tests.support.host import PERPETUAL

WANTED = Intent(PERPETUAL.id, "buy", Decimal("0.1"))


class Asked:
    """Stands in for the context of a feed, and for the part that is asked."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self._statuses = iter(statuses)
        self._ids = SeededIds(1)
        self.paths: list[str] = []
        self.runtime, self.service = SimpleNamespace(clock=self), "strategies"
        self.origin = SimpleNamespace(correlation_id="req_1_00000000")

    def uuid(self) -> UUID:
        return self._ids.uuid()

    def fresh(self) -> "Asked":
        return self

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        assert seconds in ASK_AGAIN_SECONDS

    async def invoke(self, _app: str, _method: str, path: str, _body: bytes) -> Response:
        self.paths.append(path)
        status = next(self._statuses)
        if not status:
            raise TimeoutError
        return Response(status, {}, b"{}")


@pytest.mark.parametrize(
    ("statuses", "made"),
    [([200], True), ([422], False), ([0, 503, 200], True), ([503, 409], False), ([0, 0, 0], True)],
    ids=["made", "refused", "made at last", "refused at last", "no answer: it is waited for"],
)
async def test_signal_is_asked_for_under_one_id_until_there_is_an_answer(statuses: list[int], *, made: bool) -> None:
    asked: Any = Asked(statuses)
    order_id = await place_order(asked, UUID(int=1), "mine", WANTED)
    assert (order_id is not None) == made
    assert len(asked.paths) == len(statuses)
    assert len(set(asked.paths)) == 1
