"""What parts do again and again. Rule: one replica at a time, by a lease; a run that fails is logged, others follow."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from patriot.runtime.context import RequestContext
from patriot.runtime.edge import system_context
from patriot.runtime.operation import operation
from patriot.runtime.ports import Runtime

LEASE_INTERVALS = 2.5  # who has missed two runs is gone


@dataclass(frozen=True, slots=True)
class Schedule:
    """`setting` names the setting that holds the seconds between two runs; zero means never."""

    part: str
    setting: str
    action: Callable[[RequestContext], Awaitable[None]]

    @property
    def name(self) -> str:
        return f"{self.part}.{self.action.__name__}"


def start_schedules(schedules: Iterable[Schedule], runtime: Runtime) -> None:
    """Hand them to the scheduler of this process."""
    for schedule in schedules:
        seconds: float = getattr(runtime.settings, schedule.setting)
        if seconds:
            runtime.scheduler.every(schedule.name, seconds, partial(_run, schedule, seconds, runtime))


async def _run(schedule: Schedule, seconds: float, runtime: Runtime) -> None:
    if await runtime.leases.acquire(f"schedule:{schedule.name}", LEASE_INTERVALS * seconds) is not None:
        context = system_context(runtime, schedule.part)
        with operation(context, schedule.action.__name__):
            await schedule.action(context)
