"""A platform that answers what the test says, and the command as a terminal of 80 columns or a script would run it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from click.testing import Result
from typer.testing import CliRunner

from patriot.cli.main import app
from patriot.cli.session import Session, save

URL = "http://platform.test"
ACCOUNT = "83e7837b-4430-4283-9d0c-45150e7beafe"
ORDER = "6c55564e-d86e-4f0b-b8e8-a18c09c3df7b"
OTHER_ORDER = "6c55aaaa-d86e-4f0b-b8e8-a18c09c3df7b"
PERPETUAL = "BINANCE:BTC/USDT:USDT"

Answer = Any
Handler = Callable[[httpx.Request], Answer]


@dataclass
class FakeApi:
    """Routes: "GET /orders" -> JSON, (status, JSON), or a function of the request. Paths are patterns."""

    routes: dict[str, Answer | Handler] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    token: str = "a token"

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/v1")
        if path == "/auth/token" and "POST /auth/token" not in self.routes:
            return httpx.Response(200, json={"access_token": self.token, "expires_in_seconds": 3600})
        is_known = request.headers.get("authorization") == f"Bearer {self.token}"
        if path not in {"/prices", "/auth/token"} and not is_known:
            return httpx.Response(401, json=problem(401, "unauthenticated", "send a valid token"))
        for route, answer in self.routes.items():
            method, _, pattern = route.partition(" ")
            if method == request.method and re.fullmatch(pattern, path):
                found = answer(request) if callable(answer) else answer
                status, body = found if isinstance(found, tuple) else (200, found)
                return httpx.Response(status, json=body)
        return httpx.Response(404, json=problem(404, "not_found", f"there is no route {path}"))

    def sent(self, method: str) -> list[httpx.Request]:
        """Requests of this method that came with the token."""
        sent = [one for one in self.requests if one.method == method]
        return [one for one in sent if one.headers.get("authorization") == f"Bearer {self.token}"]

    def body(self, method: str) -> Any:
        return orjson.loads(self.sent(method)[-1].content)


@dataclass
class Terminal:
    """Runs commands in a data folder."""

    folder: Path
    runner: CliRunner = field(default_factory=CliRunner)

    def run(self, *words: str, code: int = 0, answers: str | None = None) -> Result:
        result = self.runner.invoke(app, ["--data-dir", str(self.folder), *words], input=answers)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        """stdout holds one JSON document and nothing else."""
        return orjson.loads(self.run(*words, "--json", code=code).stdout)

    def log_in(self, **fields: str) -> None:
        save(
            self.folder, Session(**({"url": URL, "username": "demo", "password": "p", "account_id": ACCOUNT} | fields))
        )


def problem(status: int, code: str, detail: str, *fields: str) -> dict[str, Any]:
    errors = [{"field": name, "rule": detail} for name in fields]
    return {"status": status, "code": code, "detail": detail, "correlation_id": "req_1_0000000a", "errors": errors}


def order(**fields: Any) -> dict[str, Any]:
    return {
        "order_id": ORDER,
        "account_id": ACCOUNT,
        "client_order_id": "c-1",
        "venue_order_id": "42",
        "instrument": PERPETUAL,
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "GTC",
        "quantity": "0.01",
        "price": "59000",
        "stop_price": None,
        "filled_quantity": "0",
        "average_price": None,
        "fees": "0",
        "status": "accepted",
        "reason": "",
        "strategy_id": None,
        "created_at": "2020-11-21T05:40:55.123456Z",
        "updated_at": "2020-11-21T05:40:55.123456Z",
        "version": 4,
    } | fields


FILLED = {"status": "filled", "filled_quantity": "0.01", "average_price": "60012.4", "fees": "0.300062", "version": 5}


def event(version: int, kind: str, **data: Any) -> dict[str, Any]:
    return {
        "aggregate_id": ORDER,
        "version": version,
        "type": kind,
        "occurred_at": "2026-11-21T05:40:55.362000Z",
        "correlation_id": "req_1_0000000a",
        "actor": "service:order-lifecycle",
        "data": data,
    }


def price(instrument: str = PERPETUAL, **fields: Any) -> dict[str, Any]:
    figures = {"bid": "60012.4", "ask": "60016.8", "last": "60013", "as_of": "2026-11-21T05:40:55.3Z", "stale": False}
    return {"instrument": instrument, **figures, **fields}


def portfolio(**fields: Any) -> dict[str, Any]:
    balance = {"account_id": ACCOUNT, "asset": "USDT", "total": "99995.4261764", "reserved": "0", "margin": "959.0736"}
    position = {
        "account_id": ACCOUNT,
        "instrument": PERPETUAL,
        "quantity": "-0.016",
        "average_price": "59942.123456789",
        "mark_price": "59838.9",
        "unrealised_pnl": "1.6512",
        "realised_pnl": "-1.5744",
        "fees": "2.99942",
    }
    return {
        "accounts": [account()],
        "balances": [{**balance, "available": "99036.3525764"}],
        "positions": [position],
        "equity": "159834.7773764",
        "currency": "USDT",
        "as_of": "2026-11-21T05:40:55Z",
    } | fields


def account(**fields: Any) -> dict[str, Any]:
    return {"account_id": ACCOUNT, "exchange": "BINANCE", "mode": "paper", "label": "demo", "active": True} | fields


def trade(**fields: Any) -> dict[str, Any]:
    return {
        "trade_id": "t42",
        "order_id": ORDER,
        "account_id": ACCOUNT,
        "instrument": PERPETUAL,
        "side": "buy",
        "price": "60012.4",
        "quantity": "0.01",
        "fee": "0.300062",
        "fee_asset": "USDT",
        "liquidity": "taker",
        "time": "2020-11-21T05:40:55.362000Z",
    } | fields
