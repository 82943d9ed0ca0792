"""One platform per data folder, and ports that are looked at before anything is started."""

import os
import socket
from pathlib import Path

import pytest

from patriot.cli.instance import FILE, AlreadyRuns, only_one, require_free


def test_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with (
        only_one(folder),
        pytest.raises(AlreadyRuns, match=rf"already runs in {folder} \(process {os.getpid()}\)"),
        only_one(folder),
    ):
        pass
    with only_one(folder):
        assert (folder / FILE).read_text() == f"{os.getpid()}\n"
    assert (folder / FILE).read_text() == ""


def test_lock_of_a_dead_process_does_not_count(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("1\n")
    with only_one(tmp_path):
        assert (tmp_path / FILE).read_text() == f"{os.getpid()}\n"


def test_folder_that_is_a_file_cannot_be_held(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), only_one(tmp_path / "file"):
        pass


def test_taken_port_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="is taken; set PATRIOT_PORT"):
            require_free("127.0.0.1", port, "PATRIOT_PORT")
    require_free("127.0.0.1", port, "PATRIOT_PORT")
    require_free("127.0.0.1", 0, "PATRIOT_PORT")


def test_foreign_address_names_the_setting() -> None:
    with pytest.raises(OSError, match="PATRIOT_HOST"):
        require_free("192.0.2.1", 8431, "PATRIOT_PORT")
