"""Discovery: a folder with an app.py is a part; one that does not define what it must is named in the error."""

import sys
from pathlib import Path

import pytest

from patriot.runtime import discovery
from patriot.runtime.function import Feed, Function

APP = "from patriot.runtime.function import Feed, Function\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `functions` in place of the real one."""
    package = tmp_path / "functions"
    package.mkdir()
    (package / "__init__.py").write_text('"""Functions."""')
    for name in [name for name in sys.modules if name == "functions" or name.startswith("functions.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return package


def add(root: Path, name: str, app: str | None) -> None:
    (root / name).mkdir()
    (root / name / "__init__.py").write_text('"""A part."""')
    if app is not None:
        (root / name / "app.py").write_text(APP + app)


def test_parts_come_by_name_and_folders_without_app_are_passed_over(root: Path):
    add(root, "b_second", 'function = Function("b-second")')
    add(root, "a_first", 'function = Function("a-first")')
    add(root, "no_part", None)
    (root / "module.py").write_text("raise AssertionError('not a part')")
    assert [part.name for part in discovery.functions()] == ["a-first", "b-second"]


@pytest.mark.parametrize("app", ["", 'feed = Feed("x")', "function = None", 'function = "x"'])
def test_part_without_its_attribute_is_named(root: Path, app: str):
    add(root, "wrong", app)
    with pytest.raises(TypeError, match=r"functions\.wrong\.app must define `function`, an instance of Function"):
        discovery.functions()


def test_error_in_a_part_is_not_hidden(root: Path):
    add(root, "broken", "import no_such_module_anywhere")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        discovery.functions()


def test_real_parts_are_of_their_kind():
    assert all(type(part) is Function for part in discovery.functions())
    assert all(isinstance(part, Feed) for part in discovery.feeds())
