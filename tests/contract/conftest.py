"""What the contracts are asked of."""

import pytest

from patriot.store.api import Store
from patriot.store.memory import MemoryStore


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    made: Store = request.getfixturevalue("postgres_store")
    return made
