"""Bybit v5 in front of an exchange: a mount of `feeds.venue.wire.server`. Rule: a table leads from route to handler.

    exchange = Exchange("BYBIT", instruments, now_ms, unified=True, client_ids_forever=True)
    async with serving([Bybit(exchange)]) as port: ...

REST answers are {retCode, retMsg, result, retExtInfo, time} with HTTP 200; only an unknown path (404) and too many
requests from one address (403) have a status of their own.
Source: bybit-exchange.github.io/docs/v5
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from feeds.venue.accounts import Account
from feeds.venue.errors import VenueError
from feeds.venue.exchange import Exchange
from feeds.venue.wire import bybit_account, bybit_lists, bybit_market, bybit_orders
from feeds.venue.wire.bybit_access import authenticate
from feeds.venue.wire.bybit_errors import IP_RATE_LIMIT, NO_SUCH_PATH, RATE_LIMIT, Refused, refused
from feeds.venue.wire.bybit_limits import Allowance, RateLimits, Window
from feeds.venue.wire.bybit_parameters import Parameters, from_json, from_query
from feeds.venue.wire.bybit_sockets import PrivateSession, PublicSession, Session, TradeSession
from feeds.venue.wire.bybit_streams import Streams
from feeds.venue.wire.bybit_topics import Schedule
from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.socket import Socket

Public = Callable[[Exchange, Parameters], dict[str, Any]]
Private = Callable[[Exchange, Account, Parameters], dict[str, Any]]

PUBLIC: Final[dict[tuple[str, str], Public]] = {
    ("GET", "/v5/market/time"): bybit_market.time,
    ("GET", "/v5/market/instruments-info"): bybit_market.instruments_info,
    ("GET", "/v5/market/orderbook"): bybit_market.orderbook,
    ("GET", "/v5/market/recent-trade"): bybit_market.recent_trade,
    ("GET", "/v5/market/tickers"): bybit_market.tickers,
    ("GET", "/v5/market/kline"): bybit_market.kline,
    ("GET", "/v5/market/mark-price-kline"): bybit_market.mark_price_kline,
    ("GET", "/v5/market/funding/history"): bybit_market.funding_history,
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

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Answer:
    result: dict[str, Any]
    code: int = 0
    message: str = "OK"
    status: int = 200


class Bybit:
    """The mount. `schedule` runs the streams' timers; by default the running event loop does."""

    hosts: Collection[str] = ("api.bybit.com", "stream.bybit.com")
    prefixes: Collection[str] = ("/v5/",)

    def __init__(
        self, exchange: Exchange, limits: RateLimits | None = None, *, schedule: Schedule | None = None
    ) -> None:
        self._exchange = exchange
        self._limits = limits or RateLimits()
        self._second = Window(1000)
        self._five_seconds = Window(5000)
        run_later = schedule or _call_later
        self._streams = {
            "spot": Streams(exchange, "spot", run_later),
            "linear": Streams(exchange, "linear", run_later),
        }
        self._sockets: dict[str, Callable[[Socket], Session]] = {
            "/v5/public/spot": lambda socket: self._public(socket, "spot"),
            "/v5/public/linear": lambda socket: self._public(socket, "linear"),
            "/v5/private": lambda socket: PrivateSession(exchange, socket),
            "/v5/trade": lambda socket: TradeSession(exchange, socket, self._limits, self._second),
        }

    def restart_books(self) -> None:
        """Let every book of the streams begin again at `u` 1, as after a restart of the service."""
        for streams in self._streams.values():
            streams.restart()

    async def http(self, request: Request) -> Response:
        """Answer one request."""
        now_ms = self._exchange.now_ms()
        headers: dict[str, str] = {}
        try:
            if self._five_seconds.take(request.client, self._limits.requests_per_address, now_ms).left < 0:
                raise _forbidden()
            answer = _Answer(self._call(request, headers))
        except Refused as refusal:
            answer = _Answer({}, refusal.code, refusal.message, _STATUSES.get(refusal.code, 200))
        except VenueError as error:
            unforeseen = refused(error, "linear")
            answer = _Answer({}, unforeseen.code, unforeseen.message)
        return _response(answer, headers, now_ms)

    def _call(self, request: Request, headers: dict[str, str]) -> dict[str, Any]:
        route = request.method, request.path
        public, private = PUBLIC.get(route), PRIVATE.get(route)
        if public is not None:
            return public(self._exchange, from_query(request.query))
        if private is None:
            raise Refused(NO_SUCH_PATH, "Request path not found or request method is invalid.")
        account = authenticate(self._exchange, request)
        allowance = self._take(account, request)
        headers.update(allowance.headers())
        if allowance.left < 0:
            raise Refused(RATE_LIMIT, "Too many visits. Exceeded the API Rate Limit.")
        is_query = request.method == "GET"
        return private(self._exchange, account, from_query(request.query) if is_query else from_json(request.body))

    def _take(self, account: Account, request: Request) -> Allowance:
        limits = self._limits
        limit = limits.queries_per_second if request.method == "GET" else limits.commands_per_second
        return self._second.take(f"{account.name} {request.path}", limit, self._exchange.now_ms())

    async def websocket(self, socket: Socket) -> None:
        """Serve one client; a path that is none of ours ends with 1008."""
        make = self._sockets.get(socket.request.path)
        if make is None:
            await socket.close(1008, "no such path")
            return
        await make(socket).run()

    def _public(self, socket: Socket, category: str) -> Session:
        return PublicSession(self._exchange, socket, self._streams[category], is_spot=category == "spot")


_STATUSES: Final = {NO_SUCH_PATH: 404, IP_RATE_LIMIT: 403}


def _forbidden() -> Refused:
    return Refused(IP_RATE_LIMIT, "access too frequent, please try again in 10 min")


def _response(answer: _Answer, headers: dict[str, str], now_ms: int) -> Response:
    body = {
        "retCode": answer.code,
        "retMsg": answer.message,
        "result": answer.result,
        "retExtInfo": {},
        "time": now_ms,
    }
    return Response(answer.status, _encode(body), {"Timenow": str(now_ms), **headers})


def _call_later(seconds: float, action: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, action)
