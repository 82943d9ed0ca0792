"""What a new connection says while the old one still serves. Rule: nothing is told twice, nothing is forgotten.

Books are kept up to date in private, of quotes and prices the newest, of trades all (bounded: the oldest are dropped,
which the old connection has told long since). At the change-over the line takes everything out, in order.
"""

from collections import deque
from collections.abc import Iterator

from patriot.domain.book import OrderBook
from patriot.protocols.events import Event
from patriot.protocols.market import BookDelta, BookSnapshot, Market, MarkPrice, Quote, Ticker, Trade

TRADES_MAX = 20_000


class Shadow:
    """The private state of a connection that does not serve yet."""

    def __init__(self) -> None:
        self._books: dict[str, OrderBook] = {}
        self._newest: dict[tuple[str, type], Market] = {}
        self._trades: deque[Trade] = deque(maxlen=TRADES_MAX)

    def hear(self, event: Event) -> None:
        if isinstance(event, BookSnapshot | BookDelta):
            self._books.setdefault(event.instrument, OrderBook(event.instrument)).apply(event)
        elif isinstance(event, Trade):
            self._trades.append(event)
        elif isinstance(event, Quote | MarkPrice | Ticker):
            self._newest[event.instrument, type(event)] = event

    def lose(self, instrument_id: str) -> None:
        """The book is not in sync after all."""
        self._books.pop(instrument_id, None)

    def take(self) -> Iterator[Market]:
        """Trades first, then whole books as of now, then the newest of everything else."""
        yield from self._trades
        for book in self._books.values():
            yield _snapshot(book)
        yield from self._newest.values()


def _snapshot(book: OrderBook) -> BookSnapshot:
    bids = sorted(book.bids.items(), reverse=True)
    return BookSnapshot(book.instrument, bids, sorted(book.asks.items()), book.sequence, book.time_ms)
