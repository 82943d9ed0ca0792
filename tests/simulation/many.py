"""Many seeds on all cores. Rule: seeds share nothing, so any of them can be played again alone."""

import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context

import structlog

from tests.simulation.world import Result, opened, play

CHUNK = 10

Bug = Callable[[], AbstractContextManager[object]]


def run(seed: int, orders: int = 3, bug: Bug = nullcontext) -> Result:
    """Play one seed to its end; with a `bug` planted, if one is given."""
    beginning = opened()
    gc.disable()  # a seed leaves little to be collected, and looking for it takes a tenth of the time
    try:
        with bug():
            return play(seed, orders, beginning)
    finally:
        gc.enable()


def run_many(seeds: Sequence[int], orders: int = 3, *, fresh: bool = False) -> Iterator[Result]:
    """The results in order of the seeds, as they come; played on all cores. `fresh`: each in a process of its own."""
    once = 1 if fresh else None
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), quiet, max_tasks_per_child=once) as pool:
        yield from pool.map(partial(run, orders=orders), seeds, chunksize=1 if fresh else CHUNK)


def quiet() -> None:
    """What goes wrong on purpose would fill the screen."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
