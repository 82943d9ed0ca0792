"""What one operation has caused is found by its correlation id, in every store."""

import pytest
from msgspec.structs import replace

from patriot.store.api import Append, Store
from tests.store_samples import OTHER_TENANT, TENANT, commit, events, origin, stream


@pytest.mark.requirement("P15", "P16", "A4")
async def test_what_an_operation_caused_is_found_by_its_correlation_id(store: Store):
    mine, other = replace(origin(), correlation_id="req_1_0000000a"), replace(origin(), correlation_id="req_1_0000000b")
    first, second = stream(), stream("account")
    await store.commit(commit(mine, appends=[Append(first, 0, events())]))
    await store.commit(commit(other, appends=[Append(first, 1, events())]))
    await store.commit(commit(mine, appends=[Append(second, 0, events(2, "account.funded"))]))
    theirs = stream(tenant=OTHER_TENANT)
    foreign = replace(mine, tenant_id=OTHER_TENANT)
    await store.commit(commit(foreign, appends=[Append(theirs, 0, events())]))
    found = await store.caused_by(TENANT, "req_1_0000000a")
    assert [(event.stream, event.version) for event in found] == [(first, 1), (second, 1), (second, 2)]
    assert await store.caused_by(TENANT, "req_1_0000000a", limit=1) == found[:1]
    assert [event.stream for event in await store.caused_by(OTHER_TENANT, "req_1_0000000a")] == [theirs]
    assert await store.caused_by(TENANT, "req_1_0000000c") == []
