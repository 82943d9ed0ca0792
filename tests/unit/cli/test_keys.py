"""`patriot keys`: what each step of a rotation does to the ring, and what is printed of it."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from patriot.cli.output import REFUSED
from patriot.security.errors import TokenRefused
from patriot.security.keys import KeyRing
from patriot.security.roles import Identity, Role
from patriot.security.service_tokens import ServiceTokens
from patriot.security.tokens import UserTokens
from tests.store_samples import NOW
from tests.unit.cli.world import Terminal

ANN = Identity.of(UUID(int=1), UUID(int=2), Role.USER, "token-1")


@pytest.fixture
def ring(terminal: Terminal) -> Path:
    terminal.run("keys", "make")
    return terminal.folder / "keys.json"


def ids(terminal: Terminal, kind: str) -> dict[str, str]:
    return {key["state"]: key["id"] for key in terminal.json("keys", "show")["keys"] if key["kind"] == kind}


def tokens(ring: KeyRing) -> UserTokens:
    return UserTokens(ring.users, issuer="patriot", audience="api")


def services(ring: KeyRing) -> ServiceTokens:
    return ServiceTokens(ring.services, app_id="risk", callers=frozenset({"risk"}), cache_size_max=10)


def accepts(theirs: KeyRing, ours: KeyRing) -> bool:
    """Whether their process takes what ours signs, for people and for parts."""
    try:
        tokens(theirs).verify(tokens(ours).issue(ANN, NOW), NOW)
        services(theirs).verify(services(ours).issue("risk", NOW), NOW)
    except TokenRefused:
        return False
    return True


@pytest.mark.requirement("P14", "P21")
def test_every_two_steps_of_a_rotation_understand_each_other(terminal: Terminal, ring: Path) -> None:
    """Processes start anew one after the other, so two rings are at work after each step."""
    stages = [KeyRing.load(ring)]
    for kind in ("users", "services"):
        terminal.run("keys", "add", kind)
    stages.append(KeyRing.load(ring))
    for kind in ("users", "services"):
        terminal.run("keys", "use", kind, ids(terminal, kind)["known, not used yet"])
    stages.append(KeyRing.load(ring))
    for kind in ("users", "services"):
        terminal.run("keys", "retire", kind, ids(terminal, kind)["used before"])
    stages.append(KeyRing.load(ring))
    fresh, added, used, retired = stages
    assert all(accepts(*pair) for pair in ((fresh, added), (added, fresh), (added, used), (used, added)))
    assert accepts(retired, used)
    assert not accepts(fresh, used), "without the first step, who has not started anew refuses everybody else"
    assert not accepts(retired, added), "what a retired key signed is refused"


@pytest.mark.requirement("P14")
def test_ring_is_made_once_and_never_shown(terminal: Terminal, ring: Path) -> None:
    assert ring.stat().st_mode & 0o777 == 0o600
    assert "there already" in terminal.run("keys", "make", code=REFUSED).stderr
    shown = "".join(terminal.run("keys", *words).output for words in (["show"], ["public"], ["add", "users"]))
    secret = [line for line in ring.read_text().splitlines() if len(line) > 40 and "PUBLIC" not in line]
    assert secret
    assert "PRIVATE" not in shown
    assert not [line for line in secret if line.strip() in shown]


@pytest.mark.requirement("P5", "P14")
def test_public_halves_are_values_of_the_chart(terminal: Terminal, ring: Path) -> None:
    terminal.run("keys", "add", "users")
    printed = yaml.safe_load(terminal.run("keys", "public").stdout)
    assert printed == terminal.json("keys", "public")
    users = KeyRing.load(ring).users
    assert printed["gateway"]["publicKeys"] == {name: users.pem(name) for name in users.ids}
    assert len(users.ids) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["use", "users", "nobody"], "there is no key nobody; these are there: "),
        (["retire", "services", "{used}"], "is in use"),
        (["retire", "vault", "nobody"], "there is no key nobody"),
    ],
)
def test_step_that_would_break_the_ring_changes_nothing(
    terminal: Terminal, ring: Path, words: Sequence[str], reason: str
) -> None:
    before = ring.read_bytes()
    told = [word.replace("{used}", ids(terminal, "services")["used"]) for word in words]
    assert reason in terminal.run("keys", *told, code=REFUSED).stderr
    assert ring.read_bytes() == before


def test_key_of_the_vault_stays_while_nobody_can_tell_who_needs_it(
    terminal: Terminal, ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PATRIOT_DATABASE_URL", raising=False)
    terminal.run("keys", "add", "vault")
    before = ring.read_bytes()
    new = ids(terminal, "vault")["known, not used yet"]
    assert "PATRIOT_DATABASE_URL" in terminal.run("keys", "retire", "vault", new, code=REFUSED).stderr
    assert ring.read_bytes() == before
    terminal.run("keys", "retire", "vault", new, "--no-look")
    assert list(KeyRing.load(ring).vault.ids) == [ids(terminal, "vault")["used"]]


def test_no_ring_is_told(terminal: Terminal) -> None:
    assert "keys.json" in terminal.run("keys", "show", code=REFUSED).stderr
