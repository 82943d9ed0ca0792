"""The keys of one installation. Rule: a key is added, used, then retired; nothing that it protects is lost between.

Where many processes share the keys, all must know a new one before any uses it: add it, start all anew, then use it.

One JSON file (mode 0600) holds three sets, each with the id of the key that is used for new work:

    {"users":    {"current": "<id>", "keys": {"<id>": "<PEM, EC P-256; public halves of keys used before>"}},
     "services": {"current": "<id>", "keys": {"<id>": "<32 bytes, base64>"}},
     "vault":    {"current": "<id>", "keys": {"<id>": "<32 bytes, base64>"}}}

It is made at the first start. Losing it makes every stored exchange credential unreadable: back it up apart from the
database. In a cluster it comes from a mounted secret; a part that only checks user tokens gets public halves only.
"""

import base64
import os
import re
import secrets
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from patriot.security.errors import KeyRingError

SYMMETRIC_KEY_BYTES = 32
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
EXPOSED = stat.S_IRWXO | stat.S_IWGRP  # group read stays allowed: it is how Kubernetes mounts a secret


class _KeySet(msgspec.Struct):
    current: str
    keys: dict[str, str]


class _KeyFile(msgspec.Struct):
    users: _KeySet
    services: _KeySet
    vault: _KeySet


@dataclass(frozen=True, slots=True, repr=False)
class SymmetricKeys:
    """Keys of 32 bytes by id."""

    current: str
    keys: Mapping[str, bytes]

    @classmethod
    def generate(cls) -> Self:
        return cls.of(secrets.token_bytes(SYMMETRIC_KEY_BYTES))

    @classmethod
    def of(cls, key: bytes) -> Self:
        identifier = _new_id()
        return cls(identifier, {identifier: key})

    @property
    def ids(self) -> Sequence[str]:
        return tuple(self.keys)

    def added(self) -> Self:
        """With a new key, the last, that opens and does not close yet."""
        return replace(self, keys={**self.keys, **self.generate().keys})

    def used(self, identifier: str) -> Self:
        """Close with this key from now on; the others still open what they closed. Raises KeyRingError."""
        _refuse_unknown(self.keys, identifier)
        return replace(self, current=identifier)

    def rotated(self) -> Self:
        """Add a new key and use it from now on."""
        added = self.added()
        return added.used(added.ids[-1])

    def retired(self, identifier: str) -> Self:
        """Drop a key that is no longer used. Raises KeyRingError for the current one."""
        _refuse_current(self.keys, self.current, identifier)
        return replace(self, keys={name: key for name, key in self.keys.items() if name != identifier})


@dataclass(frozen=True, slots=True, repr=False)
class SigningKeys:
    """Public keys by id, and the private half of the current one where this process may sign.

    `waiting`: private halves of keys that were added and not used yet.
    """

    current: str
    public: Mapping[str, ec.EllipticCurvePublicKey]
    private: ec.EllipticCurvePrivateKey | None
    waiting: Mapping[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    @classmethod
    def generate(cls) -> Self:
        identifier, private = _new_id(), ec.generate_private_key(ec.SECP256R1())
        return cls(identifier, {identifier: private.public_key()}, private)

    @property
    def ids(self) -> Sequence[str]:
        return tuple(self.public)

    def added(self) -> Self:
        """With a new key, the last, that verifies and does not sign yet."""
        identifier, private = _new_id(), ec.generate_private_key(ec.SECP256R1())
        public = {**self.public, identifier: private.public_key()}
        return replace(self, public=public, waiting={**self.waiting, identifier: private})

    def used(self, identifier: str) -> Self:
        """Sign with this key; of the one before only the public half is kept. Raises KeyRingError."""
        _refuse_unknown(self.public, identifier)
        if identifier == self.current:
            return self
        if identifier not in self.waiting:
            raise KeyRingError(f"key {identifier} was used before and signs no more: add a new one")
        waiting = {name: key for name, key in self.waiting.items() if name != identifier}
        return replace(self, current=identifier, private=self.waiting[identifier], waiting=waiting)

    def rotated(self) -> Self:
        """Add a new key and sign with it from now on."""
        added = self.added()
        return added.used(added.ids[-1])

    def retired(self, identifier: str) -> Self:
        """Drop a key; tokens that it signed are refused from now on. Raises KeyRingError for the current one."""
        _refuse_current(self.public, self.current, identifier)
        public = {name: key for name, key in self.public.items() if name != identifier}
        return replace(self, public=public, waiting={n: k for n, k in self.waiting.items() if n != identifier})

    def pem(self, identifier: str) -> str:
        """The public half, for whoever verifies tokens beside us."""
        return _public_pem(self.public[identifier])

    def without_private(self) -> Self:
        """What a part needs that verifies tokens and issues none."""
        return replace(self, private=None, waiting={})


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """Every key of the installation."""

    users: SigningKeys
    services: SymmetricKeys
    vault: SymmetricKeys

    @classmethod
    def generate(cls) -> Self:
        return cls(SigningKeys.generate(), SymmetricKeys.generate(), SymmetricKeys.generate())

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """The ring in the file `path`, made at the first start.

        Several processes may start at once: one creates the file, all load that one. Raises KeyRingError.
        """
        if not path.exists():
            _write_once(path, cls.generate().to_json())
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises KeyRingError where the file is absent, broken, or open to other users of the machine."""
        try:
            if path.stat().st_mode & EXPOSED:
                raise KeyRingError(f"{path} is open to others: chmod 600 {path}")
            return cls.from_json(path.read_bytes())
        except OSError as error:
            raise KeyRingError(f"{path} cannot be read: {error.strerror}") from error

    def save(self, path: Path) -> None:
        """Replace the file, whole or not at all."""
        temporary = _write_temporary(path, self.to_json())
        temporary.replace(path)
        _sync_folder(path)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        try:
            file = msgspec.json.decode(text, type=_KeyFile)
            return cls(_signing_keys(file.users), _symmetric_keys(file.services), _symmetric_keys(file.vault))
        except (msgspec.MsgspecError, UnsupportedAlgorithm, ValueError, TypeError):
            # `from None`: the causes quote the text that they could not read, which is key material
            raise KeyRingError("the key file is broken; restore it from its backup") from None

    def to_json(self) -> bytes:
        file = _KeyFile(_signing_set(self.users), _symmetric_set(self.services), _symmetric_set(self.vault))
        return msgspec.json.format(msgspec.json.encode(file))


def _new_id() -> str:
    return secrets.token_hex(4)


def _refuse_unknown(keys: Collection[str], identifier: str) -> None:
    if identifier not in keys:
        raise KeyRingError(f"there is no key {identifier}; these are there: {', '.join(keys)}")


def _refuse_current(keys: Collection[str], current: str, identifier: str) -> None:
    _refuse_unknown(keys, identifier)
    if identifier == current:
        raise KeyRingError(f"key {identifier} is in use: rotate first")


def _symmetric_keys(keys: _KeySet) -> SymmetricKeys:
    decoded = {name: base64.b64decode(text, validate=True) for name, text in keys.keys.items()}
    if any(len(key) != SYMMETRIC_KEY_BYTES for key in decoded.values()):
        raise ValueError("a key has the wrong length")
    return SymmetricKeys(_known(keys), decoded)


def _symmetric_set(keys: SymmetricKeys) -> _KeySet:
    return _KeySet(keys.current, {name: base64.b64encode(key).decode() for name, key in keys.keys.items()})


def _signing_keys(keys: _KeySet) -> SigningKeys:
    halves = {name: _read_pem(text.encode()) for name, text in keys.keys.items()}
    _known(keys)
    public = {n: k.public_key() if isinstance(k, ec.EllipticCurvePrivateKey) else k for n, k in halves.items()}
    own = {name: key for name, key in halves.items() if isinstance(key, ec.EllipticCurvePrivateKey)}
    return SigningKeys(keys.current, public, own.pop(keys.current, None), own)


def _signing_set(keys: SigningKeys) -> _KeySet:
    texts = {name: _public_pem(key) for name, key in keys.public.items()}
    if keys.private is not None:
        texts[keys.current] = _private_pem(keys.private)
    texts |= {name: _private_pem(key) for name, key in keys.waiting.items()}
    return _KeySet(keys.current, texts)


def _known(keys: _KeySet) -> str:
    if keys.current not in keys.keys:
        raise ValueError("the current key is absent")
    if not all(KEY_ID.fullmatch(name) for name in keys.keys):
        raise ValueError("a key id has a character that envelopes and tokens do not carry")
    return keys.current


def _read_pem(text: bytes) -> ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey:
    key: Any
    if b"PRIVATE KEY" in text:
        key = serialization.load_pem_private_key(text, password=None)
    else:
        key = serialization.load_pem_public_key(text)
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)) or key.curve.name != "secp256r1":
        raise ValueError("ES256 needs a key on the curve P-256")
    return key


def _public_pem(key: ec.EllipticCurvePublicKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _write_once(path: Path, text: bytes) -> None:
    temporary = _write_temporary(path, text)
    try:
        path.hardlink_to(temporary)  # unlike a rename, this fails where another process was first
        _sync_folder(path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


def _write_temporary(path: Path, text: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync_folder(path: Path) -> None:
    """A power cut must not take the name away: credentials sealed with these keys would be lost for good."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
