"""What spot and futures share: a table of routes, and the way of a request through it.

Rule: count, read, authenticate, do, answer; whatever is refused on the way becomes Binance's error.
"""

from collections.abc import Callable
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
from patriot.domain.instrument import Instrument, Kind

Security = Literal["none", "key", "signed"]
"""What a route asks for: nothing, the API key, key and signature."""


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
    """`places` tells that it counts as a new order."""

    handler: Callable[[Call], object]
    security: Security = "none"
    weight: int = 1
    places: bool = False


Routes = dict[tuple[str, str], Route]
"""By method and path."""


@dataclass(slots=True)
class Segment:
    """One kind of market of one exchange. `methods` name routes for the WebSocket API; clients see `clock_ms`."""

    exchange: Exchange
    kind: Kind
    wallet: WalletName
    limits: Limits
    clock_ms: Callable[[], int]
    routes: Routes = field(default_factory=dict)
    methods: dict[str, tuple[str, str]] = field(default_factory=dict)
    _scales: dict[str, Scale] = field(default_factory=dict)

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

    def invoke(self, method: str, params: Params, session: Account | None, address: str) -> object:
        """Do a request of the WebSocket API. Raises BinanceError."""
        target = self.methods.get(method)
        if target is None:
            raise BinanceError(-1125 if method else -1102, f"Unknown method '{method}'.")
        route = self.routes[target]
        self.limits.spend(address, route.weight)
        return self.run(route, Call(params, self._owner_of_object(route, params, session)))

    def _owner_of_object(self, route: Route, params: Params, session: Account | None) -> Account | None:
        if route.security == "none":
            return None
        if session is not None and not params.has("apiKey"):
            return session
        return self.authenticate_object(params)

    def authenticate_object(self, params: Params) -> Account:
        account = account_of(self.exchange, params.text("apiKey", ""))
        check_signed_object(account, params, self.clock_ms())
        return account

    def run(self, route: Route, call: Call) -> object:
        """Run a handler; what the exchange refuses becomes a BinanceError."""
        try:
            if route.places:
                self.limits.place(call.account)
            return route.handler(call)
        except VenueError as refusal:
            raise translate(refusal, self.kind) from refusal

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
        try:
            return self.exchange.find_instrument(symbol, self.kind)
        except UnknownInstrument:
            raise BinanceError(*INVALID_SYMBOL) from None

    def chosen(self, params: Params) -> list[Instrument]:
        """Return the instrument of `symbol`, all where it was not sent."""
        return [self.instrument(params)] if params.has("symbol") else self.instruments()

    def scale(self, instrument: Instrument) -> Scale:
        found = self._scales.get(instrument.id)
        if found is None or found.instrument is not instrument:
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


def between(params: Params, time_ms: int) -> bool:
    """Tell whether a time lies within `startTime` and `endTime`."""
    return params.integer("startTime", 0) <= time_ms <= params.integer("endTime", time_ms)
