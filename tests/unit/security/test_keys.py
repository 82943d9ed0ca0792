"""The key ring: made once, kept for the owner only, never overwritten, rotated without losing what it protects."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from patriot.security.errors import KeyRingError
from patriot.security.keys import KeyRing, SymmetricKeys, _write_once
from patriot.security.roles import Identity, Role
from patriot.security.tokens import UserTokens

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANN = Identity.of(UUID(int=1), UUID(int=2), Role.USER, "token-1")


def user_tokens(ring: KeyRing) -> UserTokens:
    return UserTokens(ring.users, issuer="patriot", audience="api")


@pytest.mark.requirement("P14")
def test_ring_is_made_at_the_first_start_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.json"
    before = os.umask(0)  # the most careless setting a machine can have
    try:
        first = KeyRing.load_or_create(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]
    second = KeyRing.load_or_create(path)
    assert second.vault == first.vault
    assert second.services == first.services
    assert user_tokens(second).verify(user_tokens(first).issue(ANN, NOW), NOW) == ANN


def test_ring_made_by_many_at_once_is_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(KeyRing.load_or_create, [path] * 16))
    assert all(ring.vault == rings[0].vault for ring in rings)


def test_second_writer_leaves_the_first_ring_alone(tmp_path: Path) -> None:
    """Both saw no file; the slower one must not replace keys that the faster one already uses."""
    path = tmp_path / "keys.json"
    _write_once(path, b"first")
    _write_once(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o666])
def test_ring_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    KeyRing.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(KeyRingError, match="chmod 600"):
        KeyRing.load_or_create(path)


def test_ring_as_kubernetes_mounts_it_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    KeyRing.load_or_create(path)
    path.chmod(0o440)
    assert KeyRing.load(path)


def test_absent_ring_is_not_made_by_load(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="cannot be read"):
        KeyRing.load(tmp_path / "keys.json")


def broken(change: Any) -> bytes:
    content = json.loads(KeyRing.generate().to_json())
    change(content)
    return json.dumps(content).encode()


def other_curve() -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"\xff",
        broken(lambda ring: ring.pop("vault")),
        broken(lambda ring: ring["vault"].update(current="absent")),
        broken(lambda ring: ring["vault"].update(current="a", keys={"a": "c2hvcnQ="})),
        broken(lambda ring: ring["vault"].update(current="a", keys={"a": "not base64!"})),
        broken(lambda ring: ring["vault"].update(current="a.b", keys={"a.b": "A" * 43 + "="})),
        broken(lambda ring: ring["users"].update(current="a", keys={"a": "no key"})),
        broken(lambda ring: ring["users"].update(current="a", keys={"a": other_curve()})),
    ],
)
def test_broken_ring_is_refused_and_left_alone(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(KeyRingError, match="broken") as refused:
        KeyRing.load_or_create(path)
    assert refused.value.__cause__ is None
    assert path.read_bytes() == text


def test_rotated_ring_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = KeyRing.load_or_create(path)
    old = user_tokens(ring).issue(ANN, NOW)
    KeyRing(ring.users.rotated(), ring.services.rotated(), ring.vault.rotated()).save(path)
    loaded = KeyRing.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert loaded.vault.current != ring.vault.current
    assert loaded.vault.keys[ring.vault.current] == ring.vault.keys[ring.vault.current]
    assert user_tokens(loaded).verify(old, NOW) == ANN
    assert path.read_text().count("BEGIN PRIVATE KEY") == 1  # a retired private key is not kept


def test_ring_without_private_half_survives_the_file(tmp_path: Path) -> None:
    ring = KeyRing.generate()
    KeyRing(ring.users.without_private(), ring.services, ring.vault).save(tmp_path / "keys.json")
    assert KeyRing.load(tmp_path / "keys.json").users.private is None
    assert "PRIVATE" not in (tmp_path / "keys.json").read_text()


def test_retire_drops_a_key_but_never_the_current() -> None:
    keys = SymmetricKeys.generate()
    rotated = keys.rotated()
    assert rotated.retired(keys.current).keys.keys() == {rotated.current}
    with pytest.raises(KeyRingError, match="in use"):
        rotated.retired(rotated.current)


@pytest.mark.parametrize("keys", [KeyRing.generate(), KeyRing.generate().vault, KeyRing.generate().users])
def test_repr_shows_no_key(keys: object) -> None:
    assert "b'" not in repr(keys)
    assert "object at" in repr(keys)
