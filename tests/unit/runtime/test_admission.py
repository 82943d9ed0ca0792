"""New orders take turns and step back for cancels; a crowd of either cannot stop the other."""

import asyncio

import pytest

from patriot.runtime.admission import LESSENS_RISK, STEP_BACK_SECONDS, WAITING_MAX, Admission
from patriot.runtime.problem import ProblemError

ORDER, AT_ONCE = "orders:create", 3


async def work(admission: Admission, permission: str, begun: list[str], go: asyncio.Event) -> None:
    async with admission.admitted(permission):
        begun.append(permission)
        await go.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.requirement("B13")
async def test_only_so_many_orders_are_worked_on_and_cancels_pass_them():
    admission, begun, go = Admission(AT_ONCE), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE + 5):
            group.create_task(work(admission, ORDER, begun, go))
        await settle()
        assert (len(begun), admission.waiting) == (AT_ONCE, 5)
        group.create_task(work(admission, LESSENS_RISK, begun, go))
        group.create_task(work(admission, "portfolio:read", begun, go))
        await settle()
        assert begun[AT_ONCE:] == [LESSENS_RISK, "portfolio:read"]
        go.set()
    assert len(begun) == AT_ONCE + 7


@pytest.mark.requirement("B13")
async def test_order_steps_back_for_a_cancel_but_not_for_ever():
    admission, begun, go = Admission(AT_ONCE), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(admission, LESSENS_RISK, begun, go))
        await settle()
        group.create_task(work(admission, ORDER, begun, go))
        await settle()
        assert begun == [LESSENS_RISK]
        await asyncio.sleep(STEP_BACK_SECONDS * 1.5)
        assert begun == [LESSENS_RISK, ORDER]
        go.set()


async def test_a_queue_that_is_full_turns_orders_away():
    admission = Admission(AT_ONCE)
    admission.waiting = WAITING_MAX
    with pytest.raises(ProblemError) as refused:
        async with admission.admitted(ORDER):
            pass
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    async with admission.admitted(LESSENS_RISK):
        pass
