"""Money in, out and between accounts, over HTTP, with the built-in venue at the other end."""

from decimal import Decimal
from uuid import UUID, uuid5

import pytest

from patriot.security.roles import Identity, Role
from patriot.store.api import Query
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, until_idle

ADMINS = [uuid5(TENANT, f"admin {number}") for number in range(3)]


@pytest.fixture
async def world(tmp_path):
    """Ada has two funded accounts at the built-in venue."""
    options = {"market": "replay", "execution": "in_process", "data_dir": tmp_path}
    async with running_host(feeds=("relay", "venue"), **options) as host:
        await define(host.runtime.store, PERPETUAL)
        ada = await Client(host).register("ada")
        await venue_is_open(host)
        first, second = await ada.paper_account(USDT="1000"), await ada.paper_account(USDT="1")
        await until_idle(host)
        yield host, ada, first, second


async def venue_is_open(host):
    while "venue" not in host.runtime.local or "paper" not in host.runtime.venues:
        await host.runtime.clock.sleep(0.02)


def admin(host, number):
    identity = Identity.of(ADMINS[number], TENANT, Role.ADMIN, f"token-{number}")
    token, _ = host.runtime.access.issue(identity.user_id, TENANT, Role.ADMIN, identity.token_id)
    return Client(host, token)


async def balances(host, account, asset="USDT"):
    """(ours: total, reserved; the venue's total)."""
    rows = await host.runtime.store.find(Query("buying_power", TENANT, {"account_id": UUID(account), "asset": asset}))
    told = await host.runtime.venues["paper"].balances(UUID(account))
    at_venue = sum((balance.total for balance in told if balance.asset == asset), Decimal(0))
    return (rows[0]["total"], rows[0]["reserved"], at_venue)


async def settled(host, client, transfer_id):
    await until_idle(host)
    page = await client.json("GET", "/transfers")
    return next(row for row in page["transfers"] if row["transfer_id"] == transfer_id)


def withdrawal(account, amount="100"):
    return {"kind": "withdrawal", "account_id": account, "asset": "USDT", "amount": amount, "destination": "bc1q"}


@pytest.mark.requirement("B8", "B11")
async def test_withdrawal_leaves_after_two_approvals(world):
    host, ada, account, _ = world
    asked = await ada.json("POST", "/transfers", withdrawal(account), 201)
    assert (asked["status"], asked["approvals_needed"]) == ("requested", 2)
    assert await balances(host, account) == (1000, 100, 1000)
    path = f"/transfers/{asked['transfer_id']}/approvals"
    assert (await admin(host, 0).json("POST", path, status=201))["approvals"] == 1
    assert (await admin(host, 0).json("POST", path, status=201))["approvals"] == 1
    assert await balances(host, account) == (1000, 100, 1000)
    await admin(host, 1).json("POST", path, status=201)
    assert (await settled(host, ada, asked["transfer_id"]))["status"] == "arrived"
    assert await balances(host, account) == (900, 0, 900)


async def test_internal_transfer_moves_the_money_at_the_venue_too(world):
    host, ada, account, other = world
    body = {"kind": "internal", "account_id": account, "to_account_id": other, "asset": "USDT", "amount": "250.5"}
    asked = await ada.json("POST", "/transfers", body, 201)
    assert (await settled(host, ada, asked["transfer_id"]))["status"] == "arrived"
    assert await balances(host, account) == (Decimal("749.5"), 0, Decimal("749.5"))
    assert await balances(host, other) == (Decimal("251.5"), 0, Decimal("251.5"))


async def test_transfer_to_an_account_that_ends_meanwhile_is_given_back(world, monkeypatch):
    host, ada, account, other = world
    body = {"kind": "internal", "account_id": account, "to_account_id": other, "asset": "USDT", "amount": "250.5"}
    asked = await ada.json("POST", "/transfers", body, 201)
    await ada.json("DELETE", f"/accounts/{other}")
    row = await settled(host, ada, asked["transfer_id"])
    assert row["status"] in {"returned", "arrived"}  # whoever was first
    total, reserved, at_venue = await balances(host, account)
    assert (total, reserved) == (1000 if row["status"] == "returned" else Decimal("749.5"), 0)
    assert at_venue == total


async def test_venue_that_refuses_leads_to_compensation(world):
    host, ada, account, other = world
    halls = host.runtime.local["venue"]
    halls.withdraw(UUID(account), "USDT", Decimal(900), "behind our back")
    body = {"kind": "internal", "account_id": account, "to_account_id": other, "asset": "USDT", "amount": "500"}
    asked = await ada.json("POST", "/transfers", body, 201)
    row = await settled(host, ada, asked["transfer_id"])
    assert row["status"] == "returned"
    assert row["reason"]
    assert await balances(host, account) == (1000, 0, 100)
    assert (await balances(host, other))[0] == 1


async def test_more_than_there_is_is_refused_and_nothing_held(world):
    host, ada, account, _ = world
    answer = await ada.json("POST", "/transfers", withdrawal(account, "1000.01"), 422)
    assert answer["code"] == "insufficient_buying_power"
    assert await balances(host, account) == (1000, 0, 1000)


async def test_two_withdrawals_cannot_hold_the_same_money(world):
    _, ada, account, _ = world
    await ada.json("POST", "/transfers", withdrawal(account, "600"), 201)
    await ada.json("POST", "/transfers", withdrawal(account, "600"), 422)


async def test_same_key_withdraws_once(world):
    host, ada, account, _ = world
    first = await ada.json("POST", "/transfers", withdrawal(account), 201, Idempotency_Key="k")
    again = await ada.json("POST", "/transfers", withdrawal(account), 201, Idempotency_Key="k")
    assert first == again
    assert (await balances(host, account))[1] == 100


async def test_rejection_and_taking_back_free_the_money(world):
    host, ada, account, _ = world
    asked = await ada.json("POST", "/transfers", withdrawal(account), 201)
    other = await ada.json("POST", "/transfers", withdrawal(account), 201)
    await until_idle(host)
    assert len((await admin(host, 0).json("GET", "/transfers/pending"))["transfers"]) == 2
    path = f"/transfers/{asked['transfer_id']}/rejection"
    await admin(host, 0).json("POST", path, {"reason": "unknown address"}, 201)
    await ada.json("DELETE", f"/transfers/{other['transfer_id']}")
    assert await balances(host, account) == (1000, 0, 1000)


@pytest.mark.requirement("A4", "P14")
async def test_nobody_moves_anothers_money(world):
    host, ada, account, other = world
    eve = await Client(host).register("eve")
    await eve.json("POST", "/transfers", withdrawal(account), 404)
    own = await eve.paper_account(USDT="5")
    stolen = {"kind": "internal", "account_id": account, "to_account_id": own, "asset": "USDT", "amount": "1"}
    await eve.json("POST", "/transfers", stolen, 404)
    given = {"kind": "internal", "account_id": own, "to_account_id": other, "asset": "USDT", "amount": "1"}
    await eve.json("POST", "/transfers", given, 404)
    asked = await ada.json("POST", "/transfers", withdrawal(account), 201)
    await eve.json("DELETE", f"/transfers/{asked['transfer_id']}", status=404)
    await eve.json("POST", f"/transfers/{asked['transfer_id']}/approvals", status=403)
    await until_idle(host)
    assert [row["account_id"] for row in (await eve.json("GET", "/transfers"))["transfers"]] == [own]


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1", "0", "1e3", 1.5, "9" * 30, "0." + "1" * 19, True, None])
async def test_bad_amounts_are_refused(world, amount):
    host, ada, account, _ = world
    assert (await ada.call("POST", "/transfers", withdrawal(account) | {"amount": amount})).status == 422
    assert await balances(host, account) == (1000, 0, 1000)
