"""Kong's declarative configuration, from `schemas.gateway.POLICY` and the routes of the parts.

Rule: what a route needs is read off the route. Where a part asks for a permission Kong asks for a token, and no part's
internal route has a way in. A route that names an instrument leads to the shard that holds it, where a part has shards.
"""

import re
from collections.abc import Iterator, Sequence
from string import Template
from typing import Any

from patriot.deploy.parts import Host, class_of, hosts_of
from patriot.deploy.text import helm, lines, to_yaml, with_helm
from patriot.runtime.function import PUBLIC_PREFIX, WORK_PATH, Feed, Function
from patriot.runtime.secured import SecuredRoute
from schemas.gateway import ORDER_PATHS, POLICY, RateLimit

Document = dict[str, Any]
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
INSTRUMENT = "{instrument:path}"
_PARAMETER = re.compile(r"\{[^}:]+(:path)?\}")

BEFORE = Template("""\
-- Runs before every plugin: nobody outside says who they are, and every request has a correlation id.
for _, name in ipairs({$refused}) do
  kong.service.request.clear_header(name)
end
local id = kong.request.get_header("$correlation")
if not id or not ngx.re.match(id, "^req_[0-9]{1,15}_[0-9a-f]{8}$$", "jo") then
  id = string.format("req_%d_%08x", math.floor(ngx.now() * 1000), math.random(0, 4294967295))
end
kong.service.request.set_header("$correlation", id)
kong.ctx.shared.correlation_id = id
-- Only reads the token: the jwt plugin proves it before anything counts or forwards the request.
local token = string.match(kong.request.get_header("Authorization") or "", "^[Bb]earer%s+(%S+)$$")
local payload = token and string.match(token, "^[%w_-]+%.([%w_-]+)%.[%w_-]+$$")
if payload then
  payload = string.gsub(string.gsub(payload, "%-", "+"), "_", "/")
  local claims = require("cjson.safe").decode(ngx.decode_base64(payload .. string.rep("=", -#payload % 4)) or "")
  if type(claims) ~= "table" or claims.iss ~= "$issuer" or type(claims.sub) ~= "string" then
    return kong.response.exit(401, {title = "unauthenticated", status = 401, correlation_id = id},
      {["Content-Type"] = "application/problem+json"})
  end
  kong.service.request.set_header("$user", claims.sub)
end
""")

AFTER = Template("""\
local id = kong.ctx.shared.correlation_id
if id then
  kong.response.set_header("$correlation", id)
  kong.response.set_header("X-Trace-ID", id)
end
""")

# Runs after every plugin of its route: one of a kind is all that Kong runs, and the kind before them is taken.
TO_SHARD = Template("""\
-- As patriot/runtime/sharding.py reckons.
local key = string.match(kong.request.get_raw_path(), "$pattern")
if key then
  kong.service.set_upstream("$part-" .. ngx.crc32_long(ngx.unescape_uri(key)) % $shards)
end
""")


def kong(functions: Sequence[Function], feeds: Sequence[Feed]) -> str:
    """The file, with Helm expressions where an environment decides."""
    serving = [part for part in (*functions, *feeds) if public_routes(part)]
    document = {
        "_format_version": "3.0",
        "_transform": True,
        "services": [service for part in serving for service in _services(part)],
        "plugins": list(_plugins()),
        "upstreams": [_upstream(part, part.name, target_of(part, feeds)) for part in serving],
    }
    sharded = [part for part in serving if any(map(_names_instrument, public_routes(part)))]
    return with_helm(to_yaml(document) + "".join(_upstreams_of_shards(part, feeds) for part in sharded))


def _upstreams_of_shards(part: Function, feeds: Sequence[Feed]) -> str:
    """More of the list at the file's end."""
    number = helm("$shard")
    pods = f"{address_of(f'{_host(part, feeds).name}-{number}-pods')}:{{{{ $.feedsPort }}}}"
    each = lines([_upstream(part, f"{part.name}-{number}", pods)])
    return f"{{{{- range $shard := until (int .shards) }}}}\n{each}{{{{- end }}}}\n"


def _services(part: Function) -> Iterator[Document]:
    """One for reads, which may be asked again, and one for writes, which may not."""
    times = POLICY.timeouts
    for kind, retries in (("reads", times.retries_read), ("writes", times.retries_write)):
        routes = [route for route in public_routes(part) if is_write(route) == (kind == "writes")]
        if routes:
            yield {
                "name": f"{part.name}-{kind}",
                "host": part.name,
                "port": 80,
                "protocol": "http",
                "retries": retries,
                "connect_timeout": times.connect_ms,
                "read_timeout": times.read_ms,
                "write_timeout": times.read_ms,
                "routes": [_route(part, route) for route in routes],
            }


def _route(part: Function, route: SecuredRoute) -> Document:
    # an open route's token is proved by nobody: counted by its name, a stranger would be new with every request
    plugins = [_rate_limiting(POLICY.users, by_address=True)] if route.needs is None else [_jwt()]
    if _names_instrument(route):
        plugins.append(_to_shard(part, route))
    if is_write(route) and route.path.startswith(ORDER_PATHS):
        plugins.append(_rate_limiting(POLICY.orders))
    methods = sorted(route.methods or ())
    return {
        "name": "-".join([part.name, *methods, *re.findall(r"\w+", route.path)]).lower(),
        "methods": methods,
        "paths": [path_of(route.path)],
        # "/algorithms/kinds" before "/algorithms/{algorithm_id}"
        "regex_priority": sum("{" not in piece for piece in route.path.split("/")),
        "protocols": ["http", "https"],
        "strip_path": False,
        "preserve_host": False,
        **({"plugins": plugins} if plugins else {}),
    }


def path_of(template: str) -> str:
    """Kong's regular expression for a route: "~/api/v1/orders/[^/]+$"."""
    pieces, last = [], 0
    for found in _PARAMETER.finditer(template):
        pieces += [re.escape(template[last : found.start()]).replace(r"\-", "-"), ".+" if found[1] else "[^/]+"]
        last = found.end()
    pieces.append(re.escape(template[last:]).replace(r"\-", "-"))
    return f"~{PUBLIC_PREFIX}{''.join(pieces)}$"


def target_of(part: Function, feeds: Sequence[Feed]) -> str:
    """Of a feed every pod is an address with a health of its own: who stands by gets no requests."""
    if not isinstance(part, Feed):
        return f"{address_of(part.name)}:80"
    return f"{address_of(f'{_host(part, feeds).name}-pods')}:{{{{ $.feedsPort }}}}"


def _host(part: Function, feeds: Sequence[Feed]) -> Host:
    return next(host for host in hosts_of(feeds) if part.name in host.feeds)


def address_of(service: str) -> str:
    return f"{service}.{{{{ $.namespace }}}}.svc.{{{{ $.domain }}}}"


def _upstream(part: Function, name: str, target: str) -> Document:
    """The circuit breaker: opened by traffic that fails, closed again by a check that succeeds."""
    health, sleeps = POLICY.health, not isinstance(part, Feed) and class_of(part) == "request"

    def unless_asleep(value: float) -> float | str:
        """A check would keep awake what may sleep; nothing sleeps where `.awake` is set."""
        return helm(f"ternary {value} 0 .awake") if sleeps else value

    check = {"http_failures": health.failures, "tcp_failures": health.failures, "timeouts": health.failures}
    trip = unless_asleep(health.trips)
    return {
        "name": name,
        "host_header": address_of(part.name),
        "healthchecks": {
            "active": {
                "type": "http",
                "http_path": WORK_PATH if isinstance(part, Feed) else health.path,
                "timeout": health.timeout_seconds,
                "healthy": {"interval": unless_asleep(health.interval_seconds), "successes": 1},
                "unhealthy": {"interval": unless_asleep(health.recovery_seconds), **check},
            },
            "passive": {
                "type": "http",
                "healthy": {"successes": 1},
                "unhealthy": {
                    "http_failures": trip,
                    "tcp_failures": trip,
                    "timeouts": trip,
                    "http_statuses": list(health.trip_statuses),
                },
            },
        },
        "targets": [{"target": target, "weight": 100}],
    }


def _plugins() -> Iterator[Document]:
    """Those of every request."""
    names = {"correlation": POLICY.correlation_header, "user": POLICY.user_header, "issuer": POLICY.tokens.issuer}
    refused = ", ".join(f'"{name}"' for name in POLICY.refused_headers)
    before = BEFORE.substitute(names, refused=refused)
    yield {"name": "pre-function", "config": {"access": [before], "header_filter": [AFTER.substitute(names)]}}
    yield _rate_limiting(POLICY.users)
    origin = POLICY.cross_origin
    yield {
        "name": "cors",
        "config": {
            "origins": helm(".origins | toJson"),
            "methods": list(origin.methods),
            "headers": list(origin.headers),
            "exposed_headers": list(origin.exposed),
            "credentials": True,
            "max_age": origin.max_age_seconds,
        },
    }
    yield {
        "name": "prometheus",
        "config": {
            "per_consumer": True,
            "status_code_metrics": True,
            "latency_metrics": True,
            "bandwidth_metrics": True,
            "upstream_health_metrics": True,
        },
    }
    yield {
        "name": "request-size-limiting",
        "config": {"allowed_payload_size": POLICY.body_bytes_max // 1024, "size_unit": "kilobytes"},
    }
    yield {"name": "request-transformer", "config": {"add": {"headers": ["X-Gateway:kong"]}}}
    yield {
        "name": "response-transformer",
        "config": {
            "remove": {"headers": ["Server", "X-Powered-By"]},
            "add": {
                "headers": ["Strict-Transport-Security:max-age=31536000", "X-Content-Type-Options:nosniff"],
            },
        },
    }


def _jwt() -> Document:
    rule = POLICY.tokens
    return {
        "name": "jwt",
        "config": {
            "key_claim_name": rule.key_claim,
            "claims_to_verify": ["exp"],  # the issuer is verified before, in pre-function: Kong knows exp and nbf only
            "maximum_expiration": rule.seconds_max,
            "secret_is_base64": False,
            "header_names": ["authorization"],
            "uri_param_names": [],
            "cookie_names": [],
            "run_on_preflight": False,
        },
    }


def _names_instrument(route: SecuredRoute) -> bool:
    return INSTRUMENT in route.path


def _to_shard(part: Function, route: SecuredRoute) -> Document:
    before, _, behind = (PUBLIC_PREFIX + route.path).partition(INSTRUMENT)
    code = TO_SHARD.substitute(pattern=f"^{before}(.+){behind}$", part=part.name, shards=helm(".shards"))
    return {"name": "post-function", "config": {"access": [code]}}


def _rate_limiting(limit: RateLimit, *, by_address: bool = False) -> Document:
    """Kong counts by address, too, where the header is absent."""
    by = {"limit_by": "ip"} if by_address else {"limit_by": "header", "header_name": POLICY.user_header}
    return {
        "name": "rate-limiting",
        "config": {
            "minute": limit.per_minute,
            "hour": limit.per_hour,
            **by,
            "policy": "redis",
            "fault_tolerant": True,
            "hide_client_headers": False,
            "redis": {
                "host": helm(".redis.host | quote"),
                "port": helm(".redis.port"),
                "database": helm(".redis.database"),
                "password": "{vault://env/redis-password}",
            },
        },
    }


def public_routes(part: Function) -> list[SecuredRoute]:
    return [route for route in part.router.routes if isinstance(route, SecuredRoute)]


def is_write(route: SecuredRoute) -> bool:
    return bool(WRITES & set(route.methods or ()))
