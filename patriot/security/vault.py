"""Exchange credentials at rest: AES-256-GCM. Rule: a ciphertext opens only in the row and field that it was sealed for.

An envelope is one line of text, safe in any column:

    v1.<key id>.<nonce>.<ciphertext and tag>      nonce 12 bytes, tag 16 bytes, both parts base64url without padding

The associated data is `v1.<key id>:<tenant>:<account>:<field>`; nothing of it is secret, all of it must match.
Nonces are random: with 96 bits, one key is good for 2^32 seals (NIST SP 800-38D, 8.3). Keys rotate long before.
"""

import base64
import binascii
import os
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from patriot.security.errors import EnvelopeRefused, VaultKeyMissing
from patriot.security.keys import SymmetricKeys
from patriot.security.secret import Secret

FORMAT = "v1"
NONCE_BYTES = 12


class Place(NamedTuple):
    """Where a credential lies. `field` names it within the account: "api_key", "api_secret", "passphrase"."""

    tenant_id: UUID
    account_id: UUID
    field: str


class Vault:
    """Seals and opens credentials. `random_bytes` is the system's except in tests: a nonce used twice is fatal."""

    def __init__(self, keys: SymmetricKeys, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._current = keys.current
        self._ciphers = {identifier: AESGCM(key) for identifier, key in keys.keys.items()}
        self._random_bytes = random_bytes

    def seal(self, secret: Secret, place: Place) -> str:
        """Encrypt with the current key and return the envelope."""
        nonce = self._random_bytes(NONCE_BYTES)
        associated = _associated(self._current, place)
        ciphertext = self._ciphers[self._current].encrypt(nonce, secret.reveal().encode(), associated)
        return f"{FORMAT}.{self._current}.{_encode(nonce)}.{_encode(ciphertext)}"

    def open(self, envelope: str, place: Place) -> Secret:
        """Decrypt. Raises EnvelopeRefused or VaultKeyMissing; neither carries anything of the envelope."""
        key_id, nonce, ciphertext = _split(envelope)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultKeyMissing("the key of this envelope is not in the ring")
        try:
            return Secret(cipher.decrypt(nonce, ciphertext, _associated(key_id, place)).decode())
        except InvalidTag:
            raise EnvelopeRefused("the envelope was changed or belongs elsewhere") from None

    def is_current(self, envelope: str) -> bool:
        """Tell whether the envelope was sealed with the current key. Raises EnvelopeRefused for other text."""
        return key_of(envelope) == self._current

    def rotate(self, envelope: str, place: Place) -> str:
        """The same credential under the current key; the same envelope where it is already so."""
        return envelope if self.is_current(envelope) else self.seal(self.open(envelope, place), place)


def key_of(envelope: str) -> str:
    """The id of the key that opens it. Raises EnvelopeRefused for other text."""
    return _split(envelope)[0]


def _associated(key_id: str, place: Place) -> bytes:
    # Two UUIDs of fixed length, the free text last: no two places give the same bytes.
    return f"{FORMAT}.{key_id}:{place.tenant_id}:{place.account_id}:{place.field}".encode()


def _split(envelope: str) -> tuple[str, bytes, bytes]:
    parts = envelope.split(".")
    if len(parts) != 4 or parts[0] != FORMAT:
        raise EnvelopeRefused("this is no envelope")
    nonce, ciphertext = _decode(parts[2]), _decode(parts[3])
    if len(nonce) != NONCE_BYTES:
        raise EnvelopeRefused("this is no envelope")
    return parts[1], nonce, ciphertext


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise EnvelopeRefused("this is no envelope") from None
    if _encode(data) != text:  # one envelope has one spelling
        raise EnvelopeRefused("this is no envelope")
    return data
