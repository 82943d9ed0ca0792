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
TEXT_CHARACTERS_MAX = 8192  # a longer text is cut: a log line is not the place for a document
INTEGER_BITS_MAX = 63  # what JSON writers and log stores hold

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
_EXACT = frozenset({"otp", "pin", "pwd", "jwt"})
_HARMLESS = frozenset({"tokenid"})
_NAMES = "secret|passw(?:or)?d|passphrase|token|signature|api[_-]?key|private[_-]?key|listen[_-]?key"
_VALUE = r"""(?:b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|["']?[^\s"',;&)}\]]+)"""
_LOOKS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), REDACTED),
    (re.compile(r"(?i)((?:authorization|cookie)[\"']?\s*[=:]\s*)[^\r\n]+"), rf"\1{REDACTED}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),  # a JWT: base64 of {"
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {REDACTED}"),
    (re.compile(rf"(?i)((?:{_NAMES})[\w-]{{0,20}}[\"']?\s*[=:]\s*){_VALUE}"), rf"\1{REDACTED}"),
    (re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+@"), rf"\1{REDACTED}@"),  # the password of a URL
)


def is_sensitive(key: str) -> bool:
    """Tell by its name whether a value is a secret: "X-MBX-APIKEY", "api_secret", "newPassword"."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain not in _HARMLESS and (plain in _EXACT or any(word in plain for word in _WORDS))


def redact_text(text: str) -> str:
    """The text without what looks like a secret, cut to a bounded length, always valid Unicode."""
    if len(text) > TEXT_CHARACTERS_MAX:
        text = text[:TEXT_CHARACTERS_MAX] + "…"
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    for pattern, replacement in _LOOKS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, depth: int = 0) -> Any:
    """A copy that is safe to write: mappings and sequences are walked, bytes give only their length."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= INTEGER_BITS_MAX else str(value)
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {redact_text(str(key)): _entry(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [redact(item, depth + 1) for item in value]
    return redact_text(str(value))


def _entry(key: str, value: Any, depth: int) -> Any:
    return REDACTED if is_sensitive(key) else redact(value, depth)
