"""Which of several processes has a symbol or an account. Rule: one key, one shard, in every process for ever.

The gateway of a cluster reckons alike (`patriot/deploy/kong.py`), so it is a checksum that Lua and Python both have.
"""

from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Shard:
    """Number `number` of `shards`, from 0."""

    number: int
    shards: int

    @classmethod
    def of(cls, text: str) -> "Shard":
        """From "0/4". Raises ValueError."""
        number, shards = map(int, text.split("/"))
        if not 0 <= number < shards:
            raise ValueError(f"{text} is no shard: of four, the first is 0/4 and the last 3/4")
        return cls(number, shards)

    def __str__(self) -> str:
        return f"{self.number}/{self.shards}"

    def has(self, key: object) -> bool:
        return self.shards == 1 or self.holder(key) == self

    def holder(self, key: object) -> "Shard":
        """The one among as many that has the key."""
        return Shard(crc32(str(key).encode()) % self.shards, self.shards)
