"""Venues through ccxt, unmodified. Rule: a command ends in Accepted, Rejected or Unknown; nothing is ever sent twice.

A request goes out at most once: ccxt retries nothing (`maxRetriesOnFailure` is 0), and neither does this adapter, not
even a refused one. What no answer has proved is asked for: open orders, then history, then trades.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

import ccxt

from patriot.domain.venue import (
    Accepted,
    NotFound,
    OrderRef,
    OrderState,
    Outcome,
    Rejected,
    Unknown,
    VenueBalanceState,
    VenueOrder,
    VenuePositionState,
)
from patriot.runtime.clock import Clock
from patriot.runtime.ports import State
from patriot.telemetry.redaction import redact_text
from patriot.venues.binance import Binance
from patriot.venues.bybit import Bybit
from patriot.venues.calls import Calls, NotSent
from patriot.venues.coinbase import Coinbase
from patriot.venues.connections import TIMEOUT_SECONDS, Connections, Logins
from patriot.venues.dialect import AT_MARKET, CONDITIONAL, Dialect, Terms, figure, kind_of, symbol_of
from patriot.venues.endpoints import VenueEndpoints
from patriot.venues.gate import Step
from patriot.venues.outcomes import Meaning, Verdict, judge
from patriot.venues.reading import (
    Structure,
    Unreadable,
    is_whole,
    number,
    order_state,
    position_state,
    reference,
    summed,
)
from schemas.types import Side

DIALECTS: Final[dict[str, Dialect]] = {dialect.venue: dialect for dialect in (Binance(), Bybit(), Coinbase())}

Look = Callable[[], Awaitable[OrderState | NotFound | Unknown]]

ASK_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""After a command that was only acknowledged: when to look whether it has taken effect."""


class CcxtAdapter:
    """`patriot.domain.venue.VenueAdapter` for Binance, Bybit and Coinbase, at the given endpoints."""

    def __init__(
        self,
        logins: Logins,
        endpoints: VenueEndpoints,
        clock: Clock,
        state: State,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        address: str = "",
        is_limited: bool = True,
    ) -> None:
        self.endpoints = endpoints
        self.connections = Connections(DIALECTS, logins, endpoints, clock.monotonic, timeout_seconds)
        self._clock = clock
        seen = address if endpoints.mode == "live" else endpoints.http
        self._calls = Calls(self.connections, clock, state, seen, is_limited=is_limited)

    # --- commands ---
    async def create(self, order: VenueOrder) -> Outcome:
        ref = OrderRef(order.account_id, order.instrument, order.client_order_id)
        kind = kind_of(order.instrument)
        try:
            dialect, exchange = await self._open(ref)
        except Exception as error:  # noqa: BLE001 - whatever kept the connection from opening, nothing was sent
            return Rejected("no_connection", _unknown(error).reason)
        obstacle = dialect.obstacle(order) or _inexact(exchange, order)
        if obstacle:
            return Rejected("not_supported", obstacle)

        def send() -> Awaitable[Structure]:
            return exchange.create_order(  # type: ignore[no-any-return]
                symbol_of(order),
                "market" if order.order_type in AT_MARKET else "limit",
                order.side,
                figure(order.quantity),
                None if order.order_type in AT_MARKET else figure(order.price),
                dialect.parameters(order),
            )

        answer = await self._command("create", dialect, exchange, kind, send)
        if isinstance(answer, Verdict):
            return await self._duplicate(ref) if answer.meaning is Meaning.DUPLICATE else answer.outcome()
        return answer if isinstance(answer, Rejected) else await self._created(dialect, exchange, order, answer)

    async def modify(
        self, ref: OrderRef, quantity: Decimal, price: Decimal | None, side: Side, stop_price: Decimal | None = None
    ) -> Outcome:
        try:
            dialect, exchange = await self._open(ref)
        except Exception as error:  # noqa: BLE001 - whatever kept the connection from opening, nothing was sent
            return Rejected("no_connection", _unknown(error).reason)
        obstacle = _imprecise(exchange, symbol_of(ref), quantity, price, stop_price)
        if obstacle:
            return Rejected("not_supported", obstacle)
        answer = await self._command(
            "modify",
            dialect,
            exchange,
            kind_of(ref.instrument),
            lambda: dialect.amend(exchange, ref, Terms(quantity, price, stop_price, side)),
        )
        if isinstance(answer, Verdict):
            return answer.outcome()
        if isinstance(answer, Rejected):
            return answer
        venue_order_id = str(answer.get("id") or ref.venue_order_id)
        if not dialect.acknowledges:
            return Accepted(venue_order_id)
        return await self._once(
            partial(self.query, ref),
            lambda state: (
                state.quantity == quantity and price in {None, state.price} and stop_price in {None, state.stop_price}
            ),
        )

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Accepted always carries the state that proves the end; an acknowledgement alone is none."""
        try:
            dialect, exchange = await self._open(ref)
        except Exception as error:  # noqa: BLE001 - whatever kept the connection from opening, nothing was sent
            return Rejected("no_connection", _unknown(error).reason)
        answer = await self._command(
            "cancel", dialect, exchange, kind_of(ref.instrument), lambda: dialect.cancel(exchange, ref)
        )
        if isinstance(answer, Verdict):
            return answer.outcome()
        if isinstance(answer, Rejected):
            return answer
        state = _readable(ref, answer)
        if state is not None and state.status != "open" and is_whole(state):
            return Accepted(state.ref.venue_order_id, state)
        return await self._once(partial(self.query, ref), lambda state: state.status != "open")

    async def set_leverage(self, account_id: UUID, instrument: str, leverage: int) -> Outcome:
        """Accepted too where the venue refuses it for being so already."""
        ref, kind = OrderRef(account_id, instrument, ""), kind_of(instrument)
        try:
            dialect, exchange = await self._open(ref)
        except Exception as error:  # noqa: BLE001 - whatever kept the connection from opening, nothing was sent
            return _unknown(error)
        answer = await self._command(
            "leverage", dialect, exchange, kind, lambda: exchange.set_leverage(leverage, symbol_of(ref))
        )
        if isinstance(answer, Verdict):
            return Accepted("") if answer.code == dialect.leverage_is_so else answer.outcome()
        return answer if isinstance(answer, Rejected) else Accepted("")

    # --- questions ---
    async def query(self, ref: OrderRef) -> OrderState | NotFound | Unknown:
        """Open orders, then history, then trades. NotFound only when all three answered and know nothing."""
        try:
            dialect, exchange = await self._open(ref)
            return await self._look(dialect, exchange, ref)
        except Exception as error:  # noqa: BLE001 - an answer that fails in any way proves nothing
            return _unknown(error)

    async def open_orders(self, account_id: UUID) -> Sequence[OrderState] | Unknown:
        """Of all market types, with their trades."""
        found: list[OrderState] = []
        try:
            dialect = await self.connections.dialect(account_id)
            for kind in dialect.kinds:
                exchange = await self.connections.exchange(account_id, kind)
                orders = await self._calls.ask("all_open", dialect, exchange, kind, partial(dialect.all_open, exchange))
                for order in orders:
                    ref = reference(account_id, dialect.venue, order)
                    found.append(await self._with_trades(dialect, exchange, ref, order))
        except Exception as error:  # noqa: BLE001 - an answer that fails in any way proves nothing
            return _unknown(error)
        return found

    async def balances(self, account_id: UUID) -> Sequence[VenueBalanceState] | Unknown:
        """Summed over the wallets of the account."""
        wallets = []
        try:
            dialect = await self.connections.dialect(account_id)
            for kind in self._wallets(dialect):
                exchange = await self.connections.exchange(account_id, kind)
                answer = await self._calls.ask("balances", dialect, exchange, kind, exchange.fetch_balance)
                wallets.append(dialect.balances(answer))
        except Exception as error:  # noqa: BLE001 - an answer that fails in any way proves nothing
            return _unknown(error)
        return summed(wallets)

    async def positions(self, account_id: UUID) -> Sequence[VenuePositionState] | Unknown:
        """Of the linear market; none where the exchange has no derivatives."""
        try:
            dialect = await self.connections.dialect(account_id)
            if "linear" not in dialect.kinds:
                return ()
            exchange = await self.connections.exchange(account_id, "linear")
            rows = await self._calls.ask("balances", dialect, exchange, "linear", partial(dialect.positions, exchange))
            return [one for one in (position_state(dialect.venue, exchange, row) for row in rows) if one.quantity]
        except Exception as error:  # noqa: BLE001 - an answer that fails in any way proves nothing
            return _unknown(error)

    async def leverages(self, account_id: UUID, instruments: Sequence[str]) -> Mapping[str, Decimal] | Unknown:
        found = {}
        try:
            for instrument in instruments:
                dialect, exchange = await self._open(ref := OrderRef(account_id, instrument, ""))
                look = partial(dialect.leverage, exchange, symbol_of(ref))
                told = await self._calls.ask("balances", dialect, exchange, "linear", look)
                found[instrument] = number(told, "leverage")
        except Exception as error:  # noqa: BLE001 - an answer that fails in any way proves nothing
            return _unknown(error)
        return found

    async def forget(self, account_id: UUID) -> None:
        """Close what an account has open."""
        await self.connections.forget(account_id)

    async def close(self) -> None:
        await self.connections.close()

    # --- asking ---
    async def _look(self, dialect: Dialect, exchange: Any, ref: OrderRef) -> OrderState | NotFound | Unknown:
        kind = kind_of(ref.instrument)
        order = await self._calls.ask("open", dialect, exchange, kind, lambda: dialect.find_open(exchange, ref))
        if order is None:
            order = await self._calls.ask("ended", dialect, exchange, kind, lambda: dialect.find_ended(exchange, ref))
        if order is None:
            step: Step = "trades" if ref.venue_order_id else "search"
            trades = await self._calls.ask(step, dialect, exchange, kind, lambda: dialect.trades(exchange, ref))
            return Unknown(f"{len(trades)} trades of an order that is in no list") if trades else NotFound()
        return _whole(await self._with_trades(dialect, exchange, ref, order))

    async def _with_trades(self, dialect: Dialect, exchange: Any, ref: OrderRef, order: Structure) -> OrderState:
        state = order_state(ref, order)
        if not state.filled_quantity:
            return state
        kind = kind_of(ref.instrument)
        trades = await self._calls.ask("trades", dialect, exchange, kind, lambda: dialect.trades(exchange, state.ref))
        return order_state(ref, order, trades)

    async def _created(self, dialect: Dialect, exchange: Any, order: VenueOrder, answer: Structure) -> Outcome:
        """Accepted once the venue has named the order. What the answer leaves open (a bare acknowledgement, trades
        that it does not tell) is asked for; where even that tells nothing, the private stream will.
        """
        venue_order_id = str(answer.get("id") or "")
        if not venue_order_id:
            return Unknown("an answer without an order id")
        ref = OrderRef(order.account_id, order.instrument, order.client_order_id, venue_order_id)
        state = _readable(ref, answer)
        if state is None or not _is_settled(order, state):
            is_over = state is not None and state.status != "open"
            look = partial(self._complete, dialect, exchange, ref, answer) if is_over else partial(self.query, ref)
            told = await self._once(look, partial(_is_settled, order))
            state = told.state if isinstance(told, Accepted) else None
        if state is not None and state.status == "rejected" and not state.executions:
            return Rejected("venue", state.reason)
        return Accepted(venue_order_id, state)

    async def _complete(
        self, dialect: Dialect, exchange: Any, ref: OrderRef, order: Structure
    ) -> OrderState | NotFound | Unknown:
        """An order that is over, as it was told, with its trades."""
        try:
            return _whole(await self._with_trades(dialect, exchange, ref, order))
        except Exception as error:  # noqa: BLE001 - an answer that fails in any way proves nothing
            return _unknown(error)

    async def _once(self, look: Look, reached: Callable[[OrderState], bool]) -> Accepted | Unknown:
        """Look until the order is as it was asked for, or over."""
        answer: OrderState | NotFound | Unknown = Unknown("not asked")
        deadline = self._clock.monotonic() + sum(ASK_SECONDS)
        for pause_seconds in ASK_SECONDS:
            await self._clock.sleep(pause_seconds)
            answer = await look()
            if isinstance(answer, OrderState) and reached(answer):
                return Accepted(answer.ref.venue_order_id, answer)
            if self._clock.monotonic() > deadline:
                break
        return answer if isinstance(answer, Unknown) else Unknown("acknowledged, without effect so far")

    async def _duplicate(self, ref: OrderRef) -> Outcome:
        """The venue has an order of this name. Ours names are used once, so it is this one."""
        answer = await self.query(ref)
        if isinstance(answer, OrderState):
            return Accepted(answer.ref.venue_order_id, answer)
        return answer if isinstance(answer, Unknown) else Unknown("a duplicate of an order that cannot be found")

    # --- calling ---
    async def _open(self, ref: OrderRef) -> tuple[Dialect, Any]:
        dialect, kind = DIALECTS[ref.instrument.partition(":")[0]], kind_of(ref.instrument)
        exchange = await self.connections.exchange(ref.account_id, kind)
        if symbol_of(ref) not in exchange.markets:
            await self.connections.markets_with(dialect, kind, symbol_of(ref))
        return dialect, exchange

    async def _command(
        self, step: Step, dialect: Dialect, exchange: Any, kind: str, send: Callable[[], Awaitable[Structure]]
    ) -> Structure | Verdict | Rejected:
        """The answer, or what its failure proves, or the refusal of the gate."""
        try:
            return await self._calls.ask(step, dialect, exchange, kind, send)
        except NotSent as error:
            return Rejected(error.held.code, error.held.reason)
        except Exception as error:  # noqa: BLE001 - judged: what is no proof becomes Unknown
            return judge(exchange.id, error)

    def _wallets(self, dialect: Dialect) -> tuple[str, ...]:
        """Accounts of the built-in venue have one wallet, whatever the exchange has."""
        return dialect.wallets if self.endpoints.mode == "live" else dialect.wallets[-1:]


def _is_settled(order: VenueOrder, state: OrderState) -> bool:
    """Whether a new order is told to the last fill, and is over or may rest."""
    at_once = order.order_type == "market" or order.time_in_force in {"IOC", "FOK"}
    may_rest = order.order_type in CONDITIONAL or order.trailing is not None or not at_once
    return is_whole(state) and (state.status != "open" or may_rest)


def _whole(state: OrderState) -> OrderState | Unknown:
    return state if is_whole(state) else Unknown("the trades do not add up to the filled quantity yet")


def _readable(ref: OrderRef, answer: Structure) -> OrderState | None:
    try:
        return order_state(ref, answer, answer.get("trades") or ())
    except Unreadable:
        return None


def _inexact(exchange: Any, order: VenueOrder) -> str:
    price = None if order.order_type in AT_MARKET else order.price
    activation = order.trailing.activation_price if order.trailing else None
    shown = order.display_quantity or order.quantity
    return _imprecise(exchange, symbol_of(order), order.quantity, price, order.stop_price, activation) or _imprecise(
        exchange, symbol_of(order), shown
    )


def _imprecise(exchange: Any, symbol: str, quantity: Decimal, *prices: Decimal | None) -> str:
    """Why ccxt would send other figures than these (it cuts them to the market's steps); empty where it would not."""
    try:
        exact = Decimal(exchange.amount_to_precision(symbol, figure(quantity))) == quantity
        exact &= all(
            Decimal(exchange.price_to_precision(symbol, figure(one))) == one for one in prices if one is not None
        )
    except ccxt.BaseError as error:
        return str(error)
    return "" if exact else f"quantity or price does not fit the steps of {symbol}"


def _unknown(error: Exception) -> Unknown:
    return Unknown(f"{type(error).__name__}: {redact_text(str(error))[:300]}")
