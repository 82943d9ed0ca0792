"""What differs from exchange to exchange, behind ccxt. Rule: a dialect knows names and habits, never the network's.

A new exchange is one file with a subclass, named in `DIALECTS` of `ccxt_adapter.py`, and its rows in `outcomes.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, get_args

import ccxt

from patriot.domain.money import plain
from patriot.domain.venue import OrderRef, VenueBalanceState, VenueOrder
from patriot.venues.budget import Budget
from patriot.venues.endpoints import VenueEndpoints
from patriot.venues.gate import Step
from patriot.venues.reading import Structure, balances
from schemas.types import Side

CONDITIONAL = frozenset({"stop", "stop_limit", "take_profit", "take_profit_limit"})
AT_MARKET = frozenset({"market", "stop", "take_profit", "trailing_stop"})
RECEIVE_WINDOW_MS = 5000
OPTIONS = {"adjustForTimeDifference": True, "recvWindow": RECEIVE_WINDOW_MS}
HISTORY = 500
ONE_EACH: Mapping[Step, float] = dict.fromkeys(get_args(Step), 1.0)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a modification makes of an order. None: as it is."""

    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    side: Side


class Dialect:
    """One exchange. `kinds` are its market types; each (account, market type) has one exchange object.

    `streams` are the private connections of an account, each named by the market types that it tells about, joined by
    "+". `wallets` are the market types that have a wallet of their own; `acknowledges` says that an answer to a command
    only means "taken", so its effect has to be asked for. `trails` are the market types with trailing stops,
    `hides` those with icebergs. `budgets` and `weights` are by market type.
    """

    venue: ClassVar[str]
    exchange_id: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    streams: ClassVar[tuple[str, ...]]
    wallets: ClassVar[tuple[str, ...]]
    acknowledges: ClassVar[bool] = False
    trails: ClassVar[frozenset[str]] = frozenset()
    hides: ClassVar[frozenset[str]] = frozenset()
    leverage_is_so: ClassVar[str] = ""  # the code that refuses a leverage for being so already
    budgets: ClassVar[Mapping[str, Budget]]
    weights: ClassVar[Mapping[str, Mapping[Step, float]]]

    # --- the exchange object ---
    def options(self, kind: str) -> dict[str, Any]:
        """What ccxt calls `options`, for one market type or for the market types of a stream."""
        return OPTIONS | {
            "defaultType": "spot" if kind == "spot" else "swap",
            "fetchMarkets": {"types": kind.split("+")},
            # ccxt would read positions beside the orders of a stream, and cannot while numbers are text
            "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
        }

    def configuration(self) -> dict[str, Any]:
        """Other settings of the exchange object."""
        return {}

    def addresses(self, endpoints: VenueEndpoints) -> dict[str, Any]:  # noqa: ARG002 - for those that differ
        """Parts of `urls["api"]` that the built-in venue has elsewhere than the exchange."""
        return {}

    async def prepare(self, exchange: Any) -> None:
        """Ask once what ccxt would otherwise ask in the middle of a command."""

    # --- orders ---
    def obstacle(self, order: VenueOrder) -> str:
        """Why this order cannot be expressed here; empty where it can."""
        if order.trailing is not None and kind_of(order.instrument) not in self.trails:
            return f"{self.venue} has no trailing stops there"
        if order.display_quantity is not None and kind_of(order.instrument) not in self.hides:
            return f"{self.venue} has no icebergs there"
        if order.order_type in AT_MARKET and order.time_in_force in {"FOK", "GTD"}:
            return f"a {order.order_type} order cannot be {order.time_in_force}"
        if order.post_only and order.order_type in AT_MARKET:
            return f"a {order.order_type} order cannot be post-only"
        if order.post_only and order.time_in_force in {"IOC", "FOK"}:
            return f"a post-only order cannot be {order.time_in_force}"
        if order.reduce_only and kind_of(order.instrument) == "spot":
            return "spot orders cannot be reduce-only"
        return ""

    def parameters(self, order: VenueOrder) -> dict[str, Any]:
        """What ccxt's create_order calls `params`."""
        parameters: dict[str, Any] = {"clientOrderId": order.client_order_id}
        if order.order_type not in AT_MARKET and not order.post_only:
            parameters["timeInForce"] = order.time_in_force
        if order.post_only:
            parameters["postOnly"] = True
        if order.reduce_only:
            parameters["reduceOnly"] = True
        return parameters

    async def amend(self, exchange: Any, ref: OrderRef, terms: Terms) -> Structure:
        """Change an open order in place. Raises what ccxt raises; ccxt.NotSupported where the venue cannot."""
        del exchange, ref, terms  # for those that can
        raise ccxt.NotSupported(f"{self.venue} cannot change an order; cancel it and place another")

    async def cancel(self, exchange: Any, ref: OrderRef) -> Structure:
        """Raises what ccxt raises."""
        found: Structure = await exchange.cancel_order(ref.venue_order_id, symbol_of(ref))
        return found

    # --- private streams ---
    def told_order(self, exchange: Any, order: Structure) -> Structure:  # noqa: ARG002 - for those that differ
        """An order of a private stream, read for the market that it belongs to."""
        return order

    def told_trade(self, exchange: Any, trade: Structure) -> Structure:  # noqa: ARG002 - for those that differ
        """A trade of a private stream, read for the market that it belongs to."""
        return trade

    # --- questions, asked in this order ---
    async def find_open(self, exchange: Any, ref: OrderRef) -> Structure | None:
        """The order among the open ones."""
        return named(await exchange.fetch_open_orders(symbol_of(ref)), ref)

    async def find_ended(self, exchange: Any, ref: OrderRef) -> Structure | None:
        """The order in the history."""
        return named(await exchange.fetch_orders(symbol_of(ref), None, HISTORY), ref)

    async def trades(self, exchange: Any, ref: OrderRef) -> Sequence[Structure]:
        """The trades of the order; by our name for it where the venue has told none of its own."""
        found = await exchange.fetch_my_trades(symbol_of(ref), None, HISTORY)
        return [trade for trade in found if str(trade.get("order")) == ref.venue_order_id]

    async def all_open(self, exchange: Any) -> Sequence[Structure]:
        """All open orders of one market type."""
        found: Sequence[Structure] = await exchange.fetch_open_orders()
        return found

    async def positions(self, exchange: Any) -> Sequence[Structure]:
        """The venue's rows with symbol, signed quantity and entry price, as `Structure`. Ccxt cannot read them while
        numbers are text, so each asks the endpoint itself.
        """
        del exchange
        return ()

    async def leverage(self, exchange: Any, symbol: str) -> object:
        """What a symbol stands at. Asked as `positions` is, and for the same reason."""
        del exchange, symbol
        return None

    def balances(self, structure: Structure) -> dict[str, VenueBalanceState]:
        """One wallet: `total` is what is owned, without unrealised profit."""
        return balances(structure)


def kind_of(instrument: str) -> str:
    """Tell spot ("BINANCE:BTC/USDT") from linear ("BINANCE:BTC/USDT:USDT")."""
    return "linear" if instrument.count(":") > 1 else "spot"


def symbol_of(ref: OrderRef | VenueOrder) -> str:
    """The ccxt symbol."""
    return ref.instrument.partition(":")[2]


def named(orders: Sequence[Structure], ref: OrderRef) -> Structure | None:
    """The order with our name, the newest where there are several (they come oldest first)."""
    return next((one for one in reversed(orders) if one.get("clientOrderId") == ref.client_order_id), None)


def figure(number: Decimal | None) -> str | None:
    """An exact number for ccxt."""
    return None if number is None else plain(number)


def trades_upwards(order: VenueOrder) -> bool:
    """Whether a conditional order waits for a rising price."""
    return (order.side == "buy") == order.order_type.startswith("stop")
