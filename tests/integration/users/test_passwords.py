"""Logging out and changing the password: what is refused, and what it leaves in the user's history."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.runtime.users import first_admin
from tests.support.host import PASSWORD, TENANT, Client, running_host

NEW = "another horse battery"
ADA = uuid5(TENANT, "user:ada")

pytestmark = pytest.mark.requirement("P14", "P20")


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host() as made:
        yield made


@pytest.fixture
async def ada(host: Host) -> Client:
    return await Client(host).register("ada")


async def told(host: Host) -> list[tuple[str, str]]:
    return [(one.type, one.origin.actor) async for one in host.runtime.store.read() if one.stream.kind == "user"]


async def test_logout_is_for_every_role(host: Host) -> None:
    made = await first_admin(system_context(host.runtime, "user-commands"))
    assert made is not None
    token = await Client(host).json("POST", "/auth/token", made._asdict())
    admin = Client(host, token["access_token"])
    await admin.json("POST", "/auth/logout")
    await admin.json("GET", "/tenant-users", status=401)


async def test_logout_and_new_password_are_told_with_the_user_s_name(host: Host, ada: Client) -> None:
    fresh = await ada.json("POST", "/auth/password", {"old_password": PASSWORD, "new_password": NEW})
    await Client(host, fresh["access_token"]).json("POST", "/auth/logout")
    assert (await told(host))[1:] == [("user.password_changed", f"user:{ADA}"), ("user.signed_out", f"user:{ADA}")]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("not the right one", NEW, "wrong_password"),
        (PASSWORD, "short", "invalid_request"),
        (PASSWORD, "e\u0301" * 6, "invalid_value"),  # twelve code points, six characters
    ],
)
async def test_refused_password_ends_nothing(host: Host, ada: Client, old: str, new: str, code: str) -> None:
    answer = await ada.json("POST", "/auth/password", {"old_password": old, "new_password": new}, 422)
    assert answer["code"] == code
    await ada.json("GET", "/users/me")
    await Client(host).json("POST", "/auth/token", {"username": "ada", "password": PASSWORD})
    assert len(await told(host)) == 1


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/password"])
async def test_anonymous_caller_has_nothing_to_end(host: Host, path: str) -> None:
    await Client(host).json("POST", path, {"old_password": PASSWORD, "new_password": NEW}, 401)


async def test_namesake_of_another_tenant_signs_nobody_out(host: Host, ada: Client) -> None:
    token, _ = host.runtime.access.issue(ADA, UUID(int=99), "user", "t")
    await Client(host, token).json("POST", "/auth/logout", status=404)
    await ada.json("GET", "/users/me")


async def test_deactivated_user_gets_no_fresh_token_out_of_a_late_one(host: Host, ada: Client) -> None:
    made = await first_admin(system_context(host.runtime, "user-commands"))
    assert made is not None
    token = await Client(host).json("POST", "/auth/token", made._asdict())
    await Client(host, token["access_token"]).json("PATCH", f"/tenant-users/{ADA}", {"status": "deactivated"})
    late, _ = host.runtime.access.issue(ADA, TENANT, "user", "late", host.runtime.clock.now())
    await Client(host, late).json("POST", "/auth/password", {"old_password": PASSWORD, "new_password": NEW}, 401)


async def test_token_issued_after_a_sign_out_counts_although_a_clock_goes_ahead(host: Host) -> None:
    access, ahead = host.runtime.access, host.runtime.clock.now() + timedelta(seconds=1)
    before, _ = access.issue(ADA, TENANT, "user", "before")
    access.revoke_user(ADA, ahead)
    after, _ = access.issue(ADA, TENANT, "user", "after", ahead)
    answers = [await Client(host, token).call("GET", "/portfolio") for token in (before, after)]
    assert [answer.status for answer in answers] == [401, 200]
