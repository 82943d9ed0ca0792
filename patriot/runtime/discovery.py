"""Finding the parts: a folder under `functions` or `feeds` with an `app.py` is a part. Nothing is listed twice."""

import importlib
import pkgutil
from importlib.util import find_spec
from typing import TypeVar

from patriot.runtime.function import Feed, Function
from patriot.strategy import Strategy

Part = TypeVar("Part", bound=Function)


def functions() -> list[Function]:
    """Every `functions/<name>/app.py` with its module attribute `function`, by name."""
    return [_attribute(module, "function", Function) for module in _modules("functions")]


def feeds() -> list[Feed]:
    """Every `feeds/<name>/app.py` with its module attribute `feed`, by name."""
    return [_attribute(module, "feed", Feed) for module in _modules("feeds")]


def names() -> list[str]:
    """The app ids of all parts, without importing any."""
    return [_app_id(module) for root in ("functions", "feeds") for module in _modules(root)]


def part(app_id: str) -> Function:
    """The part of this name, alone. Raises KeyError."""
    for root, name, kind in (("functions", "function", Function), ("feeds", "feed", Feed)):
        for module in _modules(root):
            if _app_id(module) == app_id:
                return _attribute(module, name, kind)
    raise KeyError(app_id)


def _app_id(module: str) -> str:
    return module.split(".")[1].replace("_", "-")


def _modules(root: str) -> list[str]:
    package = importlib.import_module(root)
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg)
    return [f"{root}.{name}.app" for name in names if find_spec(f"{root}.{name}.app")]


def _attribute(module: str, name: str, kind: type[Part]) -> Part:
    part = getattr(importlib.import_module(module), name, None)
    if not isinstance(part, kind):
        raise TypeError(f"{module} must define `{name}`, an instance of {kind.__name__}")
    return part


def strategies() -> dict[str, type[Strategy]]:
    """Every strategy of `feeds/strategies/catalog/<name>.py`, by name."""
    package = importlib.import_module("feeds.strategies.catalog")
    modules = [
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    ]
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]
    return {strategy.NAME: strategy for strategy in found}
