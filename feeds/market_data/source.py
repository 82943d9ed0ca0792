"""One endpoint at work: its definitions, breaker, budgets and REST, shared by all its lines."""

from collections.abc import Callable
from dataclasses import dataclass, field

from feeds.market_data.backoff import Breaker
from feeds.market_data.budget import ConnectionBudget
from feeds.market_data.endpoints import Endpoint
from feeds.market_data.rest import Rest
from feeds.market_data.timing import Timing
from feeds.market_data.transport import Transport
from patriot.domain.instrument import Instrument
from patriot.protocols.codec import Codec
from patriot.protocols.market import Market
from patriot.runtime.clock import Clock
from patriot.runtime.ports import Random


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every connection needs from outside. `publish` takes every message, `lose_book` every loss of a book;
    `outdated` is called with an instrument whose definition can no longer be right.
    """

    clock: Clock
    random: Random
    transport: Transport
    timing: Timing
    publish: Callable[[Market], None]
    lose_book: Callable[[str], None]
    outdated: Callable[[str], None]


@dataclass(slots=True)
class Source:
    """`instruments` are the definitions in force, by id."""

    endpoint: Endpoint
    budget: ConnectionBudget
    breaker: Breaker
    rest: Rest
    instruments: dict[str, Instrument] = field(default_factory=dict)

    def make_codec(self) -> Codec:
        return self.endpoint.codec(self.instruments.values())
