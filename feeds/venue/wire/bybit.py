"""Bybit v5 in front of an exchange: a mount of `feeds.venue.wire.server`. Rule: a table leads from route to handler.

    exchange = Exchange("BYBIT", instruments, now_ms, unified=True, client_ids_forever=True)
    async with serving([Bybit(exchange)]) as port:
        client = ccxt.pro.bybit({"urls": ccxt_urls(port), ...})

REST answers are {retCode, retMsg, result, retExtInfo, time} with HTTP 200; only an unknown path (404), too many
requests from one address (403) and faults on demand have a status of their own.
Source: bybit-exchange.github.io/docs/v5
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from feeds.venue.accounts import Account
from feeds.venue.errors import VenueError
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.wire import bybit_account, bybit_lists, bybit_market, bybit_orders
from feeds.venue.wire.bybit_access import authenticate
from feeds.venue.wire.bybit_desk import Desk, Schedule, call_later
from feeds.venue.wire.bybit_errors import (
    IP_RATE_LIMIT,
    NO_SUCH_PATH,
    RATE_LIMIT,
    Refused,
    Struck,
    refused,
    struck,
)
from feeds.venue.wire.bybit_funding import FundingHistory
from feeds.venue.wire.bybit_limits import Allowance, RateLimits
from feeds.venue.wire.bybit_parameters import Parameters, from_json, from_query
from feeds.venue.wire.bybit_sockets import PrivateSession, PublicSession, Session, TradeSession
from feeds.venue.wire.bybit_streams import Streams
from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.socket import Socket
from feeds.venue.wire.strikes import Strikes

Public = Callable[[Exchange, Parameters], dict[str, Any]]
Private = Callable[[Exchange, Account, Parameters], dict[str, Any]]

TIME: Final = ("GET", "/v5/market/time")
FUNDING: Final = ("GET", "/v5/market/funding/history")
PUBLIC: Final[dict[tuple[str, str], Public]] = {
    ("GET", "/v5/market/instruments-info"): bybit_market.instruments_info,
    ("GET", "/v5/market/orderbook"): bybit_market.orderbook,
    ("GET", "/v5/market/recent-trade"): bybit_market.recent_trade,
    ("GET", "/v5/market/tickers"): bybit_market.tickers,
    ("GET", "/v5/market/kline"): bybit_market.kline,
    ("GET", "/v5/market/mark-price-kline"): bybit_market.mark_price_kline,
}
PRIVATE: Final[dict[tuple[str, str], Private]] = {
    ("POST", "/v5/order/create"): bybit_orders.create,
    ("POST", "/v5/order/amend"): bybit_orders.amend,
    ("POST", "/v5/order/cancel"): bybit_orders.cancel,
    ("POST", "/v5/order/cancel-all"): bybit_orders.cancel_all,
    ("GET", "/v5/order/realtime"): bybit_lists.realtime,
    ("GET", "/v5/order/history"): bybit_lists.history,
    ("GET", "/v5/execution/list"): bybit_lists.executions,
    ("GET", "/v5/position/list"): bybit_account.positions,
    ("POST", "/v5/position/set-leverage"): bybit_account.set_leverage,
    ("POST", "/v5/position/switch-isolated"): bybit_account.switch_isolated,
    ("GET", "/v5/account/wallet-balance"): bybit_account.wallet_balance,
    ("GET", "/v5/account/info"): bybit_account.info,
    ("GET", "/v5/account/fee-rate"): bybit_account.fee_rate,
    ("GET", "/v5/user/query-api"): bybit_account.query_api,
    ("GET", "/v5/asset/coin/query-info"): bybit_account.coin_info,
}
OPERATIONS: Final = {
    "/v5/order/create": "create",
    "/v5/order/amend": "amend",
    "/v5/order/cancel": "cancel",
    "/v5/order/cancel-all": "cancel",
    "/v5/position/set-leverage": "leverage",
}
"""What faults on demand call a route; the others are queries."""

_STATUSES: Final = {NO_SUCH_PATH: 404, IP_RATE_LIMIT: 403}

_encode = msgspec.json.Encoder().encode


def ccxt_urls(port: int) -> dict[str, Any]:
    """Return ccxt's `urls`: a client with them talks to the venue (ccxt knows a spot book by `spot` in the URL)."""
    http, socket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/v5"
    public = {category: f"{socket}/public/{category}" for category in ("spot", "linear")}
    private = {
        "spot": {"unified": f"{socket}/private"},
        "contract": f"{socket}/private",
        "trade": f"{socket}/trade",
    }
    return {"api": {"public": http, "private": http, "ws": {"public": public, "private": private}}}


class Bybit:
    """The mount. `schedule` runs the streams' timers; by default the running event loop does."""

    hosts: Collection[str] = ("api.bybit.com", "stream.bybit.com")
    prefixes: Collection[str] = ("/v5/",)

    def __init__(
        self,
        exchange: Exchange,
        limits: RateLimits | None = None,
        plan: FaultPlan | None = None,
        *,
        schedule: Schedule = call_later,
    ) -> None:
        desk = self._desk = Desk(exchange, limits or RateLimits(), Strikes(plan), schedule)
        self._funding = FundingHistory(exchange)
        spot, linear = self._streams = Streams(desk, "spot"), Streams(desk, "linear")
        self._sessions: dict[str, Callable[[Socket], Session]] = {
            "/v5/public/spot": lambda socket: PublicSession(desk, socket, spot, is_spot=True),
            "/v5/public/linear": lambda socket: PublicSession(desk, socket, linear, is_spot=False),
            "/v5/private": lambda socket: PrivateSession(desk, socket),
            "/v5/trade": lambda socket: TradeSession(desk, socket),
        }

    def restart_books(self) -> None:
        """Let every book of the streams begin again at `u` 1, as after a restart of the service."""
        for streams in self._streams:
            streams.restart()

    async def http(self, request: Request) -> Response:
        """Answer one request. Raises Unanswered and Cut where a fault strikes."""
        now_ms = self._desk.now_ms()
        headers = {"Timenow": str(now_ms)}
        try:
            return _response(now_ms, headers, result=self._answer(request, headers, now_ms))
        except Struck as fault:
            return Response(fault.status, b"", {**headers, **fault.headers})
        except Refused as refusal:
            return _response(now_ms, headers, refusal=refusal)
        except VenueError as error:
            return _response(now_ms, headers, refusal=refused(error, "linear"))

    async def websocket(self, socket: Socket) -> None:
        """Serve one client; a path that is none of ours ends with 1008. Raises Cut where a fault strikes."""
        begin = self._sessions.get(socket.request.path)
        if begin is None:
            await socket.close(1008, "no such path")
            return
        self._desk.strikes.connect()
        await begin(socket).run()

    def _answer(self, request: Request, headers: dict[str, str], now_ms: int) -> dict[str, Any]:
        """Return the result of a request; add to the headers of its answer. Raises Refused."""
        desk, route = self._desk, (request.method, request.path)
        if desk.addresses.take(request.client, desk.limits.requests_per_address, now_ms).left < 0:
            raise Refused(IP_RATE_LIMIT, "access too frequent, please try again in 10 min")
        if route == TIME:
            return bybit_market.time(now_ms)
        if route == FUNDING:
            return self._funding.answer(from_query(request.query))
        public, private = PUBLIC.get(route), PRIVATE.get(route)
        if public is not None:
            parameters = from_query(request.query)
            return desk.strikes.command("query", "", lambda: public(desk.exchange, parameters), struck)
        if private is None:
            raise Refused(NO_SUCH_PATH, "Request path not found or request method is invalid.")
        account = authenticate(desk.exchange, request, now_ms)
        allowance = self._take(account, request, now_ms)
        headers.update(allowance.headers())
        if allowance.left < 0:
            raise Refused(RATE_LIMIT, "Too many visits. Exceeded the API Rate Limit.")
        parameters = from_query(request.query) if request.method == "GET" else from_json(request.body)
        operation = OPERATIONS.get(request.path, "query")
        return desk.strikes.command(
            operation, account.name, lambda: private(desk.exchange, account, parameters), struck
        )

    def _take(self, account: Account, request: Request, now_ms: int) -> Allowance:
        limits = self._desk.limits
        limit = limits.queries_per_second if request.method == "GET" else limits.commands_per_second
        return self._desk.requests.take(f"{account.name} {request.path}", limit, now_ms)


def _response(
    now_ms: int, headers: Mapping[str, str], *, result: dict[str, Any] | None = None, refusal: Refused | None = None
) -> Response:
    body = {
        "retCode": refusal.code if refusal else 0,
        "retMsg": refusal.message if refusal else "OK",
        "result": result or {},
        "retExtInfo": {},
        "time": now_ms,
    }
    return Response(_STATUSES.get(refusal.code, 200) if refusal else 200, _encode(body), headers)
