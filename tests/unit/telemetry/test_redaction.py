"""No secret passes the redaction, under whatever name, nesting or spelling; what is harmless stays readable."""

import time
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from patriot.security.secret import Secret
from patriot.telemetry.redaction import DEPTH_MAX, REDACTED, TEXT_CHARACTERS_MAX, is_sensitive, redact, redact_text

CANARY = "c4n4ry-5ecr3t-v4lue"
KEYS = [
    "api_key",
    "apiKey",
    "X-MBX-APIKEY",
    "X-BAPI-API-KEY",
    "api_secret",
    "secret",
    "client_secret",
    "password",
    "newPassword",
    "passphrase",
    "token",
    "access_token",
    "X-Service-Token",
    "Authorization",
    "Cookie",
    "Set-Cookie",
    "signature",
    "private_key",
    "listenKey",
    "totp",
    "otp",
    "credentials",
]


@dataclass
class Account:
    name: str
    api_key: str


@pytest.mark.requirement("P16")
@pytest.mark.parametrize("key", KEYS)
def test_value_under_a_secret_key_is_redacted_at_any_depth(key: str) -> None:
    for value in (CANARY, {"x": CANARY}, [CANARY], 4711):
        redacted = redact({"a": [{"b": ({key: value, "c": 1},)}]})
        assert redacted == {"a": [{"b": [{key: REDACTED, "c": 1}]}]}


@pytest.mark.parametrize("key", ["order_id", "token_id", "idempotency_key", "symbol", "seed", "keyboard", "secondary"])
def test_harmless_key_is_kept(key: str) -> None:
    assert not is_sensitive(key)
    assert redact({key: "x"}) == {key: "x"}


def private_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://api.example/order?symbol=BTCUSDT&signature={CANARY}&x=1",
        f"api_key={CANARY}",
        f"apiKey: {CANARY}, then",
        f"secret_key='{CANARY} {CANARY}'",
        f'{{"api_secret":"{CANARY}\\"{CANARY}"}}',
        f"{{'password': '{CANARY}'}}",
        f'password="{CANARY} without end',
        f"Authorization: Bearer {CANARY}",
        f"authorization: Token {CANARY}",
        f"Basic {CANARY}",
        f"Cookie: a=b; session={CANARY}",
        f"postgresql://owner:{CANARY}@127.0.0.1:5432/patriot",
        f"redis://:{CANARY}@cache:6379/0",
        str(Account("ann", CANARY)),
        repr({"headers": {"X-MBX-APIKEY": CANARY}}),
        f"listenKey={CANARY}",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY} cut",
    ],
)
def test_text_that_looks_like_a_secret_is_redacted(text: str) -> None:
    assert CANARY not in redact_text(text)
    assert REDACTED in redact_text(text)
    assert CANARY not in str(redact({"message": [text]}))
    assert CANARY not in str(redact({text: 1}))


def test_token_and_private_key_are_redacted_wherever_they_stand() -> None:
    token = jwt.encode({"sub": "ann"}, bytes(32), algorithm="HS256")
    assert redact_text(f"refused <{token}>") == f"refused <{REDACTED}>"
    pem = private_pem()
    assert redact_text(f"loaded {pem} ok") == f"loaded {REDACTED}\n ok"


def test_plain_text_is_kept() -> None:
    text = "order 12 filled at 61234.50: token expired, api key rotated (password too short)"
    assert redact_text(text) == text


def test_bytes_objects_and_secrets_show_nothing() -> None:
    assert redact([b"abc", bytearray(2), memoryview(b"x")]) == ["<3 bytes>", "<2 bytes>", "<1 bytes>"]
    assert redact(Account("ann", CANARY)) == f"Account(name='ann', api_key={REDACTED})"
    assert CANARY not in str(redact({"x": Secret(CANARY)}))


def test_cycle_ends() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert str(redact(cycle)).count("[") == DEPTH_MAX


def test_long_text_is_cut_and_cheap() -> None:
    for unit in ("a", "eyJ-", "eyJa.b", "password", "token=", "://a:", "-----BEGIN PRIVATE KEY-----", "bearer ", "'"):
        started = time.process_time()
        assert len(redact_text(unit * 1_000_000)) <= 2 * TEXT_CHARACTERS_MAX
        assert time.process_time() - started < 1  # a pattern that backtracks would take minutes


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
trees = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(trees, st.sampled_from(KEYS), st.lists(st.sampled_from(["list", "dict", "tuple"]), max_size=5))
def test_secret_hidden_anywhere_is_gone(tree: Any, key: str, path: list[str]) -> None:
    value: Any = {key: CANARY, "beside": tree}
    for step in path:
        value = {"list": [value, tree], "dict": {"k": value}, "tuple": (tree, value)}[step]
    assert CANARY not in str(redact(value))
