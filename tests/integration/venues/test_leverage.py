"""The adapter sets and reads a leverage at the built-in venue, over the protocols of Binance and Bybit."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from feeds.venue.faults import Fault, Rule
from patriot.domain.venue import Accepted, Rejected, Unknown
from tests.integration.venues.world import ACCOUNTS, LINEAR, World, world

pytestmark = [pytest.mark.requirement("P7", "P11"), pytest.mark.asyncio(loop_scope="module")]
at_each = pytest.mark.parametrize("venue", ACCOUNTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def living() -> AsyncIterator[World]:
    async with world() as found:
        yield found


@at_each
async def test_leverage_is_set_and_read_and_the_same_again_is_accepted(living: World, venue: str):
    account, instrument = ACCOUNTS[venue], f"{venue}:{LINEAR}"
    for leverage in (7, 7, 3):
        assert await living.adapter.set_leverage(account, instrument, leverage) == Accepted("")
        assert await living.adapter.leverages(account, [instrument]) == {instrument: Decimal(leverage)}


@at_each
async def test_more_than_the_venue_allows_is_rejected(living: World, venue: str):
    outcome = await living.adapter.set_leverage(ACCOUNTS[venue], f"{venue}:{LINEAR}", 126)
    assert isinstance(outcome, Rejected)
    assert "leverage" in outcome.reason


@at_each
async def test_lost_answer_is_unknown_and_asked_again_accepted(living: World, venue: str):
    account, instrument = ACCOUNTS[venue], f"{venue}:{LINEAR}"
    living.plan.add(Rule(Fault.ERROR_AFTER, operation="leverage"))
    assert isinstance(await living.adapter.set_leverage(account, instrument, 9), Unknown)
    assert await living.adapter.set_leverage(account, instrument, 9) == Accepted("")
    living.plan.add(Rule(Fault.ERROR_BEFORE, operation="query"))
    assert isinstance(await living.adapter.leverages(account, [instrument]), Unknown)
