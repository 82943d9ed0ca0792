"""The vault: what is sealed opens in its own place only, survives rotation, and shows itself nowhere."""

import string
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from patriot.security.errors import EnvelopeRefused, VaultError, VaultKeyMissing
from patriot.security.keys import SymmetricKeys
from patriot.security.secret import Secret
from patriot.security.vault import Place, Vault

KEYS = SymmetricKeys.generate()
VAULT = Vault(KEYS)
PLACE = Place(UUID(int=1), UUID(int=2), "api_key")
ENVELOPE = VAULT.seal(Secret("hunter2"), PLACE)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.requirement("P14")
@given(texts, st.uuids(), st.uuids(), texts)
def test_sealed_opens_in_its_place(text: str, tenant: UUID, account: UUID, field: str) -> None:
    place = Place(tenant, account, field)
    assert VAULT.open(VAULT.seal(Secret(text), place), place).reveal() == text


@pytest.mark.requirement("P14")
@pytest.mark.parametrize(
    "other",
    [
        PLACE._replace(tenant_id=uuid4()),
        PLACE._replace(account_id=uuid4()),
        PLACE._replace(field="api_secret"),
        PLACE._replace(tenant_id=PLACE.account_id, account_id=PLACE.tenant_id),
    ],
)
def test_envelope_moved_elsewhere_is_refused(other: Place) -> None:
    with pytest.raises(EnvelopeRefused):
        VAULT.open(VAULT.seal(Secret("hunter2"), PLACE), other)


@given(st.integers(0, len(ENVELOPE) - 1), st.characters())
def test_any_changed_character_is_refused(place: int, other: str) -> None:
    assume(other != ENVELOPE[place])
    with pytest.raises(VaultError):
        VAULT.open(ENVELOPE[:place] + other + ENVELOPE[place + 1 :], PLACE)


@given(
    st.text() | st.lists(st.text("Aa0-_=", max_size=20), min_size=4, max_size=4).map(lambda p: "v1." + ".".join(p[1:]))
)
def test_any_text_raises_only_a_vault_error(text: str) -> None:
    with pytest.raises(VaultError) as refused:
        VAULT.open(text, PLACE)
    assert not text or len(text) < 12 or text not in str(refused.value)


def test_envelope_in_another_spelling_is_refused() -> None:
    """The last character of 23 bytes in base64 has two unused bits; a lenient decoder takes any."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    other = letters[letters.index(ENVELOPE[-1]) ^ 1]
    with pytest.raises(EnvelopeRefused):
        VAULT.open(ENVELOPE[:-1] + other, PLACE)


def test_envelope_has_the_documented_form() -> None:
    form, key_id, nonce, ciphertext = VAULT.seal(Secret("hunter2"), PLACE).split(".")
    assert (form, key_id) == ("v1", KEYS.current)
    assert len(nonce) == 16  # 12 bytes
    assert len(ciphertext) == 31  # 7 + 16 bytes


def test_envelope_written_by_an_earlier_version_opens() -> None:
    """Golden: what lies in a database must open for ever."""
    vault = Vault(SymmetricKeys("k1", {"k1": bytes(range(32))}), random_bytes=bytes)
    envelope = "v1.k1.AAAAAAAAAAAAAAAA.ZsnbqtBesQkdBwoWT3-mY9UHE3gq0g0"
    assert vault.seal(Secret("hunter2"), PLACE) == envelope
    assert vault.open(envelope, PLACE).reveal() == "hunter2"


def test_seal_never_repeats_a_nonce() -> None:
    envelopes = {VAULT.seal(Secret("same"), PLACE).split(".")[2] for _ in range(1000)}
    assert len(envelopes) == 1000


@pytest.mark.requirement("P14")
def test_rotation_re_encrypts_and_then_the_old_key_may_go() -> None:
    old = VAULT.seal(Secret("hunter2"), PLACE)
    rotated = KEYS.rotated()
    vault = Vault(rotated)
    new = vault.rotate(old, PLACE)
    assert not vault.is_current(old)
    assert vault.is_current(new)
    assert vault.rotate(new, PLACE) == new
    bare = Vault(rotated.retired(KEYS.current))
    assert bare.open(new, PLACE).reveal() == "hunter2"
    with pytest.raises(VaultKeyMissing):
        bare.open(old, PLACE)


def test_rotation_refuses_an_envelope_of_another_place() -> None:
    old = VAULT.seal(Secret("hunter2"), PLACE)
    with pytest.raises(EnvelopeRefused):
        Vault(KEYS.rotated()).rotate(old, PLACE._replace(field="api_secret"))


def test_key_of_another_installation_under_the_same_id_is_refused() -> None:
    other: Any = Vault(SymmetricKeys(KEYS.current, {KEYS.current: bytes(32)}))
    with pytest.raises(EnvelopeRefused):
        other.open(VAULT.seal(Secret("hunter2"), PLACE), PLACE)
