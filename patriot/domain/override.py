"""Settings that were changed in the running platform, folded from their events.

Rule: what was changed for one part goes before what was changed for all; what has run out counts no more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.events import SettingChanged

SETTINGS_ID = UUID("6f0b1c52-4a57-5d0e-9b6c-1f5a7f6f0c11")
"""The one stream of them, in the installation's own tenant."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value in place of the one that processes were started with, in all parts or in one."""

    name: str
    value: str
    part: str | None
    user_id: UUID
    reason: str
    since: datetime
    until: datetime | None

    def stands(self, moment: datetime) -> bool:
        return self.until is None or moment < self.until


Overrides = tuple[Override, ...]
"""The oldest first; at most one for each setting and part."""


def fold(overrides: Overrides | None, event: SettingChanged, _version: int, when: datetime) -> Overrides:
    kept = tuple(one for one in overrides or () if not _ends(event, one))
    if event.value is None:
        return kept
    made = Override(event.name, event.value, event.part, event.user_id, event.reason, when, event.until)
    return (*kept, made)


def _ends(event: SettingChanged, override: Override) -> bool:
    """Back to the start everywhere means the single parts, too."""
    everywhere = event.value is None and event.part is None
    return event.name == override.name and (everywhere or event.part == override.part)


def chosen(overrides: Overrides, name: str, parts: Collection[str], moment: datetime) -> Override | None:
    """What holds in a process of these parts."""
    found = [one for one in overrides if one.name == name and one.stands(moment)]
    of_parts = [one for one in found if one.part in parts]
    of_all = [one for one in found if one.part is None]
    return next(reversed(of_parts or of_all), None)


def next_end(overrides: Overrides, moment: datetime) -> datetime | None:
    """When the first of those that stand runs out."""
    return min((one.until for one in overrides if one.until is not None and one.stands(moment)), default=None)
