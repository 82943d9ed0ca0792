"""Locks by key: one at a time per key, keys apart, nothing kept afterwards."""

import asyncio

import pytest

from patriot.runtime.locks import KeyedLocks


async def test_holders_of_one_key_take_turns_in_order():
    locks, order, inside = KeyedLocks(), [], []

    async def work(number: int) -> None:
        async with locks.hold("k"):
            inside.append(number)
            assert len(inside) == 1
            await asyncio.sleep(0)
            inside.remove(number)
            order.append(number)

    await asyncio.gather(*(work(number) for number in range(10)))
    assert order == list(range(10))


async def test_two_keys_do_not_wait_for_each_other():
    locks = KeyedLocks()
    async with locks.hold("a"), asyncio.timeout(1), locks.hold("b"):
        pass


async def test_error_and_cancellation_release_the_lock():
    locks = KeyedLocks()
    with pytest.raises(ValueError, match="inside"):
        async with locks.hold("k"):
            raise ValueError("inside")
    async with locks.hold("k"):
        waiting = asyncio.create_task(enter(locks))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(enter(locks), 1)


async def enter(locks: KeyedLocks) -> None:
    async with locks.hold("k"):
        pass


async def test_nothing_is_kept_of_unused_keys():
    locks = KeyedLocks()
    for key in range(100):
        async with locks.hold(key):
            pass
    assert not locks._locks
