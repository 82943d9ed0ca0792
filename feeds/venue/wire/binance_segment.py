"""What spot and futures share: a table of routes, and the way of a request through it.

Rule: count, read, authenticate, do, answer; whatever is refused on the way becomes Binance's error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from feeds.venue.accounts import Account, WalletName
from feeds.venue.errors import UnknownInstrument, UnknownOrder, VenueError
from feeds.venue.exchange import Exchange
from feeds.venue.orders import Fill, Order
from feeds.venue.wire.binance_access import Limits, account_of, check_signed_object, check_signed_request
from feeds.venue.wire.binance_errors import INVALID_SYMBOL, UNKNOWN_ORDER_QUERY, BinanceError, translate
from feeds.venue.wire.binance_params import Params, missing
from feeds.venue.wire.binance_scale import Scale
from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.strikes import Strikes
from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument, Kind

Security = Literal["none", "key", "signed"]
"""What a route asks for: nothing, the API key, key and signature."""

Operation = Literal["create", "amend", "cancel", "leverage", "query"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a handler."""

    params: Params
    owner: Account | None = None

    @property
    def account(self) -> Account:
        assert self.owner is not None, "the route asks for a key"
        return self.owner


@dataclass(frozen=True, slots=True)
class Route:
    """`operation` is what a fault plan calls it."""

    handler: Callable[[Call], object]
    security: Security = "none"
    weight: int = 1
    operation: Operation = "query"

    @property
    def places(self) -> bool:
        """Tell whether it counts as a new order."""
        return self.operation in {"create", "amend"}


Routes = dict[tuple[str, str], Route]
"""By method and path."""


@dataclass(slots=True)
class Segment:
    """One kind of market of one exchange. `methods` name routes for the WebSocket API."""

    exchange: Exchange
    kind: Kind
    wallet: WalletName
    limits: Limits
    strikes: Strikes
    routes: Routes = field(default_factory=dict)
    methods: dict[str, tuple[str, str]] = field(default_factory=dict)
    _named: dict[str, Instrument] = field(default_factory=dict)
    _scales: dict[str, Scale] = field(default_factory=dict)

    def clock_ms(self) -> int:
        """The venue's clock as clients see it."""
        return self.exchange.now_ms() + self.strikes.skew_ms()

    # the way of a request

    def answer(self, request: Request) -> Response:
        headers: dict[str, str] = {}
        try:
            body = orjson.dumps(self._do(request, headers))
        except BinanceError as refusal:
            return Response(refusal.status, orjson.dumps(refusal.body()), headers | refusal.headers)
        return Response(200, body, headers)

    def _do(self, request: Request, headers: dict[str, str]) -> object:
        route = self.routes.get((request.method, request.path))
        weight = self.limits.spend(request.client, 1 if route is None else route.weight)
        headers |= {"X-MBX-USED-WEIGHT": str(weight), "X-MBX-USED-WEIGHT-1M": str(weight)}
        if route is None:
            raise BinanceError(-5000, f"Path {request.path}, Method {request.method} is invalid", 404)
        params = Params.of_request(request.query, request.body)
        call = Call(params, self._owner_of(route, request, params))
        try:
            return self.run(route, call)
        finally:
            headers |= self.order_headers(route, call)

    def _owner_of(self, route: Route, request: Request, params: Params) -> Account | None:
        if route.security == "none":
            return None
        account = account_of(self.exchange, request.headers.get("x-mbx-apikey", ""))
        if route.security == "signed":
            check_signed_request(account, request, params, self.clock_ms())
        return account

    def invoke(self, method: str, params: Params, address: str) -> object:
        """Do a request of the WebSocket API. Raises BinanceError."""
        target = self.methods.get(method)
        if target is None:
            raise BinanceError(-1020, f"Unknown method '{method}'.")
        route = self.routes[target]
        self.limits.spend(address, route.weight)
        return self.run(route, Call(params, self._owner_of_object(route, params)))

    def _owner_of_object(self, route: Route, params: Params) -> Account | None:
        if route.security == "none":
            return None
        if route.security == "key":
            return account_of(self.exchange, params.text("apiKey", ""))
        return self.authenticate_object(params)

    def authenticate_object(self, params: Params) -> Account:
        account = account_of(self.exchange, params.text("apiKey", ""))
        check_signed_object(account, params, self.clock_ms())
        return account

    def run(self, route: Route, call: Call) -> object:
        """Run a handler; what the exchange refuses becomes a BinanceError. Raises Unanswered and Cut too."""
        if route.places:
            self.limits.place(call.account)
        account = call.owner.name if call.owner else ""
        return self.strikes.command(route.operation, account, lambda: self._handle(route, call), _refused)

    def _handle(self, route: Route, call: Call) -> object:
        try:
            return route.handler(call)
        except VenueError as refusal:
            raise translate(refusal, self.kind) from refusal
        except InvalidValue as refusal:
            raise BinanceError(-1130, f"Data sent for parameter '{refusal.field}' is not valid.") from refusal

    def order_headers(self, route: Route, call: Call) -> dict[str, str]:
        if not route.places:
            return {}
        limits = self.limits
        return {f"X-MBX-ORDER-COUNT-{one.letter}": str(limits.used(call.account, one)) for one in limits.orders}

    # what handlers need

    def instruments(self) -> list[Instrument]:
        return [one for one in self.exchange.instruments if one.kind == self.kind]

    def instrument(self, params: Params) -> Instrument:
        """Return the instrument of the parameter `symbol`. Raises BinanceError -1102, -1121."""
        return self.named(params.text("symbol"))

    def named(self, symbol: str) -> Instrument:
        """Return the instrument with Binance's own name. Raises BinanceError -1121."""
        found = self._named.get(symbol)
        if found is None:
            try:
                found = self._named[symbol] = self.exchange.find_instrument(symbol, self.kind)
            except UnknownInstrument:
                raise BinanceError(*INVALID_SYMBOL) from None
        return found

    def chosen(self, params: Params) -> list[Instrument]:
        """Return the instrument of `symbol`, all where it was not sent."""
        return [self.instrument(params)] if params.has("symbol") else self.instruments()

    def scale(self, instrument: Instrument) -> Scale:
        found = self._scales.get(instrument.id)
        if found is None:
            found = self._scales[instrument.id] = Scale(instrument)
        return found

    def key_of(
        self, params: Params, order_id: str = "orderId", client_id: str = "origClientOrderId"
    ) -> tuple[int, str]:
        """Return (order id, client order id) of which one is given; the order id wins."""
        if params.has(order_id):
            return params.integer(order_id), ""
        if params.has(client_id):
            return 0, params.text(client_id)
        raise missing(order_id)

    def find_order(self, call: Call, instrument: Instrument, key: tuple[int, str]) -> Order:
        """Raises BinanceError -2013."""
        try:
            return self.exchange.order(call.account, instrument.id, order_id=key[0], client_order_id=key[1])
        except UnknownOrder:
            raise BinanceError(*UNKNOWN_ORDER_QUERY) from None

    def fills_of(self, account: Account, order: Order) -> list[Fill]:
        """Fills of one order, oldest first, found from the newest backwards."""
        found: list[Fill] = []
        missing_units = order.filled_units
        for fill in reversed(account.fills):
            if missing_units <= 0:
                break
            if fill.order_id == order.id:
                found.append(fill)
                missing_units -= fill.quantity_units
        return found[::-1]


def _refused(status: int, headers: Mapping[str, str]) -> object:
    """Raise what Binance answers when it is overloaded (5xx: nobody knows what became of the order) or limits."""
    if status >= 500:
        message = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
        raise BinanceError(-1007, message, status)
    raise BinanceError(-1003, "Too many requests; please use the websocket for live updates.", status, dict(headers))


def between(params: Params, time_ms: int) -> bool:
    """Tell whether a time lies within `startTime` and `endTime`."""
    return params.integer("startTime", 0) <= time_ms <= params.integer("endTime", time_ms)
