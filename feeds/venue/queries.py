"""What the exchange answers without changing anything. Rule: a query never moves time, money or orders."""

from collections.abc import Callable, Iterable, Sequence

from feeds.venue.accounts import Account, Balance, Margin, PositionView, WalletName
from feeds.venue.book import Book
from feeds.venue.clearing import Clearing
from feeds.venue.errors import UnknownAccount, UnknownInstrument, UnknownOrder
from feeds.venue.events import AccountListener, Events, MarketListener
from feeds.venue.market import MarketState
from feeds.venue.orders import Fill, Order
from feeds.venue.statements import balance, margin_of, position_view
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Bar, BookSnapshot, MarkPrice, Quote, Ticker, Trade


class Queries:
    """The reading half of `feeds.venue.exchange.Exchange`."""

    def __init__(self, instruments: Iterable[Instrument], now_ms: Callable[[], int], *, unified: bool) -> None:
        self.now_ms = now_ms
        self._dirty: dict[str, Book] = {}
        self._markets = {instrument.id: MarketState(instrument, self._dirty) for instrument in instruments}
        self._events = Events()
        self._clearing = Clearing(self._markets, unified=unified)
        self._by_key: dict[str, Account] = {}

    # accounts and orders

    def account_by_key(self, api_key: str) -> Account:
        """Raises UnknownAccount."""
        account = self._by_key.get(api_key)
        if account is None:
            raise UnknownAccount("the API key is not known")
        return account

    def account(self, name: str) -> Account:
        """Raises UnknownAccount. The venue's own accounts are `fees`, `insurance` and `house`."""
        account = self._clearing.accounts.get(name)
        if account is None:
            raise UnknownAccount(f"no account {name}")
        return account

    def order(self, account: Account, instrument_id: str, *, order_id: int = 0, client_order_id: str = "") -> Order:
        """Return an order, open or remembered; of several with one client id the newest. Raises UnknownOrder."""
        key = (instrument_id, client_order_id)
        found = account.by_id.get(order_id) if order_id else account.by_client_id.get(key)
        if found is None or found.instrument.id != instrument_id:
            raise UnknownOrder("the order does not exist")
        return found

    def open_orders(self, account: Account, instrument_id: str | None = None) -> list[Order]:
        """Return the open orders, oldest first."""
        orders = account.open_orders.values()
        return [order for order in orders if instrument_id in {None, order.instrument.id}]

    def orders(self, account: Account, instrument_id: str | None = None) -> list[Order]:
        """Return all remembered orders by id, open ones too."""
        orders = sorted(account.by_id.values(), key=lambda order: order.id)
        return [order for order in orders if instrument_id in {None, order.instrument.id}]

    def trades(self, account: Account, instrument_id: str | None = None, order_id: int = 0) -> list[Fill]:
        """Return the remembered fills, oldest first."""
        fills = account.fills_of.get(order_id, ()) if order_id else account.fills
        return [fill for fill in fills if instrument_id in {None, fill.instrument.id}]

    # balances and positions

    def balances(self, account: Account, wallet: WalletName) -> list[Balance]:
        """Return every asset that the wallet ever held. `free` is what may leave it or be spent on spot orders."""
        return [balance(self._clearing, account, wallet, asset) for asset in account.wallets[wallet]]

    def balance(self, account: Account, wallet: WalletName, asset: str) -> Balance:
        return balance(self._clearing, account, wallet, asset)

    def positions(self, account: Account, *, flat: bool = False) -> list[PositionView]:
        """Return the open positions; with `flat` also those that are zero."""
        found = account.positions.values()
        return [position_view(self._clearing, account, one) for one in found if one.size or flat]

    def position(self, account: Account, instrument_id: str) -> PositionView:
        """Return the position, flat where there is none."""
        return position_view(self._clearing, account, account.position(self._derivative(instrument_id).instrument))

    def margin(self, account: Account, asset: str) -> Margin:
        """Return the cross-margin summary of a settle asset."""
        return margin_of(self._clearing, account, asset)

    def leverage(self, account: Account, instrument_id: str) -> int:
        return account.position(self._derivative(instrument_id).instrument).leverage

    # public market data

    @property
    def instruments(self) -> list[Instrument]:
        return [market.instrument for market in self._markets.values()]

    def instrument(self, instrument_id: str) -> Instrument:
        """Raises UnknownInstrument."""
        return self._market(instrument_id).instrument

    def find_instrument(self, native_symbol: str, kind: str) -> Instrument:
        """Find by the venue's own name ("BTCUSDT") and kind ("spot", "linear"). Raises UnknownInstrument."""
        for market in self._markets.values():
            if market.instrument.native_symbol == native_symbol and market.instrument.kind == kind:
                return market.instrument
        raise UnknownInstrument(f"no {kind} instrument {native_symbol}")

    def book(self, instrument_id: str, limit: int = 1000) -> BookSnapshot:
        return self._market(instrument_id).book.snapshot(limit, self.now_ms())

    def quote(self, instrument_id: str) -> Quote:
        return self._market(instrument_id).book.quote(self.now_ms())

    def ticker(self, instrument_id: str) -> Ticker:
        return self._market(instrument_id).ticker(self.now_ms())

    def recent_trades(self, instrument_id: str, limit: int = 500) -> list[Trade]:
        return list(self._market(instrument_id).trades)[-limit:]

    def bars(self, instrument_id: str, seconds: int, limit: int = 500) -> list[Bar]:
        """Bars of whole minutes made from the trades of the last day; whole days from longer ago, too."""
        return self._market(instrument_id).bars(seconds, limit, self.now_ms())

    def remember_days(self, bars: Sequence[Bar]) -> None:
        """Daily bars from before the venue opened, oldest first."""
        for bar in bars:
            self._market(bar.instrument).days.append(bar)

    def mark_price(self, instrument_id: str) -> MarkPrice:
        return self._derivative(instrument_id).mark_price(self.now_ms())

    # listeners (see feeds.venue.events)

    def on_account(self, account: str, listener: AccountListener) -> Callable[[], None]:
        """Hear an account by name (`events.EVERY`: all). Call the result to stop."""
        return self._events.on_account(account, listener)

    def on_market(self, instrument_id: str, listener: MarketListener) -> Callable[[], None]:
        """Hear an instrument by id (`events.EVERY`: all). Call the result to stop."""
        return self._events.on_market(instrument_id, listener)

    def on_quiet(self, listener: Callable[[], None]) -> None:
        """Hear when all events of a command have been handed out."""
        self._events.on_quiet.append(listener)

    def _market(self, instrument_id: str) -> MarketState:
        market = self._markets.get(instrument_id)
        if market is None:
            raise UnknownInstrument(f"no instrument {instrument_id}")
        return market

    def _derivative(self, instrument_id: str) -> MarketState:
        market = self._market(instrument_id)
        if not market.instrument.is_derivative:
            raise UnknownInstrument(f"{instrument_id} is no derivative")
        return market
