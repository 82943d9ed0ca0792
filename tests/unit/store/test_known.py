"""What a writer remembers: its own, and nothing that others write, too."""

from decimal import Decimal
from uuid import UUID

from patriot.store.known import Known
from patriot.store.plan import Balance, Facts, LockKeys, Plan

TENANT, ACCOUNT = UUID(int=1), UUID(int=2)
OURS, SHARED, QUOTA = (TENANT, ACCOUNT, "BTC"), (TENANT, ACCOUNT, "USDT"), (TENANT, ACCOUNT, "open_orders")


def written(balances: dict[tuple[UUID, UUID, str], Balance], quotas: dict[tuple[UUID, UUID, str], Decimal]) -> Plan:
    plan = Plan(Facts())
    plan.balances, plan.quotas = balances, quotas
    return plan


def asking(*keys: tuple[UUID, UUID, str], quotas: tuple[tuple[UUID, UUID, str], ...] = ()) -> LockKeys:
    return LockKeys(set(), set(), set(keys), set(quotas))


def test_what_was_written_is_known_once():
    known = Known()
    known.learn(written({OURS: Balance(Decimal(1))}, {QUOTA: Decimal(2)}))
    facts = known.take(asking(OURS, quotas=(QUOTA,)))
    assert facts == Facts(balances={OURS: Balance(Decimal(1))}, quotas={QUOTA: Decimal(2)})
    assert known.take(asking(OURS)) is None  # until it is written again


def test_what_others_write_is_never_guessed_again():
    known, one = Known(), Balance(Decimal(1))
    guess = Facts(balances={OURS: one, SHARED: one}, quotas={QUOTA: Decimal(2)})
    known.correct(guess, Facts(balances={OURS: one, SHARED: Balance(Decimal(5))}, quotas={QUOTA: Decimal(3)}))
    known.learn(written({OURS: one, SHARED: one}, {QUOTA: Decimal(4)}))
    assert known.take(asking(SHARED)) is None
    assert known.take(asking(quotas=(QUOTA,))) is None
    assert known.take(asking(OURS)) == Facts(balances={OURS: one})


def test_what_was_not_guessed_was_not_guessed_wrong():
    known = Known()
    known.correct(Facts(), Facts(balances={OURS: Balance(Decimal(5))}, quotas={QUOTA: Decimal(3)}))
    known.learn(written({OURS: Balance(Decimal(6))}, {QUOTA: Decimal(4)}))
    assert known.take(asking(OURS, quotas=(QUOTA,))) is not None


def test_memory_is_bounded():
    known = Known(keys_max=2)
    for number in range(9):
        known.learn(written({(TENANT, UUID(int=number), "BTC"): Balance()}, {}))
    assert known.take(asking((TENANT, UUID(int=0), "BTC"))) is None
    assert known.take(asking((TENANT, UUID(int=8), "BTC"))) is not None
