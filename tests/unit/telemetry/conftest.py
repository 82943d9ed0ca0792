"""Logging is the whole process's: what a test sets up is gone when it ends."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from patriot.telemetry.work import write_work


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    write_work(None)
