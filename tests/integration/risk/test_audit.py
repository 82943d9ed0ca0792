"""Who did what: an order, what it holds and its audit entry are one transaction; refusals and halts are told too."""

from uuid import UUID

import asyncpg
import orjson
import pytest

from patriot.store.postgres import PostgresStore
from tests.integration.risk.test_kill_switch import make_desk
from tests.support.host import TENANT


@pytest.mark.postgres
@pytest.mark.requirement("P3", "P22", "T7")
async def test_order_its_hold_and_its_audit_entry_are_one_transaction(database: str, postgres_store: PostgresStore):
    async with make_desk(postgres_store) as desk:
        desk.host.runtime.venues.clear()  # nothing comes after the creation
        receipt = await desk.user.json("POST", "/orders", desk.order(), 201)
        connection = await asyncpg.connect(database)
        try:
            written = {
                await connection.fetchval(statement, UUID(identifier))
                for statement, identifier in (
                    ("select xmin::text from event_store where aggregate_id = $1", receipt["order_id"]),
                    ("select xmin::text from buying_power where account_id = $1", desk.account),
                    ("select xmin::text from quotas where account_id = $1 and name = 'orders'", desk.account),
                )
            }
            entry = await connection.fetchrow(
                "select actor, action, correlation_id from audit_log where aggregate_id = $1 and event_version = 1",
                receipt["order_id"],
            )
        finally:
            await connection.close()
        assert len(written) == 1
        assert entry["action"] == "order.created"
        assert entry["actor"].startswith("user:")
        assert entry["correlation_id"] == receipt["correlation_id"]


@pytest.mark.postgres
@pytest.mark.requirement("P22", "T7")
async def test_every_decision_of_risk_is_in_the_audit_log(database: str, postgres_store: PostgresStore):
    async with make_desk(postgres_store) as desk:
        await desk.user.call("POST", "/orders", {**desk.order(), "price": "99000"})
        await desk.user.json("POST", f"/risk/halts/{desk.account}", {"reason": "holiday"})
        await desk.user.call("POST", "/orders", desk.order())
        await desk.user.json("DELETE", f"/risk/halts/{desk.account}")
        connection = await asyncpg.connect(database)
        try:
            rows = await connection.fetch(
                "select action, actor from audit_log where aggregate_type = 'risk' order by position"
            )
        finally:
            await connection.close()
    assert [row["action"] for row in rows] == [
        "risk.limits_changed",
        "risk.denied",
        "risk.halted",
        "risk.denied",
        "risk.resumed",
    ]
    assert {row["actor"][:5] for row in rows} == {"user:"}


@pytest.mark.postgres
@pytest.mark.requirement("P22", "A4")
async def test_refused_orders_are_found_by_their_account_alone(postgres_store: PostgresStore):
    async with make_desk(postgres_store) as desk:
        for price in ("99000", "98000", "97000"):
            await desk.user.call("POST", "/orders", {**desk.order(), "price": price})
    account = UUID(desk.account)
    found = await postgres_store.refused_orders(TENANT, account)
    assert [orjson.loads(event.data)["price"] for event in found] == ["99000", "98000", "97000"]
    assert await postgres_store.refused_orders(TENANT, account, found[0].position, limit=1) == found[2:]
    assert await postgres_store.refused_orders(UUID(int=99), account) == []
    assert await postgres_store.refused_orders(TENANT, UUID(int=99)) == []
