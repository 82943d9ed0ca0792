"""The gateway for the day when Kong cannot be used: a real NGINX with the chart's own file, before parts that echo."""

import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from patriot.runtime.serving import free_port
from patriot.telemetry.correlation import is_correlation_id
from schemas.gateway import POLICY
from tests.unit.deploy.test_kong import PUBLIC, example

pytestmark = [pytest.mark.cluster, pytest.mark.requirement("P5")]

ORIGIN = POLICY.cross_origin.origins[0]
FORGED = dict.fromkeys(POLICY.refused_headers, "forged")


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Correlation-ID", "the part's own")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class looks for them

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def certificate(folder: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    (folder / "tls.crt").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(key.private_bytes(*pem))


@pytest.fixture(scope="module")
def gateway(render: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    if shutil.which("nginx") is None:
        pytest.skip("NOT RUN: nginx is not on this machine (apt-get install nginx-light)")
    folder, port, status = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    certificate(folder)
    parts = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=parts.serve_forever, daemon=True).start()
    manifests = yaml.load_all(render("production", "gateway.fallback.replicas=2"), Loader=yaml.CSafeLoader)
    [text] = [one["data"]["nginx.conf"] for one in manifests if one and "nginx.conf" in one.get("data", {})]
    text = re.sub(r"\S+\.svc\.cluster\.local:[0-9]+", f"127.0.0.1:{parts.server_port}", text)
    text = text.replace("resolver kube-dns.kube-system.svc.cluster.local valid=5s;", "")
    text = text.replace("listen 8443", f"listen 127.0.0.1:{port}").replace("listen 8100", f"listen 127.0.0.1:{status}")
    text = re.sub("/(etc/tls|tmp)/", f"{folder}/", text)
    (folder / "nginx.conf").write_text(text.replace("worker_processes auto", "worker_processes 1"))
    command = ["nginx", "-g", "daemon off;", "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")]
    with (folder / "log").open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)
    try:
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, trust_env=False) as client:  # noqa: S501
            until_it_listens(client, process, folder / "log")
            yield client
    finally:
        process.terminate()
        process.wait(20)
        parts.shutdown()
        parts.server_close()


def until_it_listens(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        try:
            client.get("/")
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def asked(client: httpx.Client, method: str, path: str, **headers: str) -> tuple[httpx.Response, Any]:
    answer = client.request(method, path, headers=headers)
    return answer, answer.json() if answer.status_code == 200 else {}


def test_every_public_route_leads_to_its_part_and_nothing_else_anywhere(gateway: httpx.Client):
    for part, route in PUBLIC:
        for method in route.methods or ():
            answer, told = asked(gateway, method, example(route))
            assert answer.status_code == 200, (method, example(route))
            assert told["path"] == example(route)
            assert told["headers"]["host"] == f"{part.name}.patriot.svc.cluster.local"
    for path in ("/healthz", "/metrics", "/dapr/subscribe", "/events/order.events/order.created", "/api/v1/nothing"):
        assert asked(gateway, "GET", path)[0].status_code == 404
        assert asked(gateway, "GET", f"/api/v1/..{path}")[0].status_code == 404


@pytest.mark.requirement("P14", "P15")
def test_nobody_outside_says_who_they_are_and_each_request_has_a_correlation_id(gateway: httpx.Client):
    answer, told = asked(gateway, "GET", "/api/v1/orders", **FORGED, Authorization="Bearer a.b.c")
    assert "forged" not in told["headers"].values()
    assert told["headers"]["authorization"] == "Bearer a.b.c"
    assert answer.headers["X-Correlation-ID"] == answer.headers["X-Trace-ID"] == told["headers"]["x-correlation-id"]
    assert is_correlation_id(answer.headers["X-Correlation-ID"])
    kept, _ = asked(gateway, "GET", "/api/v1/orders", **{"X-Correlation-ID": "req_5_0123abcd"})
    assert kept.headers["X-Correlation-ID"] == "req_5_0123abcd"


def test_browsers_of_named_origins_may_call_and_no_others(gateway: httpx.Client):
    ours, _ = asked(gateway, "OPTIONS", "/api/v1/orders", Origin=ORIGIN)
    assert (ours.status_code, ours.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    assert ours.headers["Access-Control-Allow-Credentials"] == "true"
    theirs, _ = asked(gateway, "GET", "/api/v1/orders", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in theirs.headers


def test_old_tls_and_great_bodies_are_refused_and_orders_are_limited(gateway: httpx.Client):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert httpx.get(f"{gateway.base_url}/api/v1/prices", verify=old, trust_env=False).status_code == 200
    assert gateway.post("/api/v1/orders", content=b" " * (POLICY.body_bytes_max + 1)).status_code == 413
    answers = [gateway.post("/api/v1/orders", content=b"{}").status_code for _ in range(POLICY.orders.per_minute)]
    assert set(answers) == {200, 429}
    assert asked(gateway, "GET", "/api/v1/orders")[0].status_code == 200, "reads have a limit of their own"
