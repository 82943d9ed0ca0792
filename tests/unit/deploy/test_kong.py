"""The gateway's configuration: who gets in where, counted how, named how."""

import base64
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote
from zlib import crc32

import jsonschema_rs
import lupa.luajit21 as lua
import pytest
import yaml

from patriot.deploy.__main__ import CHART, files
from patriot.deploy.kong import path_of
from patriot.runtime import discovery
from patriot.runtime.function import PUBLIC_PREFIX
from patriot.runtime.secured import SecuredRoute
from patriot.runtime.sharding import Shard
from patriot.telemetry.correlation import is_correlation_id
from schemas.gateway import POLICY

PARTS = [*discovery.functions(), *discovery.feeds()]
TEXT = dict(files())[CHART / "files/kong.yml"]
KONG: Any = yaml.safe_load(re.sub(r"\{\{- .* }}\n", "", re.sub(r"\{\{ .*? }}", "1", TEXT)))
ROUTES = [(service, route) for service in KONG["services"] for route in service["routes"]]
PUBLIC = [(part, route) for part in PARTS for route in part.router.routes if isinstance(route, SecuredRoute)]

STRUCTURE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["_format_version", "services", "upstreams", "plugins"],
    "properties": {
        "_format_version": {"const": "3.0"},
        "_transform": {"const": True},
        "upstreams": {"type": "array", "items": {"$ref": "#/$defs/upstream"}},
        "services": {"type": "array", "items": {"$ref": "#/$defs/service"}},
        "plugins": {"type": "array", "items": {"$ref": "#/$defs/plugin"}},
    },
    "$defs": {
        "upstream": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "host_header", "healthchecks", "targets"],
            "properties": {
                "name": {"type": "string"},
                "host_header": {"type": "string"},
                "healthchecks": {"type": "object", "required": ["active", "passive"]},
                "targets": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["target"],
                        "properties": {"target": {"pattern": ":[0-9]+$"}, "weight": {"type": "integer"}},
                    },
                },
            },
        },
        "service": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "host", "routes"],
            "properties": {
                "name": {"type": "string"},
                "host": {"type": "string"},
                "port": {"const": 80},
                "protocol": {"const": "http"},
                "retries": {"type": "integer", "minimum": 0},
                "connect_timeout": {"type": "integer"},
                "read_timeout": {"type": "integer"},
                "write_timeout": {"type": "integer"},
                "routes": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/route"}},
            },
        },
        "route": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "methods", "paths", "strip_path"],
            "properties": {
                "name": {"pattern": "^[a-z0-9_-]+$"},
                "methods": {"items": {"enum": ["GET", "POST", "PATCH", "PUT", "DELETE"]}},
                "paths": {"items": {"pattern": "^~/api/v1/.*\\$$"}},
                "protocols": {"const": ["http", "https"]},
                "regex_priority": {"type": "integer", "minimum": 1},
                "strip_path": {"const": False},
                "preserve_host": {"const": False},
                "plugins": {"items": {"$ref": "#/$defs/plugin"}},
            },
        },
        "plugin": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "config"],
            "properties": {"name": {"type": "string"}, "config": {"type": "object"}},
        },
    },
}

_PHASES = {"certificate", "rewrite", "access", "header_filter", "body_filter", "log"}
SETTINGS = {
    "pre-function": _PHASES,
    "post-function": _PHASES,
    "cors": {"origins", "methods", "headers", "exposed_headers", "credentials", "max_age", "preflight_continue"},
    "jwt": {
        "key_claim_name", "claims_to_verify", "maximum_expiration", "secret_is_base64", "header_names",
        "uri_param_names", "cookie_names", "run_on_preflight", "anonymous", "realm",
    },
    "prometheus": {
        "per_consumer", "status_code_metrics", "latency_metrics", "bandwidth_metrics", "upstream_health_metrics",
    },
    "rate-limiting": {
        "second", "minute", "hour", "day", "limit_by", "header_name", "path", "policy", "fault_tolerant", "redis",
        "hide_client_headers", "error_code", "error_message", "sync_rate",
    },
    "request-size-limiting": {"allowed_payload_size", "size_unit", "require_content_length"},
    "request-transformer": {"http_method", "remove", "rename", "replace", "add", "append"},
    "response-transformer": {"remove", "rename", "replace", "add", "append"},
}  # fmt: skip
"""What each plugin of Kong 3.9 may be told."""


def plugin(owner: Any, name: str) -> Any:
    return next((entry["config"] for entry in owner.get("plugins", ()) if entry["name"] == name), None)


def routes_for(method: str, path: str) -> list[tuple[Any, Any]]:
    """Those that Kong may choose: of all that match, the ones of the highest priority."""
    matching = [
        (service, route)
        for service, route in ROUTES
        if method in route["methods"] and any(re.match(regex.removeprefix("~"), path) for regex in route["paths"])
    ]
    best = max((route["regex_priority"] for _, route in matching), default=0)
    return [(service, route) for service, route in matching if route["regex_priority"] == best]


def example(route: SecuredRoute) -> str:
    return PUBLIC_PREFIX + re.sub(r"\{\w+:path}", "BINANCE:BTC/USDT", re.sub(r"\{\w+}", "7f3a-1", route.path))


@pytest.mark.requirement("P5")
def test_configuration_has_the_form_that_kong_reads():
    jsonschema_rs.validator_for(STRUCTURE).validate(KONG)
    names = [route["name"] for _, route in ROUTES]
    assert len(names) == len(set(names))
    upstreams = {upstream["name"] for upstream in KONG["upstreams"]}
    assert {service["host"] for service in KONG["services"]} == upstreams - {"market-data-1"}, "a shard's is chosen"


@pytest.mark.requirement("P5")
def test_plugins_have_only_settings_that_kong_knows():
    """Kong itself refuses the whole file for one unknown word."""
    everywhere = [*KONG["plugins"], *(one for _, route in ROUTES for one in route.get("plugins", ()))]
    assert {one["name"] for one in everywhere} <= SETTINGS.keys()
    assert not [(one["name"], name) for one in everywhere for name in one["config"].keys() - SETTINGS[one["name"]]]
    health = [check for one in KONG["upstreams"] for check in one["healthchecks"].values()]
    known = {"type", "http_path", "timeout", "healthy", "unhealthy", "concurrency"}
    assert not [check for check in health if check.keys() - known]


@pytest.mark.requirement("P5", "P14")
@pytest.mark.parametrize(("part", "route"), PUBLIC, ids=lambda value: getattr(value, "path", None) or value.name)
def test_public_route_is_reached_once_and_asks_for_a_token_where_the_part_does(part: Any, route: SecuredRoute):
    for method in route.methods or ():
        [(service, found)] = routes_for(method, example(route))
        assert (service["host"], found["paths"]) == (part.name, [path_of(route.path)])
        assert (plugin(found, "jwt") is not None) == (route.needs is not None)


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_is_reached(method: str):
    inside = [
        "/healthz",
        "/metrics",
        "/dapr/subscribe",
        "/events/order.events/order.created",
        "/v1.0/invoke/a/method/b",
    ]
    inside += [route.path for part in PARTS for route in part.internal.routes if isinstance(route, SecuredRoute)]
    for path in inside:
        assert not routes_for(method, path)
        assert not routes_for(method, PUBLIC_PREFIX + "/.." + path)


@pytest.mark.requirement("P5")
def test_an_order_is_limited_more_strictly_and_never_sent_twice():
    [(service, route)] = routes_for("POST", "/api/v1/orders")
    limit = plugin(route, "rate-limiting")
    assert (limit["minute"], limit["hour"], service["retries"]) == (500, 10_000, 0)
    [(service, route)] = routes_for("GET", "/api/v1/orders")
    assert plugin(route, "rate-limiting") is None
    assert service["retries"] == 2


@pytest.mark.requirement("P5")
def test_limits_count_a_user_by_the_token_and_survive_a_lost_redis():
    limit = plugin(KONG, "rate-limiting")
    assert (limit["minute"], limit["hour"], limit["policy"]) == (1_000, 10_000, "redis")
    assert (limit["limit_by"], limit["header_name"]) == ("header", "X-User-Id")
    assert limit["fault_tolerant"]
    assert not limit["hide_client_headers"]


@pytest.mark.requirement("P5", "P14")
@pytest.mark.parametrize(("part", "route"), PUBLIC, ids=lambda value: getattr(value, "path", None) or value.name)
def test_name_that_nobody_has_proved_is_not_counted(part: Any, route: SecuredRoute):
    """On an open route Kong proves no token; with a new name each time there would be no limit on log-ins."""
    for method in route.methods or ():
        [(_, found)] = routes_for(method, example(route))
        limit = plugin(found, "rate-limiting") or plugin(KONG, "rate-limiting")
        assert limit["limit_by"] == ("ip" if plugin(found, "jwt") is None else "header")
        assert limit["policy"] == "redis"


@pytest.mark.requirement("P5")
def test_tokens_live_an_hour_at_most_and_come_in_one_header():
    [(_, route)] = routes_for("POST", "/api/v1/orders")
    jwt = plugin(route, "jwt")
    assert (jwt["maximum_expiration"], jwt["claims_to_verify"], jwt["key_claim_name"]) == (3600, ["exp"], "kid")
    assert (jwt["header_names"], jwt["uri_param_names"], jwt["cookie_names"]) == (["authorization"], [], [])


@pytest.mark.requirement("P5")
def test_other_policies_are_there():
    names = {entry["name"] for entry in KONG["plugins"]}
    assert {"pre-function", "cors", "prometheus", "request-transformer", "response-transformer"} <= names
    assert plugin(KONG, "cors")["credentials"]
    assert "origins: {{ .origins | toJson }}" in TEXT
    assert plugin(KONG, "prometheus")["per_consumer"]


@pytest.mark.requirement("P5")
def test_what_never_sleeps_is_asked_every_thirty_seconds():
    [upstream] = [entry for entry in KONG["upstreams"] if entry["name"] == "order-commands"]
    checks = upstream["healthchecks"]
    assert (checks["active"]["http_path"], checks["active"]["healthy"]["interval"]) == ("/healthz", 30)
    assert checks["passive"]["unhealthy"]["http_failures"] > 0
    assert checks["active"]["unhealthy"]["interval"] == 1  # a broken circuit closes within seconds


def test_what_may_sleep_is_asked_only_where_nothing_sleeps():
    assert "interval: {{ ternary 30 0 .awake }}" in TEXT


# --- the Lua that runs before everything ---
class Request:
    """Kong's request as far as the code sees it."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        self.refused: int | None = None
        runtime = lua.LuaRuntime(unpack_returned_tuples=True)
        runtime.globals().headers = self
        runtime.execute(
            """
            local function exit(status) headers:refuse(status); error({status}) end
            ngx = {now = function() return 1763690171.123 end, re = {match = function(s) return headers:matches(s) end},
                   decode_base64 = function(s) return headers:decode(s) end}
            kong = {ctx = {shared = {}}, response = {exit = exit},
                    request = {get_header = function(n) return headers:get(n) end},
                    service = {request = {clear_header = function(n) headers:clear(n) end,
                                          set_header = function(n, v) headers:set(n, v) end}}}
            local function decode(s) return headers:json(s) end
            require = function(name) assert(name == "cjson.safe"); return {decode = decode} end
            """
        )
        self._lua = runtime

    def run(self) -> "Request":
        [code] = plugin(KONG, "pre-function")["access"]
        try:
            self._lua.execute(code)
        except lua.LuaError:
            assert self.refused
        return self

    def get(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def set(self, name: str, value: str) -> None:
        self.headers[name.lower()] = value

    def clear(self, name: str) -> None:
        self.headers.pop(name.lower(), None)

    def refuse(self, status: int) -> None:
        self.refused = status

    def matches(self, text: str) -> bool:
        return is_correlation_id(text)

    def decode(self, text: str) -> str | None:
        try:
            return base64.b64decode(text, validate=True).decode("latin-1")
        except ValueError:
            return None

    def json(self, text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            return None
        return self._lua.table_from(value) if isinstance(value, dict) else value


def token(claims: Any) -> str:
    pieces = [json.dumps({"alg": "ES256"}), json.dumps(claims), "signature"]
    return "Bearer " + ".".join(base64.urlsafe_b64encode(piece.encode()).decode().rstrip("=") for piece in pieces)


# --- the Lua that finds a shard ---
@pytest.mark.requirement("P6", "P20")
@pytest.mark.parametrize("written", [str, partial(quote, safe="")], ids=["plain", "quoted"])
@pytest.mark.parametrize("of", ["book", "bars", "status"])
def test_gateway_asks_the_shard_that_holds_the_instrument(written: Callable[[str], str], of: str):
    found = set()
    for number in range(20):
        name = f"BINANCE:COIN{number}/USDT:USDT"
        found.add(shard := Shard(0, 3).holder(name))
        assert upstream_of(f"/api/v1/market/{written(name)}/{of}", of) == f"market-data-{shard.number}"
    assert len(found) == 3


def test_route_that_names_no_instrument_leads_to_any_shard():
    named = [route["paths"][0] for _, route in ROUTES if plugin(route, "post-function") is not None]
    assert named == [f"~/api/v1/market/.+/{of}$" for of in ("book", "bars", "status")]
    assert upstream_of("/api/v1/market//book", "book") is None


def upstream_of(path: str, of: str) -> str | None:
    """What the code of three shards chooses."""
    [(_, route)] = routes_for("GET", f"/api/v1/market/BINANCE:BTC/USDT/{of}")
    [code] = plugin(route, "post-function")["access"]
    runtime = lua.LuaRuntime()
    runtime.globals().path, runtime.globals().unquote, runtime.globals().crc32 = path, unquote, of_text
    runtime.execute(
        """
        ngx = {crc32_long = function(s) return crc32(s) end, unescape_uri = function(s) return unquote(s) end}
        kong = {request = {get_raw_path = function() return path end},
                service = {set_upstream = function(name) chosen = name end}}
        """
    )
    runtime.execute(code.replace("% 1", "% 3"))
    chosen: str | None = runtime.globals().chosen
    return chosen


def of_text(text: str) -> int:
    return crc32(text.encode())


@pytest.mark.requirement("P15")
@pytest.mark.parametrize("given", ["", "req_1_XYZ", "req_1763690171123_9f86d081\r\nX: 1", "x" * 500])
def test_gateway_makes_a_correlation_id(given: str):
    made = Request(x_correlation_id=given).run().get("x-correlation-id")
    assert made is not None
    assert is_correlation_id(made)
    assert made.startswith("req_1763690171123_")


@pytest.mark.requirement("P15")
def test_gateway_keeps_a_correlation_id():
    assert Request(x_correlation_id="req_5_0123abcd").run().get("x-correlation-id") == "req_5_0123abcd"


@pytest.mark.requirement("P5", "P14")
@pytest.mark.parametrize("length", range(4))
def test_gateway_takes_the_user_from_the_token_alone(length: int):
    claims = {"iss": "patriot", "sub": "user-" + "x" * length, "name": "Zoë?>"}
    request = Request(authorization=token(claims), x_user_id="somebody-else").run()
    assert request.get("x-user-id") == claims["sub"]


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("name", POLICY.refused_headers)
def test_gateway_takes_off_what_only_the_inside_may_say(name: str):
    assert Request(**{name.replace("-", "_"): "forged"}).run().get(name) is None


@pytest.mark.requirement("P5")
@pytest.mark.parametrize(
    "claims", [{"iss": "other", "sub": "a"}, {"iss": "patriot"}, {"iss": "patriot", "sub": 5}, [], "a"]
)
def test_gateway_refuses_a_token_of_another_issuer(claims: Any):
    assert Request(authorization=token(claims)).run().refused == 401


@pytest.mark.parametrize("text", ["Bearer x", "Bearer a.b.c.d", "Basic YTpi", "Bearer ..", ""])
def test_gateway_leaves_a_text_that_is_no_token_to_the_jwt_plugin(text: str):
    request = Request(authorization=text).run()
    assert request.refused is None
    assert request.get("x-user-id") is None


def test_answer_carries_the_correlation_id():
    [code] = plugin(KONG, "pre-function")["header_filter"]
    runtime = lua.LuaRuntime()
    runtime.execute(
        """
        said = {}
        kong = {ctx = {shared = {correlation_id = "req_1_0123abcd"}},
                response = {set_header = function(name, value) said[name] = value end}}
        """
    )
    runtime.execute(code)
    assert dict(runtime.globals().said) == {"X-Correlation-ID": "req_1_0123abcd", "X-Trace-ID": "req_1_0123abcd"}
