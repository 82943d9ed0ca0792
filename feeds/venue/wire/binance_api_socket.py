"""The WebSocket API: requests with an id over one socket. Rule: one answer each, with its id and a status."""

from collections.abc import Callable

import msgspec
import orjson

from feeds.venue.wire.binance_errors import BinanceError
from feeds.venue.wire.binance_params import Params
from feeds.venue.wire.binance_segment import Segment
from feeds.venue.wire.binance_user import push
from feeds.venue.wire.socket import Socket
from feeds.venue.wire.strikes import Unanswered

ID_MAX = 36


class _Request(msgspec.Struct):
    id: int | str | None = None
    method: str = ""
    params: object = None


# numbers with a fraction stay text: the signature is over what was sent, and money is never a float
_decoder = msgspec.json.Decoder(_Request, float_hook=str)


class ApiClient:
    """One connection to the WebSocket API."""

    def __init__(self, socket: Socket, segment: Segment) -> None:
        self._socket = socket
        self._segment = segment
        self._subscriptions: dict[int, Callable[[], None]] = {}
        self._last_subscription = -1
        self._methods: dict[str, Callable[[Params], object]] = {
            "session.status": lambda _: {"apiKey": None, "authorizedSince": None, "connectedSince": None},
        }
        if segment.kind == "spot":
            self._methods |= {
                "userDataStream.subscribe.signature": self._subscribe,
                "userDataStream.unsubscribe": self._unsubscribe,
                "session.subscriptions": lambda _: [{"subscriptionId": one} for one in self._subscriptions],
            }

    async def serve(self) -> None:
        """Answer requests until the client leaves."""
        async for frame in self._socket:
            answer = self._answer(frame)
            if answer is not None:
                self._socket.send(orjson.dumps(answer).decode())

    def end(self) -> None:
        for stop in self._subscriptions.values():
            stop()
        self._subscriptions.clear()

    def tell(self, shape: dict[str, object]) -> None:
        """Send an event that belongs to no account."""
        self._socket.send(orjson.dumps({"event": shape}).decode())

    def _answer(self, frame: str | bytes) -> dict[str, object] | None:
        try:
            request = _decoder.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            malformed = BinanceError(-1135, "Malformed JSON: an object with id, method and params is expected.")
            return _refusal(None, malformed)
        try:
            return {"id": request.id, "status": 200, "result": self._do(request)}
        except BinanceError as refusal:
            return _refusal(request.id, refusal)
        except Unanswered:
            return None

    def _do(self, request: _Request) -> object:
        params = Params.of_object({} if request.params is None else request.params)
        if request.method in self._methods:
            return self._methods[request.method](params)
        return self._segment.invoke(request.method, params, self._socket.request.client)

    def _subscribe(self, params: Params) -> object:
        account = self._segment.authenticate_object(params)
        self._last_subscription += 1
        number = self._last_subscription

        def wrap(shape: dict[str, object]) -> dict[str, object]:
            return {"subscriptionId": number, "event": shape}

        self._subscriptions[number] = push(self._segment, account, self._socket, wrap)
        return {"subscriptionId": number}

    def _unsubscribe(self, params: Params) -> object:
        """End one subscription, or all where none is named."""
        numbers = [params.integer("subscriptionId")] if params.has("subscriptionId") else list(self._subscriptions)
        for number in numbers:
            stop = self._subscriptions.pop(number, None)
            if stop is None:
                raise BinanceError(-1130, "Data sent for parameter 'subscriptionId' is not valid.")
            stop()
        return {}


def _refusal(number: int | str | None, refusal: BinanceError) -> dict[str, object]:
    return {"id": number, "status": refusal.status, "error": refusal.body()}
