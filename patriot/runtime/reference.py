"""Reference data that many requests need and that seldom changes: accounts, instruments. Read once, kept a minute."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from patriot.domain.instrument import Instrument
from patriot.store.api import Query, Row, Store

KEPT_SECONDS = 60.0
ENTRIES_MAX = 100_000

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A bounded cache with time-to-live. None is not kept: what does not exist yet may exist in a moment."""

    def __init__(self, monotonic: Callable[[], float], seconds: float = KEPT_SECONDS) -> None:
        self._monotonic, self._seconds = monotonic, seconds
        self._entries: dict[Any, tuple[float, Value]] = {}
        self._drops = 0

    async def get(self, key: object, load: Callable[[], Awaitable[Value | None]]) -> Value | None:
        entry = self._entries.get(key)
        if entry is not None and entry[0] > self._monotonic():
            return entry[1]
        drops = self._drops
        value = await load()
        if value is not None and drops == self._drops:  # else it may be from before what dropped it
            if len(self._entries) >= ENTRIES_MAX:
                self._entries.clear()
            self._entries[key] = (self._monotonic() + self._seconds, value)
        return value

    def drop(self, key: object) -> None:
        self._drops += 1
        self._entries.pop(key, None)


class References:
    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._accounts: Kept[Mapping[str, Any]] = Kept(monotonic)
        self._instruments: Kept[Instrument] = Kept(monotonic)

    async def account(self, tenant_id: UUID, account_id: UUID) -> Mapping[str, Any] | None:
        """The row of `user_accounts`, or None."""

        async def load() -> Mapping[str, Any] | None:
            rows = await self._store.find(Query("user_accounts", tenant_id, {"id": account_id}, limit=1))
            return rows[0] if rows else None

        return await self._accounts.get((tenant_id, account_id), load)

    def forget_account(self, tenant_id: UUID, account_id: UUID) -> None:
        self._accounts.drop((tenant_id, account_id))

    async def instrument(self, instrument_id: str) -> Instrument | None:
        """The newest definition, or None."""

        async def load() -> Instrument | None:
            rows = await self._store.find(Query("instruments", None, {"id": instrument_id}, limit=1))
            return Instrument(**rows[0]) if rows else None

        return await self._instruments.get(instrument_id, load)

    def forget_instrument(self, instrument_id: str) -> None:
        """A new version has been written."""
        self._instruments.drop(instrument_id)


def instrument_row(instrument: Instrument) -> Row:
    return Row("instruments", {name: getattr(instrument, name) for name in Instrument.__dataclass_fields__})
