"""Secrets that can be recognised, and everywhere that one could have got to."""

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

SONG = "canarycanarycanary"


@dataclass
class Canaries:
    """Name -> the texts by which this secret is recognised, in plain and as encodings would show it."""

    texts: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)

    def new(self, name: str) -> str:
        """A secret that nothing else looks like."""
        made = f"{SONG}{secrets.token_hex(13)}"
        self.texts[name] = _shown(made.encode())
        return made

    def add(self, name: str, secret: str | bytes) -> None:
        """A secret that somebody else made."""
        self.texts[name] = _shown(secret.encode() if isinstance(secret, str) else secret)
        self._silent.add(name)

    def found_in(self, places: Mapping[str, bytes]) -> list[str]:
        """Where which secret was found: there must be none."""
        return [f"{name} in {place}" for place, content in places.items() for name in self._heard(content)]

    def _heard(self, content: bytes) -> Iterator[str]:
        sings = any(
            text in content for text in _shown(SONG.encode())
        )  # looking for each in a hundred megabytes is slow
        for name in self.texts if sings else self._silent:
            if any(text in content for text in self.texts[name]):
                yield name


def _shown(plain: bytes) -> tuple[bytes, ...]:
    encoded = [base64.b64encode(b"\0" * begin + plain)[4:-4] for begin in range(3)]  # wherever in a text it begins
    return (plain, plain.hex().encode(), *encoded)


async def rows_of(url: str) -> dict[str, bytes]:
    """Every row of every table, text and bytes as they are."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'"
        )
        rows = {name: await connection.fetch(f"select * from {name}") for (name,) in tables}  # noqa: S608 (quoted)
        return {name: b"\n".join(_plain(value) for row in found for value in row) for name, found in rows.items()}
    finally:
        await connection.close()


def _plain(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def files_of(folder: Path, *, but: str) -> dict[str, bytes]:
    """Every file below the folder, except those whose path matches `but`."""
    return {str(path): content for path, content in _files(folder) if not re.search(but, str(path))}


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        with suppress(OSError):  # PostgreSQL removes its own while we look; sockets cannot be read
            if path.is_file():
                yield path, path.read_bytes()


def command_lines() -> dict[str, bytes]:
    """What any user of this machine can read about its processes."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found[str(path)] = path.read_bytes()
    return found
