"""Case 2: a crash before and after commit, publish, send and acknowledge of every command, at each place it happens.

A cell is (command, variant, point). The platform dies at the first passing of the point, then in a new world at the
second, and so on until the command gets through without passing it again. The client repeats unanswered requests under
their Idempotency-Key. Everything stands on a virtual clock and a fixed seed.
"""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import NamedTuple

import pytest

from tests.chaos.books import check_against_venue, check_books, check_once, check_order
from tests.chaos.world import Fuse, World, limit_order, receipt, world

SEED = 20260101
POINTS = tuple(
    f"{moment} {step}" for step in ("commit", "publish", "send", "acknowledge") for moment in ("before", "after")
)


class Cell(NamedTuple):
    command: str
    variant: str
    price: str
    body: dict[str, str] | None = None
    meanwhile: tuple[str, str] | None = None
    """What the market sells into our resting order, unseen by the platform: price and quantity."""
    post_only: bool = False


CELLS = (
    Cell("create", "filled", "60000.1"),
    Cell("create", "open", "59000.0"),
    Cell("create", "refused", "60000.1", post_only=True),
    Cell("modify", "stays open", "59000.0", {"price": "59100", "quantity": "0.030"}),
    Cell("modify", "fills", "59000.0", {"price": "60000.1"}),
    Cell("modify", "filled before", "59999.9", {"quantity": "0.030"}, ("59999.9", "100")),
    Cell("cancel", "ends", "59000.0"),
    Cell("cancel", "filled before", "59999.9", None, ("59999.9", "100")),
    Cell("cancel", "partly filled before", "59999.9", None, ("59999.9", "45.020")),
)


async def run(cell: Cell, fuse: Fuse, inspect: Callable[[World], Awaitable[None]] | None = None) -> bool:
    """One cell with one crash. True when the crash happened."""
    async with world(SEED) as here:
        body = limit_order(here.account_id, cell.price, post_only=cell.post_only)
        if cell.command == "create":
            here.light(fuse)
            order_id = receipt(await here.insist("POST", "/orders", body, "create"))["order_id"]
        else:
            order_id = receipt(await here.insist("POST", "/orders", body, "create"))["order_id"]
            assert await here.settle()
            if cell.meanwhile:
                here.quote(buy=False, price=cell.meanwhile[0], quantity=cell.meanwhile[1])
            here.light(fuse)
            method = "PATCH" if cell.command == "modify" else "DELETE"
            answer = await here.insist(method, f"/orders/{order_id}", cell.body, cell.command)
            assert answer.status == 200, answer.body
        if not await here.settle():
            await here.restart()
            assert await here.settle()
        await check(here, cell, order_id)
        return here.incarnations > 1


async def check(here: World, cell: Cell, order_id: str) -> None:
    order = await here.order(order_id)
    check_order(order, here.exchange)
    await check_books(here.store)
    await check_against_venue(here.store, here.exchange, here.account_id)
    await check_once(here.store, 1)
    assert here.sent("create") <= 1
    assert not here.store._rows["dead_letters"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.command}-{cell.variant}".replace(" ", "-"))
async def test_crash_at_every_passing_of_a_point(cell, point):
    for occurrence in count(1):
        crashed = await run(cell, Fuse(point, occurrence))
        if not crashed:
            break
    print(f"seed {SEED}: {cell.command}, {cell.variant}, {point}: {occurrence - 1} crashes, 0 lost, 0 sent twice")
    assert occurrence > 1, "the command never passes this point"
