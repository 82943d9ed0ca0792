"""Keeps secrets out of logs. Rule: what is named like a secret or looks like one is never written.

Two nets: by key, wherever it is nested (`api_secret`, `Authorization`), and by look, inside any text (a token, a
private key, `password=…` in a URL or an error message).
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

REDACTED = "[redacted]"
DEPTH_MAX = 8  # deeper than any log line of ours; ends cycles

_WORDS = (
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "authorization",
    "apikey",
    "privatekey",
    "credential",
    "cookie",
    "signature",
    "listenkey",
    "mnemonic",
    "totp",
)
_HARMLESS = frozenset({"tokenid"})
_NAME = r"[\w-]*(?:secret|passw(?:or)?d|passphrase|token|authorization|signature|api[_-]?key|private[_-]?key|listen[_-]?key)"
_LOOKS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), REDACTED),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),  # a JWT: base64 of {"
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(rf"(?i)({_NAME}[\"']?\s*[=:]\s*)(b?\"[^\"]*\"|b?'[^']*'|[^\s\"',;&)}}\]]+)"), rf"\1{REDACTED}"),
    (re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+@"), rf"\1{REDACTED}@"),  # the password of a URL
)


def is_sensitive(key: str) -> bool:
    """Tell by its name whether a value is a secret: "X-MBX-APIKEY", "api_secret", "newPassword"."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain not in _HARMLESS and any(word in plain for word in _WORDS)


def redact_text(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, replacement in _LOOKS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, depth: int = 0) -> Any:
    """A copy that is safe to write: mappings and sequences are walked, bytes give only their length."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {
            str(key): REDACTED if is_sensitive(str(key)) else redact(item, depth + 1) for key, item in value.items()
        }
    if isinstance(value, (list, tuple, AbstractSet)):
        return [redact(item, depth + 1) for item in value]
    return redact_text(str(value))
