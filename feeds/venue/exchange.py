"""The built-in exchange, whole, in memory. Rule: a command either raises a `VenueError` and changes nothing, or is done
to the end (fills, stops, liquidations) before it returns; then the listeners hear about it.

Everything is synchronous and deterministic: time is `now_ms()`, ids count from 1, nothing is random. One instance is
one venue; the wire protocols, the in-process adapter, the synthetic market and replays all stand on these methods.

    exchange = Exchange("BINANCE", instruments, now_ms)
    alice = exchange.open_account("alice", api_key="k", secret="s")
    exchange.deposit(alice, "spot", "USDT", Decimal(10_000))
    order = exchange.create(alice, NewOrder(instrument_id="BINANCE:BTC/USDT", side=Side.BUY, type=OrderType.LIMIT,
                                            quantity=Decimal("0.1"), price=Decimal(60_000)))
    exchange.cancel(alice, order.instrument.id, order_id=order.id)

Commands raise the errors of `feeds.venue.errors`. Call `advance()` regularly (each command also does): it ends
good-till-date orders and pays funding that are due at `now_ms()`. One-way positions and cross margin only.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from decimal import Decimal

from feeds.venue.accounts import Account, WalletName
from feeds.venue.admission import admit, price_units, quantity_units
from feeds.venue.amendment import Amendment, Terms
from feeds.venue.amounts import amount_of
from feeds.venue.cycle import Cycle
from feeds.venue.errors import (
    DuplicateClientOrderId,
    InsufficientBalance,
    InvalidRequest,
    LeverageRejected,
    UnknownOrder,
)
from feeds.venue.execution import Execution
from feeds.venue.external import External
from feeds.venue.liquidation import Liquidation
from feeds.venue.market import MarketState
from feeds.venue.orders import NewOrder, Order, OrderStatus, Reason
from feeds.venue.queries import Queries
from feeds.venue.state import AccountState
from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.money import decimal_of
from patriot.protocols.market import BookDelta, BookSnapshot, MarkPrice, Quote, Trade

HISTORY_MAX = 100_000


class Exchange(Queries):
    """One venue. `unified` True gives accounts one wallet for spot and linear (Bybit), False two (Binance).

    `client_ids_forever` True refuses a client order id that any remembered order had (Bybit), False only those of
    open orders (Binance).
    """

    def __init__(
        self,
        venue: str,
        instruments: Iterable[Instrument],
        now_ms: Callable[[], int],
        *,
        unified: bool = False,
        client_ids_forever: bool = False,
    ) -> None:
        super().__init__(instruments, now_ms, unified=unified)
        self.venue = venue
        self._client_ids_forever = client_ids_forever
        self._orders_count = 0
        self._execution = Execution(self._markets, self._clearing, self._events)
        self._amendment = Amendment(self._clearing, self._execution)
        self._external = External(self._clearing, self._execution)
        liquidation = Liquidation(self._clearing, self._execution, self._next_order_id)
        self._cycle = Cycle(
            markets=self._markets,
            clearing=self._clearing,
            execution=self._execution,
            liquidation=liquidation,
            events=self._events,
            now_ms=now_ms,
            dirty=self._dirty,
        )
        self._differences: dict[tuple[str, WalletName], int] = {}

    def open_market(self, instrument: Instrument) -> None:
        """List an instrument. One that is listed already keeps its terms."""
        if instrument.id not in self._markets:
            market = self._markets[instrument.id] = MarketState(instrument, self._dirty)
            self._external.take(market)

    # accounts

    def open_account(
        self,
        name: str,
        *,
        api_key: str = "",
        secret: str = "",
        unlimited: bool = False,
        own: bool = False,
        history_max: int = HISTORY_MAX,
    ) -> Account:
        """Open an account; names and keys are distinct. `unlimited` ones may go below zero (market makers).

        The venue's `own` ones are not told to those who hear every account.
        """
        account = self._clearing.open_account(
            name, api_key=api_key, secret=secret, unlimited=unlimited, history_max=history_max
        )
        if api_key:
            assert api_key not in self._by_key, "API keys are distinct"
            self._by_key[api_key] = account
        if own:
            self._events.own.add(name)
        return account

    def deposit(self, account: Account, wallet: WalletName, asset: str, amount: Decimal) -> None:
        """Make money. Raises InvalidRequest unless the amount is positive."""
        with self._command("deposit"):
            self._move(account, wallet, asset, _positive(amount))

    def withdraw(self, account: Account, wallet: WalletName, asset: str, amount: Decimal) -> None:
        """Take money out. Raises InsufficientBalance."""
        with self._command("withdraw"):
            units = _positive(amount)
            self._check_withdrawable(account, wallet, asset, units)
            self._move(account, wallet, asset, -units)

    def transfer(self, account: Account, asset: str, amount: Decimal, source: WalletName, target: WalletName) -> None:
        """Move money between the wallets of an account. Raises InsufficientBalance."""
        with self._command("transfer"):
            units = _positive(amount)
            self._check_withdrawable(account, source, asset, units)
            self._move(account, source, asset, -units)
            self._move(account, target, asset, units)

    # orders

    def create(self, account: Account, request: NewOrder) -> Order:
        """Accept an order and execute it as far as it goes. Raises VenueError where it is refused."""
        with self._command("order"):
            market = self._market(request.instrument_id)
            self._check_client_id(account, request)
            order = admit(market, request, account.name, self._next_order_id(), self._execution.now_ms)
            self._execution.create(
                account, market, order, record=request.record_failure, check_trigger=request.trigger_checked
            )
            return order

    def cancel(self, account: Account, instrument_id: str, *, order_id: int = 0, client_order_id: str = "") -> Order:
        """Cancel an open order. Raises UnknownOrder where it is not there or already ended."""
        with self._command("order"):
            order = self._open_order(account, instrument_id, order_id, client_order_id)
            self._execution.end(order, OrderStatus.CANCELLED, Reason.USER)
            return order

    def cancel_all(self, account: Account, instrument_id: str | None = None) -> list[Order]:
        """Cancel the open orders of one instrument or of all; return them, oldest first."""
        with self._command("order"):
            orders = self.open_orders(account, instrument_id)
            for order in orders:
                self._execution.end(order, OrderStatus.CANCELLED, Reason.USER)
            return orders

    def amend(
        self,
        account: Account,
        instrument_id: str,
        *,
        order_id: int = 0,
        client_order_id: str = "",
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        trigger_price: Decimal | None = None,
    ) -> Order:
        """Change an open order; `quantity` is the new total, filled part included; None keeps a field.

        A mere decrease keeps the place in the queue; anything else goes to the back and may match. Raises UnknownOrder,
        NothingToAmend, InvalidRequest, FilterFailure, InsufficientBalance, WouldTake; then nothing has changed.
        """
        with self._command("order"):
            order = self._open_order(account, instrument_id, order_id, client_order_id)
            market = self._market(instrument_id)
            terms = Terms(
                order.price_units if price is None else price_units(market, price, "price"),
                order.quantity_units if quantity is None else quantity_units(market, quantity),
                order.trigger_units if trigger_price is None else price_units(market, trigger_price, "trigger_price"),
            )
            self._amendment.amend(account, market, order, terms)
            return order

    # after a restart

    def restore(self, account: Account, state: AccountState) -> None:
        """Bring an account back to what it was: money, positions, fills, orders; open ones stand in the book again.

        An open order that crosses the book by now is matched. One that its account can no longer hold expires.
        """
        with self._command("order"):
            for asset, total in state.totals.items():
                self._clearing.add(account, "spot", asset, total)
            for position in state.positions:
                self._clearing.restore_position(account, self._derivative(position.instrument).instrument, position)
            for fill in state.fills:
                account.record(fill)
                self._market(fill.instrument.id).trades_count_min(fill.trade_id)
            for order in sorted(state.orders, key=lambda order: order.id):
                self._orders_count = max(self._orders_count, order.id)
                self._execution.restore(account, self._market(order.instrument.id), order)

    # positions

    def set_leverage(self, account: Account, instrument_id: str, leverage: int) -> None:
        """Set the leverage of an instrument. Raises LeverageRejected outside 1..maximum or where margin would lack."""
        with self._command("leverage"):
            market = self._derivative(instrument_id)
            if not 1 <= leverage <= market.instrument.maximum_leverage:
                raise LeverageRejected(f"leverage must be 1 to {market.instrument.maximum_leverage}")
            position = account.position(market.instrument)
            before, position.leverage = position.leverage, leverage
            if leverage < before and self._clearing.margin_available(account, market.instrument.settle) < 0:
                position.leverage = before
                raise LeverageRejected("the margin would not suffice")
            account.leverages[instrument_id] = leverage
            self._clearing.touch_position(account, instrument_id)

    # market sources

    def advance(self) -> None:
        """Do what is due at `now_ms()`: expiries and funding."""
        with self._command("order"):
            pass

    def set_mark(self, mark: MarkPrice) -> None:
        """Set mark and index price, funding rate and the next funding of a derivative; may liquidate."""
        with self._command("order"):
            market = self._derivative(mark.instrument)
            market.set_mark(mark.mark, mark.index, decimal_of(mark.funding_rate), mark.next_funding_ms)
            self._events.market(market.mark_price(self._execution.now_ms))
            self._execution.price_moved(market)

    def external_book(self, news: BookSnapshot | BookDelta) -> None:
        """Set external levels of the book (rules in `feeds.venue.external`)."""
        if self._cycle.may_wait(market := self._market(news.instrument)):
            market.waiting().keep(news)
            return
        with self._command("order"):
            self._external.book(market, news)

    def external_quote(self, quote: Quote) -> None:
        """Make a quote the whole external book, for sources that have no depth."""
        if self._cycle.may_wait(market := self._market(quote.instrument)):
            market.waiting().replace(quote)
            return
        with self._command("order"):
            self._external.quote(market, quote)

    def external_trade(self, trade: Trade) -> None:
        """Let a trade that happened elsewhere meet the resting orders, then print it as it is."""
        market = self._market(trade.instrument)
        if waits := self._cycle.may_wait(market):
            market.waiting().pass_through(trade)
            if not self._execution.minds(market, trade.price):
                market.print_trade(trade)
                return
        with self._command("order"):
            if not waits:
                self._external.trade(market, trade)
            self._execution.print_trade(market, trade)

    # parts

    def _command(self, reason: str) -> AbstractContextManager[None]:
        self._differences = {}
        return self._cycle.command(reason, self._differences)

    def _next_order_id(self) -> int:
        self._orders_count += 1
        return self._orders_count

    def _move(self, account: Account, wallet: WalletName, asset: str, amount: int) -> None:
        self._clearing.add(account, wallet, asset, amount)
        self._differences[account.name, wallet] = amount

    def _check_withdrawable(self, account: Account, wallet: WalletName, asset: str, amount: int) -> None:
        if not account.unlimited and amount > self._clearing.withdrawable(account, wallet, asset):
            raise InsufficientBalance(f"{asset}: more than is free")

    def _check_client_id(self, account: Account, request: NewOrder) -> None:
        known = account.by_client_id.get((request.instrument_id, request.client_order_id))
        if known is not None and (known.is_open or self._client_ids_forever):
            raise DuplicateClientOrderId(f"client order id {request.client_order_id} is in use")

    def _open_order(self, account: Account, instrument_id: str, order_id: int, client_order_id: str) -> Order:
        order = self.order(account, instrument_id, order_id=order_id, client_order_id=client_order_id)
        if not order.is_open:
            raise UnknownOrder("the order is no longer open")
        return order


def _positive(amount: Decimal) -> int:
    try:
        units = amount_of(amount)
    except InvalidValue as refusal:
        raise InvalidRequest("amount", refusal.rule) from refusal
    if units <= 0:
        raise InvalidRequest("amount", "must be positive")
    return units
