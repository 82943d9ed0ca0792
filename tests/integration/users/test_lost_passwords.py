"""A lost password: what an administrator may do, what only its user may, and that nobody else learns anything."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from functions.user_commands.app import ONE_TIME_LIFE
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.runtime.users import first_admin, user_id_of
from patriot.store.api import Store
from tests.support.host import PASSWORD, TENANT, Client, running_host

NEW = "another horse battery"
ADA = user_id_of(TENANT, "ada")
PATH = f"/tenant-users/{ADA}/password-reset"

pytestmark = pytest.mark.requirement("P14")


class Desk:
    """An administrator, and ada, who has forgotten."""

    def __init__(self, host: Host, admin: Client, ada: Client) -> None:
        self.host, self.admin, self.ada = host, admin, ada

    async def reset(self) -> str:
        return str((await self.admin.json("POST", PATH, status=201))["one_time_password"])

    async def redeem(self, one_time_password: str, status: int = 200, username: str = "ada") -> Any:
        body = {"username": username, "one_time_password": one_time_password, "new_password": NEW}
        return await Client(self.host).json("POST", "/auth/password/reset", body, status)

    async def log_in(self, password: str, status: int = 200) -> Any:
        body = {"username": "ada", "password": password}
        return await Client(self.host).json("POST", "/auth/token", body, status)


async def make_desk(host: Host) -> Desk:
    made = await first_admin(system_context(host.runtime, "user-commands"))
    assert made is not None
    token = await Client(host).json("POST", "/auth/token", made._asdict())
    return Desk(host, Client(host, token["access_token"]), await Client(host).register("ada"))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_host() as host:
        yield await make_desk(host)


async def test_lost_password_is_reset_by_an_administrator_and_set_anew_by_its_user(desk: Desk) -> None:
    once = await desk.reset()
    await desk.ada.json("GET", "/users/me", status=401)
    await desk.log_in(PASSWORD, 401)
    await desk.log_in(once, 401)
    fresh = await desk.redeem(once)
    assert (await Client(desk.host, fresh["access_token"]).json("GET", "/users/me"))["username"] == "ada"
    await desk.log_in(NEW)
    await desk.redeem(once, 422)


async def test_one_time_password_ends_with_its_hour_and_with_the_next_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await desk.reset(), await desk.reset()
    await desk.redeem(first, 422)
    now = desk.host.runtime.clock.now
    with monkeypatch.context() as later:
        later.setattr(desk.host.runtime.clock, "now", lambda: now() + ONE_TIME_LIFE + timedelta(seconds=1))
        await desk.redeem(second, 422)
    await desk.redeem(second)


async def test_unknown_user_wrong_password_and_no_reset_look_alike(desk: Desk) -> None:
    without = await desk.redeem("guessed", 422)
    await desk.reset()
    wrong, unknown = await desk.redeem("guessed", 422), await desk.redeem("guessed", 422, "nobody")
    shown = [{**told, "correlation_id": ""} for told in (without, wrong, unknown)]
    assert shown[0] == shown[1] == shown[2]


async def test_deactivated_user_sets_no_password(desk: Desk) -> None:
    once = await desk.reset()
    await desk.admin.json("PATCH", f"/tenant-users/{ADA}", {"status": "deactivated"})
    await desk.redeem(once, 422)


async def test_only_administrators_of_the_tenant_reset(desk: Desk) -> None:
    await desk.ada.json("POST", PATH, status=403)
    stranger, _ = desk.host.runtime.access.issue(ADA, user_id_of(TENANT, "elsewhere"), "admin", "t")
    await Client(desk.host, stranger).json("POST", PATH, status=404)
    await desk.ada.json("GET", "/users/me")


@pytest.mark.postgres
async def test_reset_is_told_without_a_secret(postgres_store: Store) -> None:
    async with running_host(postgres_store) as host:
        with capture_logs() as logs:
            desk = await make_desk(host)
            once = await desk.reset()
            await desk.redeem(once)
        events = [one async for one in postgres_store.read() if one.stream.id == ADA]
    assert [(one.type, one.origin.actor.partition(":")[0]) for one in events[1:]] == [
        ("user.password_reset", "user"),
        ("user.password_changed", "anonymous"),
    ]
    assert events[1].origin.actor == f"user:{user_id_of(TENANT, 'admin')}"
    told = repr(logs) + "".join(bytes(one.data).decode() for one in events)
    assert once not in told
    assert NEW not in told
    assert set(orjson.loads(events[1].data)) == {"user_id", "expires_at"}
