"""Administrators: the first one, the others, and what they do to users, through the public API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.runtime.users import Credentials, first_admin
from patriot.store.memory import MemoryStore
from schemas.upcasters import decode_event
from tests.support.host import PASSWORD, PERPETUAL, Client, define, running_host, set_price
from tests.support.venues import RestingVenue


async def log_in(host: Host, username: str, password: str, status: int = 200) -> Client:
    answer = await Client(host).json("POST", "/auth/token", {"username": username, "password": password}, status)
    return Client(host, answer.get("access_token", ""))


async def make_admin(host: Host) -> Credentials | None:
    return await first_admin(system_context(host.runtime, "user-commands"))


class Office:
    """An administrator, a fund manager, and ada, who trades."""

    def __init__(self, host: Host, admin: Client, manager: Client, ada: Client, account: str) -> None:
        self.host, self.admin, self.manager, self.ada, self.account = host, admin, manager, ada, account

    async def order(self, status: int, client: Client | None = None) -> Any:
        body = {"instrument": PERPETUAL.id, "side": "buy", "order_type": "limit", "quantity": "0.01", "price": "50000"}
        return await (client or self.ada).json("POST", "/orders", {**body, "account_id": self.account}, status)

    async def user(self, username: str) -> Any:
        users = (await self.admin.json("GET", "/tenant-users"))["users"]
        return next(user for user in users if user["username"] == username)

    async def manage(self, username: str, code: int = 200, **change: str) -> Any:
        path = f"/tenant-users/{(await self.user(username))['user_id']}"
        return await self.admin.json("PATCH", path, change, code)

    async def events(self) -> list[tuple[str, str]]:
        """(type, actor), without what trading leaves."""
        read = [one async for one in self.host.runtime.store.read() if one.stream.kind in {"user", "risk"}]
        return [(decode_event(one.type, one.schema_version, one.data).TYPE, one.origin.actor) for one in read]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with running_host() as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        made = await make_admin(host)
        assert made is not None
        admin = await log_in(host, *made)
        olga = {"username": "olga", "password": PASSWORD, "role": "fund_manager"}
        await admin.json("POST", "/tenant-users", olga, 201)
        ada = await Client(host).register("ada")
        account = await ada.paper_account(USDT="10000")
        yield Office(host, admin, await log_in(host, "olga", PASSWORD), ada, account)


@pytest.mark.requirement("P1", "P14")
async def test_first_administrator_is_made_once() -> None:
    store = MemoryStore()
    async with running_host(store) as host:
        made = await make_admin(host)
        assert made is not None
        assert await make_admin(host) is None
        admin = await log_in(host, *made)
        me = await admin.json("GET", "/tenant-users")
        assert [(user["username"], user["role"]) for user in me["users"]] == [("admin", "admin")]
    async with running_host(store) as host:
        assert await make_admin(host) is None, "nor at the next start"


@pytest.mark.requirement("P14")
async def test_name_of_the_administrator_may_be_taken() -> None:
    async with running_host() as host:
        await Client(host).register("admin")
        made = await make_admin(host)
        assert made is not None
        assert made.username.startswith("admin-")


@pytest.mark.requirement("P1", "P14", "P22")
async def test_administrator_gives_roles_and_each_does_its_own_job(office: Office) -> None:
    await office.manager.json("POST", "/risk/tenant-limits/tenant", {"maximum_open_orders": 1})
    await office.order(201)
    assert (await office.order(422))["code"] == "open_orders"
    assert (await office.order(403, office.manager))["code"] == "forbidden"
    changed = await office.manage("ada", role="fund_manager", reason="promoted")
    assert changed["role"] == "fund_manager"
    await office.order(401)
    ada = await log_in(office.host, "ada", PASSWORD)
    await ada.json("POST", "/risk/tenant-limits/tenant", {})
    await office.order(403, ada)


@pytest.mark.requirement("P1", "P14")
async def test_deactivated_user_is_out_at_once_and_may_come_back(office: Office) -> None:
    await office.manage("ada", status="deactivated", reason="left the firm")
    await office.order(401)
    await log_in(office.host, "ada", PASSWORD, 401)
    ada_id = (await office.user("ada"))["user_id"]
    level = await office.manager.json("GET", f"/risk/tenant-levels/user:{ada_id}")
    assert level["halted"], "a token that another process still takes sends nothing new either"
    await office.manage("ada", status="active")
    assert (await office.manager.json("GET", f"/risk/tenant-levels/user:{ada_id}"))["halts"] == {}
    await office.order(201, await log_in(office.host, "ada", PASSWORD))


@pytest.mark.requirement("P1", "P14")
async def test_manager_s_own_halt_outlives_a_deactivation(office: Office) -> None:
    ada_id = (await office.user("ada"))["user_id"]
    await office.manager.json("POST", f"/risk/tenant-halts/user:{ada_id}", {"reason": "suspicious"})
    await office.manage("ada", status="deactivated")
    await office.manage("ada", status="active")
    assert (await office.order(409, await log_in(office.host, "ada", PASSWORD)))["code"] == "trading_halted"


@pytest.mark.requirement("P1", "P11", "P22")
async def test_limits_say_who_must_be_verified_to_trade(office: Office) -> None:
    await office.order(201)
    await office.manager.json("POST", "/risk/tenant-limits/tenant", {"verified_only": "live"})
    await office.order(201)
    await office.manager.json("POST", "/risk/tenant-limits/tenant", {"verified_only": "all"})
    assert (await office.order(422))["code"] == "verified_only"
    await office.manage("ada", compliance="verified", reason="passport seen")
    await office.order(201)
    assert (await office.ada.json("GET", "/users/me"))["compliance"] == "verified"
    await office.manage("ada", compliance="rejected")
    assert (await office.order(422))["code"] == "verified_only"


@pytest.mark.requirement("P14", "P22")
async def test_what_administrators_do_is_told_with_their_name(office: Office) -> None:
    admin_id = (await office.user("admin"))["user_id"]
    await office.manage("ada", role="fund_manager", compliance="verified")
    await office.manage("ada", status="deactivated")
    told = await office.events()
    for kind in ("user.role_changed", "compliance.status_changed", "user.deactivated", "risk.halted"):
        assert (kind, f"user:{admin_id}") in told
    assert (await office.manage("admin", 409, status="deactivated"))["code"] == "invalid_transition"
    assert await office.events() == told
