"""A streaming standby of an embedded server: a base backup that goes on receiving the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from patriot.store.backup import base_backup
from patriot.store.embedded import EmbeddedServer
from patriot.store.place import account_for


@contextmanager
def standby_of(primary: EmbeddedServer, folder: Path) -> Iterator[EmbeddedServer]:
    """Follows `primary` from `folder`, which is in reach of the server's account."""
    place = folder / "standby"
    place.mkdir()
    data = base_backup(primary.url(), folder / "backup", datetime.now(UTC)).rename(place / "data")
    (data / "standby.signal").touch()
    account = account_for(data)
    for path in (place, data, *data.rglob("*")):
        account.give(path)
    data.chmod(0o700)
    source = primary.url().partition("host=")[2].partition("&")[0]
    settings = {"primary_conninfo": f"host={source} port=5432 user=postgres", "fsync": "off"}
    with EmbeddedServer(place, {**settings, "wal_retrieve_retry_interval": "100ms"}) as server:
        yield server
