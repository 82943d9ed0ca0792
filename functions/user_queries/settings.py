"""Settings as they stand, and who has changed them. Rule: only those that may change while the platform runs."""

from collections.abc import Mapping
from uuid import UUID

import orjson

from patriot.domain.override import SETTINGS_ID, Override, Overrides
from patriot.runtime.aggregates import SETTING
from patriot.runtime.context import RequestContext
from patriot.runtime.live_settings import LiveSettings
from patriot.runtime.settings import LIVE, Settings
from patriot.store.api import StreamId
from schemas.queries import EventPage, EventView, SettingPage, SettingView


async def shown(context: RequestContext) -> SettingPage:
    """For each setting what holds in all parts, then where a single part has another value."""
    overrides: Overrides = (await context.load(SETTING, SETTINGS_ID)).state or ()
    standing = [one for one in overrides if one.stands(context.now())]
    names = await _names({one.user_id for one in standing}, context)
    started = LiveSettings.of(context.runtime).started
    views = []
    for name in LIVE:
        changed = [_changed(one, started, names) for one in standing if one.name == name]
        of_all = [view for view in changed if view.part is None]
        views += [*(of_all or [_started(name, started)]), *(view for view in changed if view.part is not None)]
    return SettingPage(settings=tuple(views))


async def changes(context: RequestContext) -> EventPage:
    """Every change that was ever made."""
    recorded = await context.runtime.store.load(StreamId(context.tenant_id, SETTING.kind, SETTINGS_ID))
    views = [
        EventView(
            aggregate_id=SETTINGS_ID,
            version=event.version,
            type=event.type,
            occurred_at=event.occurred_at,
            correlation_id=event.origin.correlation_id,
            actor=event.origin.actor,
            data=orjson.loads(event.data),
        )
        for event in recorded
    ]
    return EventPage(events=tuple(views))


async def _names(user_ids: set[UUID], context: RequestContext) -> Mapping[UUID, str]:
    rows = await context.find("users", {"id": sorted(user_ids)}) if user_ids else ()
    return {row["id"]: row["username"] for row in rows}


def _started(name: str, started: Settings) -> SettingView:
    value = str(getattr(started, name))
    source = "environment" if name in started.model_fields_set else "default"
    return SettingView(name=name, value=value, source=source, started=value)


def _changed(one: Override, started: Settings, names: Mapping[UUID, str]) -> SettingView:
    return SettingView(
        name=one.name,
        part=one.part,
        value=one.value,
        source="changed",
        started=str(getattr(started, one.name)),
        since=one.since,
        until=one.until,
        changed_by=names.get(one.user_id, str(one.user_id)),
        reason=one.reason,
    )
