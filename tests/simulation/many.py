"""Many seeds on all cores. Rule: seeds share nothing, so any of them can be played again alone."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context

import structlog

from tests.simulation.world import Result, play

CHUNK = 10

Bug = Callable[[], AbstractContextManager[object]]


def run(seed: int, orders: int = 3, bug: Bug = nullcontext) -> Result:
    """Play one seed to its end; with a `bug` planted, if one is given."""
    with bug():
        return play(seed, orders)


def run_many(seeds: Sequence[int], orders: int = 3, processes: int = 0) -> Iterator[Result]:
    """The results in order of the seeds, as they come. `processes` 0: one per core."""
    with ProcessPoolExecutor(processes or os.cpu_count(), get_context("spawn"), quiet) as pool:
        yield from pool.map(partial(run, orders=orders), seeds, chunksize=CHUNK)


def quiet() -> None:
    """What goes wrong on purpose would fill the screen."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
