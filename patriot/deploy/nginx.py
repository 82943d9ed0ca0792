"""NGINX's configuration, for the day when Kong cannot be used: the same routes, from the same policy.

Rule: it lets in what Kong lets in and no more. It proves no token: the parts do. It counts addresses and no users, by
the minute and each replica for itself, and does not seek the shard that has an instrument.
"""

from collections.abc import Iterator, Sequence
from string import Template

from patriot.deploy.kong import address_of, path_of, public_routes, target_of
from patriot.deploy.text import NOTICE
from patriot.runtime.function import Feed, Function
from patriot.runtime.secured import SecuredRoute
from schemas.gateway import ORDER_PATHS, POLICY

BURST_SECONDS = 10
"""A caller may use the limit of so many seconds at once."""

CONFIGURATION = Template("""\
worker_processes auto;
pid /tmp/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  access_log off;
  server_tokens off;
  map_hash_bucket_size 256;
  proxy_headers_hash_bucket_size 128;
  resolver {{ .resolver }} valid=5s;

  # every request has a correlation id; one that comes with it is kept
  map $$msec $$milliseconds { "~^(?<whole_seconds>[0-9]+)\\.(?<thousandths>[0-9]+)$$" $$whole_seconds$$thousandths; }
  map $$request_id $$eight { "~^(?<first_eight>[0-9a-f]{8})" $$first_eight; }
  map $$http_${correlation_variable} $$correlation {
    "~^req_[0-9]{1,15}_[0-9a-f]{8}$$" $$http_${correlation_variable};
    default req_$${milliseconds}_$$eight;
  }
  # browsers of named origins only
  map $$http_origin $$origin {
    default "";
    {{- range .origins }}
    {{ . | quote }} $$http_origin;
    {{- end }}
  }
  map $$origin $$credentials { default true; "" ""; }

  map "$$request_method $$uri" $$part {
    default "";
$routes
  }
  map $$part $$place {
$places
  }
  map $$part $$name {
$names
  }
  map "$$request_method $$uri" $$who_orders {
    default "";
    "~^($writes) $prefix($order_paths)(/|$$)" $$binary_remote_addr;
  }
  limit_req_zone $$binary_remote_addr zone=callers:16m rate=${users}r/m;
  limit_req_zone $$who_orders zone=orders:16m rate=${orders}r/m;
  limit_req_status 429;

  server {
    listen 8100;
    location = /status { return 200 "ok"; }
    location = /metrics { return 200 ""; }  # none, but whoever reads them finds somebody alive
  }
  server {
    listen 8443 ssl http2;
    ssl_certificate /etc/tls/tls.crt;
    ssl_certificate_key /etc/tls/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size $body;
    underscores_in_headers off;

    add_header $correlation $$correlation always;
    add_header X-Trace-ID $$correlation always;
    add_header Strict-Transport-Security max-age=31536000 always;
    add_header X-Content-Type-Options nosniff always;
    add_header Access-Control-Allow-Origin $$origin always;
    add_header Access-Control-Allow-Credentials $$credentials always;
    add_header Access-Control-Expose-Headers "$exposed" always;
    add_header Access-Control-Allow-Methods "$methods" always;
    add_header Access-Control-Allow-Headers "$headers" always;
    add_header Access-Control-Max-Age $max_age always;
    add_header Vary Origin always;

    location / {
      limit_req zone=callers burst=$users_burst nodelay;
      limit_req zone=orders burst=$orders_burst nodelay;
      if ($$request_method = OPTIONS) { return 204; }
      if ($$part = "") { return 404; }
      proxy_pass http://$$place;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_hide_header $correlation;
      proxy_hide_header X-Trace-ID;
      proxy_hide_header Server;
      proxy_set_header Host $$name;
      proxy_set_header $correlation $$correlation;
      proxy_set_header X-Forwarded-For $$remote_addr;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Gateway nginx;
$refused
      proxy_connect_timeout ${connect}ms;
      proxy_read_timeout ${read}ms;
      proxy_send_timeout ${read}ms;
      # who stands by answers 503; what may have arrived is not sent again, but for reads
      proxy_next_upstream error timeout http_503;
      proxy_next_upstream_tries 3;
    }
  }
}
""")


def nginx(functions: Sequence[Function], feeds: Sequence[Feed]) -> str:
    """The file, with Helm expressions where an environment decides."""
    serving = [part for part in (*functions, *feeds) if public_routes(part)]
    routes = [(part, route) for part in serving for route in public_routes(part)]
    policy, origin = POLICY, POLICY.cross_origin
    return NOTICE + CONFIGURATION.substitute(
        routes="\n".join(_routes(routes)),
        places="\n".join(f"    {part.name} {target_of(part, feeds)};" for part in serving),
        names="\n".join(f"    {part.name} {address_of(part.name)};" for part in serving),
        refused="\n".join(f'      proxy_set_header {name} "";' for name in policy.refused_headers),
        correlation=policy.correlation_header,
        correlation_variable=policy.correlation_header.lower().replace("-", "_"),
        prefix="/api/v1",
        writes="POST|PATCH|PUT|DELETE",
        order_paths="|".join(ORDER_PATHS),
        users=policy.users.per_minute,
        orders=policy.orders.per_minute,
        users_burst=policy.users.per_minute * BURST_SECONDS // 60,
        orders_burst=policy.orders.per_minute * BURST_SECONDS // 60,
        body=policy.body_bytes_max,
        exposed=", ".join(origin.exposed),
        methods=", ".join(origin.methods),
        headers=", ".join(origin.headers),
        max_age=origin.max_age_seconds,
        connect=policy.timeouts.connect_ms,
        read=policy.timeouts.read_ms,
    )


def _routes(routes: Sequence[tuple[Function, SecuredRoute]]) -> Iterator[str]:
    """The first that matches is taken, so the plain ones come first, as Kong's priorities have it."""
    plain_first = sorted(routes, key=lambda one: -sum("{" not in piece for piece in one[1].path.split("/")))
    for part, route in plain_first:
        methods = "|".join(sorted(route.methods or ()))
        yield f'    "~^({methods}) {path_of(route.path).removeprefix("~")}" {part.name};'
