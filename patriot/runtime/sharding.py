"""Which of several processes has a symbol or an account. Rule: one key, one shard, in every process for ever."""

from dataclasses import dataclass
from hashlib import blake2b


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
        return self.shards == 1 or _hash(str(key)) % self.shards == self.number


def _hash(key: str) -> int:
    """Python's own differs from process to process."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
