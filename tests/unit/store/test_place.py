"""Where the embedded server may live. What needs root or a server is in the integration tests."""

import os
from pathlib import Path

import pytest

from patriot.store import place
from patriot.store.place import Account, EmbeddedError, account_for, can_reach, reachable, socket_folder

OTHER = Account("other", os.geteuid() + 12345, os.getegid() + 12345, other=True)
SELF = Account("self", os.geteuid(), os.getegid(), other=False)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder under the temp folder that everyone may enter, as far as the test can know."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def test_we_reach_everything_ourselves(tmp_path: Path):
    tmp_path.chmod(0o700)
    assert can_reach(SELF, tmp_path / "not" / "there")
    assert reachable(tmp_path / "data", SELF) == tmp_path / "data"


def test_another_account_needs_every_folder_on_the_way(open_folder: Path):
    assert can_reach(OTHER, Path("/"))
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    assert not can_reach(OTHER, closed)
    assert not can_reach(OTHER, closed / "inside")
    assert can_reach(Account("owner", closed.stat().st_uid, 0, other=True), Path("/"))


def test_an_unreachable_folder_gets_the_same_other_place_each_time(open_folder: Path, monkeypatch: pytest.MonkeyPatch):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(place, "can_reach", lambda _, folder: "closed" not in str(folder))
    first = reachable(closed / "data", OTHER)
    assert first == reachable(closed / "data", OTHER) != reachable(closed / "other", OTHER)
    assert not first.is_relative_to(closed)
    monkeypatch.setattr(place, "can_reach", lambda *_: False)
    with pytest.raises(EmbeddedError, match="no folder"):
        reachable(closed / "data", OTHER)


def test_a_long_path_gets_a_short_socket(tmp_path: Path):
    assert socket_folder(Path("/short")) == Path("/short/socket")
    long = Path("/" + "x" * 100)
    assert len(os.fsencode(socket_folder(long))) < 90
    assert socket_folder(long) == socket_folder(long)


def test_the_account_is_our_own_unless_we_are_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    account = account_for(tmp_path)
    assert (account.uid, account.other, account.drop()) == (4242, False, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_root_takes_a_plain_account_and_keeps_to_the_owner_of_the_data(tmp_path: Path):
    account = account_for(tmp_path / "data")
    assert account.name in ("postgres", "nobody")
    assert account.drop() == {"user": account.uid, "group": account.gid, "extra_groups": []}
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 2, 2)
    assert account_for(tmp_path / "data").uid == 2
