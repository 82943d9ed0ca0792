"""One WebSocket client of /v5/public/*, /v5/private or /v5/trade. Rule: every frame is answered, none ends the server.

A session is a table of operations; what an operation refuses is told in the shape of its path, and a client whose
requests are no longer readable at all keeps its connection and gets an error each time.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import msgspec

from feeds.venue.accounts import Account
from feeds.venue.exchange import Exchange
from feeds.venue.wire import bybit_orders
from feeds.venue.wire.bybit_access import authenticate_socket, check_time
from feeds.venue.wire.bybit_desk import Desk
from feeds.venue.wire.bybit_errors import NO_SUCH_OPERATION, RATE_LIMIT, SIGNATURE, Refused, malformed, struck
from feeds.venue.wire.bybit_parameters import Parameters, decode_object
from feeds.venue.wire.bybit_private import TOPICS, PrivateStreams
from feeds.venue.wire.bybit_streams import Streams, UnknownTopic
from feeds.venue.wire.socket import Socket
from feeds.venue.wire.strikes import Unanswered

Frame = dict[str, Any]
Operation = Callable[[Frame], Frame]

TOPICS_MAX: Final = 1000
"""Topics of one socket."""
ARGUMENTS_MAX: Final = 10
"""Topics of one request on spot; others may be as long as a frame."""

_encode = msgspec.json.Encoder().encode


class Session:
    """What the three kinds of socket share."""

    def __init__(self, desk: Desk, socket: Socket) -> None:
        self.desk = desk
        self.socket = socket
        self.connection = uuid4().hex[:20]
        self.operations: Mapping[str, Operation] = {}

    async def run(self) -> None:
        """Answer until the client is gone."""
        try:
            async for data in self.socket:
                with suppress(Unanswered):
                    self.socket.send(_encode(self.answer(data)).decode())
        finally:
            self.close()

    def answer(self, data: str | bytes) -> Frame:
        """Answer one frame. Raises Unanswered and Cut where a fault strikes."""
        frame: Frame = {}
        try:
            frame = decode_object(data)
            operation = self.operations.get(str(frame.get("op")))
            if operation is None:
                raise Refused(NO_SUCH_OPERATION, "error:invalid op")
            return operation(frame)
        except Refused as refusal:
            return self.decline(frame, refusal)

    def decline(self, frame: Frame, refusal: Refused) -> Frame:
        """Tell what was wrong. `request` without its arguments: they may hold a signature."""
        operation = _name(frame.get("op"))
        return self.reply(frame, operation, refusal.message, success=False) | {
            "request": {"op": operation, "args": None}
        }

    def reply(self, frame: Frame, operation: str, message: str, *, success: bool = True) -> Frame:
        request = _name(frame.get("req_id"))
        return {"success": success, "ret_msg": message, "conn_id": self.connection, "req_id": request, "op": operation}

    def close(self) -> None:
        """Stop hearing."""


class PublicSession(Session):
    """Topics of one category."""

    def __init__(self, desk: Desk, socket: Socket, streams: Streams, *, is_spot: bool) -> None:
        super().__init__(desk, socket)
        self.operations = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe, "ping": self._ping}
        self._streams = streams
        self._is_spot = is_spot
        self._topics: set[str] = set()

    def _ping(self, frame: Frame) -> Frame:
        return self.reply(frame, "ping", "pong")

    def _subscribe(self, frame: Frame) -> Frame:
        topics = _topics(frame, ARGUMENTS_MAX if self._is_spot else TOPICS_MAX)
        if len(self._topics | set(topics)) > TOPICS_MAX:
            raise malformed("args", "would be too many topics")
        try:
            publishers = [self._streams.publisher(topic) for topic in topics]
        except UnknownTopic as unknown:
            raise Refused(NO_SUCH_OPERATION, f"error:handler not found,topic:{unknown}") from None
        self._topics.update(topics)
        for publisher in publishers:
            publisher.add(self.socket)
        return self.reply(frame, "subscribe", "subscribe" if self._is_spot else "")

    def _unsubscribe(self, frame: Frame) -> Frame:
        for topic in _topics(frame, TOPICS_MAX):
            if topic in self._topics:
                self._topics.discard(topic)
                self._streams.publisher(topic).remove(self.socket)
        return self.reply(frame, "unsubscribe", "")

    def close(self) -> None:
        self._streams.drop(self.socket)


class PrivateSession(Session):
    """Topics of the account that authenticates."""

    def __init__(self, desk: Desk, socket: Socket) -> None:
        super().__init__(desk, socket)
        self.operations = {
            "auth": self._authenticate,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
        }
        self._streams: PrivateStreams | None = None

    def _authenticate(self, frame: Frame) -> Frame:
        account = authenticate_socket(self.desk.exchange, frame.get("args"), self.desk.now_ms())
        self.close()
        self._streams = PrivateStreams(self.desk, account, self.socket)
        return self.reply(frame, "auth", "")

    def _ping(self, frame: Frame) -> Frame:
        request = _name(frame.get("req_id"))
        return {"req_id": request, "op": "pong", "args": [str(self.desk.now_ms())], "conn_id": self.connection}

    def _subscribe(self, frame: Frame) -> Frame:
        streams, topics = self._authenticated(), _topics(frame, TOPICS_MAX)
        for topic in topics:
            if topic not in TOPICS:
                raise Refused(NO_SUCH_OPERATION, f"error:handler not found,topic:{topic}")
        for topic in topics:
            streams.add(topic)
        return self.reply(frame, "subscribe", "")

    def _unsubscribe(self, frame: Frame) -> Frame:
        streams = self._authenticated()
        for topic in _topics(frame, TOPICS_MAX):
            streams.remove(topic)
        return self.reply(frame, "unsubscribe", "")

    def _authenticated(self) -> PrivateStreams:
        if self._streams is None:
            raise Refused(SIGNATURE, "Request not authorized")
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams.close()


class TradeSession(Session):
    """Orders over a socket, with the answers of REST."""

    def __init__(self, desk: Desk, socket: Socket) -> None:
        super().__init__(desk, socket)
        self.operations = {"auth": self._authenticate, "ping": self._ping} | dict.fromkeys(COMMANDS, self._command)
        self._account: Account | None = None

    def _authenticate(self, frame: Frame) -> Frame:
        self._account = authenticate_socket(self.desk.exchange, frame.get("args"), self.desk.now_ms())
        return {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": self.connection}

    def _ping(self, _: Frame) -> Frame:
        now = str(self.desk.now_ms())
        return {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [now], "connId": self.connection}

    def _command(self, frame: Frame) -> Frame:
        operation = str(frame["op"])
        if self._account is None:
            raise Refused(SIGNATURE, "Request not authorized")
        now_ms = self.desk.now_ms()
        account, limit = self._account, self.desk.limits.commands_per_second
        allowance = self.desk.requests.take(f"{account.name} {operation}", limit, now_ms)
        if allowance.left < 0:
            raise Refused(RATE_LIMIT, "Too many visits. Exceeded the API Rate Limit.")
        _check_header(frame.get("header"), now_ms)
        arguments, command = _arguments(frame), COMMANDS[operation]
        data = self.desk.strikes.command(
            operation.removeprefix("order."),
            account.name,
            lambda: command(self.desk.exchange, account, arguments),
            struck,
        )
        headers = {**allowance.headers(), "Traceid": uuid4().hex, "Timenow": str(now_ms)}
        return self._result(frame, 0, "OK") | {"data": data, "header": headers}

    def decline(self, frame: Frame, refusal: Refused) -> Frame:
        return self._result(frame, refusal.code, refusal.message) | {"data": {}}

    def _result(self, frame: Frame, code: int, message: str) -> Frame:
        """An answer without `reqId` concerns the connection: that of `auth`, or of a frame that had none."""
        names = {"reqId": _name(frame["reqId"])} if frame.get("reqId") is not None else {}
        operation = _name(frame.get("op"))
        return {**names, "retCode": code, "retMsg": message, "op": operation, "connId": self.connection}


COMMANDS: Final[Mapping[str, Callable[[Exchange, Account, Parameters], dict[str, Any]]]] = {
    "order.create": bybit_orders.create,
    "order.amend": bybit_orders.amend,
    "order.cancel": bybit_orders.cancel,
}


def _name(value: Any) -> str:
    """A name to echo; anything but a short text or number becomes empty."""
    return str(value)[:64] if isinstance(value, (str, int)) else ""


def _topics(frame: Frame, maximum: int) -> list[str]:
    topics = frame.get("args")
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise malformed("args", "must be a list of topics")
    if len(topics) > maximum:
        raise malformed("args", f"size >{maximum}")
    return topics


def _arguments(frame: Frame) -> Parameters:
    arguments = frame.get("args")
    if not isinstance(arguments, list) or len(arguments) != 1 or not isinstance(arguments[0], dict):
        raise malformed("args", "must be a list of one object")
    return Parameters(arguments[0])


def _check_header(header: Any, now_ms: int) -> None:
    if not isinstance(header, dict):
        raise malformed("header", "must be an object")
    check_time({str(name).lower(): value for name, value in header.items()}, now_ms)
