"""Settings that change while the platform runs. Rule: what an administrator changes holds in every process in a second.

A change is an event; what a process was started with lies beneath it, and holds again when the change is taken back or
runs out. Which settings may change is marked in `Settings`.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from patriot.domain.override import SETTINGS_ID, Overrides, chosen, next_end
from patriot.runtime.aggregates import SETTING
from patriot.runtime.context import RequestContext
from patriot.runtime.following import follow
from patriot.runtime.ports import Runtime
from patriot.runtime.settings import LIVE, Settings
from patriot.store.api import Origin
from patriot.telemetry.logs import set_level
from patriot.telemetry.tracing import set_share

ASK_SECONDS = 1.0
NAME = "settings"

EFFECTS: Mapping[str, Callable[[Any], None]] = {"log_level": set_level, "trace_share": set_share}
"""What else is to be done when a setting changes, beyond `runtime.settings`."""

log = structlog.get_logger()


async def follow_settings(runtime: Runtime, parts: Collection[str]) -> None:
    """Take over what was changed for all parts or for one of these, the parts of this process."""
    live = LiveSettings.of(runtime)
    live.parts = frozenset(parts)
    await follow(runtime, NAME, ASK_SECONDS, live.ask)


class LiveSettings:
    """The changes as this process knows them, over what it was started with: `LiveSettings.of(runtime)`."""

    @classmethod
    def of(cls, runtime: Runtime) -> "LiveSettings":
        found = runtime.local.get(NAME)
        if not isinstance(found, LiveSettings):
            found = runtime.local[NAME] = cls(runtime)
        return found

    def __init__(self, runtime: Runtime) -> None:
        self.started = runtime.settings
        self.parts: Collection[str] = ()
        self._runtime = runtime
        self._reader = RequestContext(runtime, NAME, Origin(runtime.settings.tenant_id, "", ""))
        self._overrides: Overrides = ()
        self._values: Mapping[str, str] = {}
        self._wakes_at: datetime | None = None

    async def ask(self) -> None:
        """Take over what stands in the store by now. Raises StoreUnavailable."""
        self._overrides = (await self._reader.load(SETTING, SETTINGS_ID)).state or ()
        self._take_over()

    def _take_over(self) -> None:
        now = self._runtime.clock.now()
        found = {name: chosen(self._overrides, name, self.parts, now) for name in LIVE}
        values = {name: one.value for name, one in found.items() if one is not None}
        if values != self._values:
            self._values, before = values, self._runtime.settings
            self._runtime.settings = self._with(values)
            _tell(before, self._runtime.settings)
        self._wake_at(next_end(self._overrides, now))

    def _with(self, values: Mapping[str, str]) -> Settings:
        try:
            return self.started.changed(values)
        except ValidationError as error:  # another version of the code took it: no reason for this one to stop
            log.warning("changed settings are left alone", reason=str(error))
            return self.started

    def _wake_at(self, end: datetime | None) -> None:
        """Who is alone on a store does not ask again and again, so it must know by itself when a change runs out."""
        if end is not None and end != self._wakes_at:
            self._wakes_at = end
            self._runtime.spawn(self._wake(end), "setting runs out")

    async def _wake(self, end: datetime) -> None:
        clock = self._runtime.clock
        while (left := (end - clock.now()).total_seconds()) > 0:
            await clock.sleep(left)
        self._take_over()


def _tell(before: Settings, after: Settings) -> None:
    for name, effect in EFFECTS.items():
        value = getattr(after, name)
        if value != getattr(before, name):
            effect(value)
            log.info("setting changed", name=name, value=value)
