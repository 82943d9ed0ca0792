"""Tidiness is a test: docstrings, lengths, clocks, dead files and words that have no place here."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("patriot", "schemas", "functions", "feeds")
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
TEST_FILE_LINES_MAX = 800

SYSTEM_TIME_AND_CHANCE = {
    "patriot/runtime/clock.py": "the clock port itself",
    "patriot/runtime/platform.py": "seeds the random port of the real platform, once, at the start",
    "feeds/venue/synthetic.py": "draws from generators that it seeds itself",
    "patriot/replay.py": "seeds the random port of a replay",
    "patriot/deploy/queues.py": "a simulation that seeds itself: the page it writes is the same each time",
    "patriot/store/postgres.py": "the default of the clock that its caller may pass",
    "patriot/cli/": "a person at a terminal has the system's time, and needs a new idempotency key for each command",
    "feeds/venue/wire/tls.py": "a certificate is valid by the system's clock, whatever the market's is",
    "feeds/venue/wire/bybit_sockets.py": "ids of connections and traces, which decide nothing",
}
"""The only modules (or folders) that may touch the system's clock or the module `random`, and why."""

DISCOVERED = (
    r"(functions|feeds)\.\w+\.app",  # patriot.runtime.discovery
    r"feeds\.strategies\.catalog\.\w+",  # feeds.strategies.app.strategies
    r"feeds\.trading_engine\.algorithms\.\w+",  # feeds.trading_engine.app.kinds
    r"feeds\.venue\.wire\.tls",  # for clients that insist on an exchange's own host name
    r"patriot\.protocols\.(binance|bybit|coinbase)",  # patriot.protocols.codec
    r"patriot\.domain\.risk\.rules\.\w+",  # patriot.domain.risk.evaluate.discovered
    r"schemas\.asyncapi",  # `make generate`
    r"patriot\.cli\.main",  # the command `patriot`
)
"""Modules that nobody imports by name: something finds them, or somebody runs them."""

FORBIDDEN = {
    "a machine's path": r"(?<![\w}])/(?:root|home|Users|work)/[a-z][\w.]+",
    "a package registry": r"pypi\.org|pythonhosted\.org|registry\.npmjs|proxy\.golang",
    "a to-do": r"\b(?:TODO|FIXME)\b",
    "a merge left open": r"^(?:<{7}|>{7}) ",
}
"""No tracked text may contain these."""


@cache
def tracked() -> tuple[Path, ...]:
    """With what is new and not ignored: it will be tracked soon."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def python_files(*tops: str) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and relative(path).split("/")[0] in tops]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def failures(found: Iterator[str]) -> None:
    listed = sorted(found)
    assert not listed, "\n" + "\n".join(listed)


def test_git_knows_the_sources():
    """Else every test below would pass for want of anything to look at."""
    assert len(python_files(*SOURCES)) > 100
    assert len(python_files("tests")) > 50


def test_every_module_says_what_it_is():
    failures(relative(path) for path in python_files(*SOURCES, "tests") if not says_something(path))


def says_something(path: Path) -> bool:
    words = (ast.get_docstring(tree(path)) or "").split()
    if relative(path).startswith("tests/"):
        return True  # a test's name says it
    return len(words) >= (1 if path.name == "__init__.py" else 4)


def test_no_function_is_too_long():
    def found() -> Iterator[str]:
        for path in python_files(*SOURCES, "tests"):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines(node) > FUNCTION_LINES_MAX:
                    yield f"{relative(path)}:{node.lineno} {node.name} has {lines(node)} lines"

    failures(found())


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without the docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_no_file_is_too_long():
    def found() -> Iterator[str]:
        for path in python_files(*SOURCES, "tests"):
            most = TEST_FILE_LINES_MAX if relative(path).startswith("tests/") else FILE_LINES_MAX
            count = len(path.read_text(encoding="utf-8").splitlines())
            if count > most:
                yield f"{relative(path)} has {count} lines"

    failures(found())


def test_time_and_chance_come_from_the_ports():
    def found() -> Iterator[str]:
        for path in python_files(*SOURCES):
            if not relative(path).startswith(tuple(SYSTEM_TIME_AND_CHANCE)):
                yield from (f"{relative(path)}:{call.lineno} {name}" for call, name in forbidden_calls(tree(path)))

    failures(found())


CLOCKS = re.compile(
    r"(?:datetime\.)?(?:datetime|date)\.(?:now|utcnow|today)|time\.(?:time|time_ns)|uuid\.uuid[14]|uuid4"
)


def forbidden_calls(module: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if CLOCKS.fullmatch(name) or name.startswith("random."):
                yield node, name


@pytest.mark.parametrize(
    "text",
    ["datetime.now(UTC)", "datetime.datetime.now()", "date.today()", "time.time()", "uuid4()", "random.choice(x)"],
)
def test_forbidden_call_is_seen(text: str):
    assert len(list(forbidden_calls(ast.parse(text)))) == 1


def test_list_of_exceptions_is_no_longer_than_needed():
    for name in SYSTEM_TIME_AND_CHANCE:
        under = [path for path in python_files(*SOURCES) if relative(path).startswith(name)]
        assert any(list(forbidden_calls(tree(path))) for path in under), f"{name} needs no exception"


def test_every_module_is_used():
    files = python_files(*SOURCES)
    used = {imported for path in files for imported in imports(path)}

    def found() -> Iterator[str]:
        for path in files:
            module = module_of(path)
            if path.name not in {"__init__.py", "__main__.py"} and module not in used and not discovered(module):
                yield f"{relative(path)} is imported nowhere"

    failures(found())


def module_of(path: Path) -> str:
    return relative(path).removesuffix(".py").replace("/", ".")


def discovered(module: str) -> bool:
    return any(re.fullmatch(pattern, module) for pattern in DISCOVERED)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_package_folder_has_its_init():
    folders = {path.parent for path in python_files(*SOURCES)}
    failures(relative(folder) for folder in folders if not (folder / "__init__.py").exists())


def test_tests_have_no_init():
    failures(relative(path) for path in python_files("tests") if path.name == "__init__.py")


def test_no_text_contains_what_has_no_place_here():
    def found() -> Iterator[str]:
        for path in tracked():
            if path == Path(__file__):
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            for what, pattern in FORBIDDEN.items():
                for match in re.finditer(pattern, text, re.MULTILINE):
                    yield f"{relative(path)}: {what}: {match.group()}"

    failures(found())
