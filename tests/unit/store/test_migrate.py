"""Migration files: numbered without a gap, told apart by their text."""

from pathlib import Path

import pytest

from patriot.store.migrate import Migration, MigrationRefused, migrations


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(f"select '{name}';")


def test_migrations_come_in_order_of_their_numbers(tmp_path: Path):
    write(tmp_path, "0002_b.sql", "0001_a.sql", "README.md")
    assert [(found.version, found.name) for found in migrations(tmp_path)] == [(1, "0001_a"), (2, "0002_b")]


@pytest.mark.parametrize("names", [("0002_b.sql",), ("0001_a.sql", "0003_c.sql"), ("0001_a.sql", "0001_b.sql")])
def test_a_missing_or_double_number_is_refused(tmp_path: Path, names: tuple[str, ...]):
    write(tmp_path, *names)
    with pytest.raises(MigrationRefused, match="without a gap"):
        migrations(tmp_path)


def test_the_checksum_changes_with_the_text():
    first = Migration(1, "0001_a", "select 1")
    assert first.checksum == Migration(1, "0001_a", "select 1").checksum != Migration(1, "0001_a", "select 2").checksum
