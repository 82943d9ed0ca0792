"""Changes of settings while the platform runs. Rule: what cannot be done is refused with the names of what can."""

from datetime import timedelta

from pydantic import ValidationError

from patriot.domain.override import SETTINGS_ID
from patriot.runtime import discovery
from patriot.runtime.aggregates import SETTING
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.live_settings import LiveSettings
from patriot.runtime.problem import ProblemError
from patriot.runtime.settings import LIVE, Settings
from schemas.commands import ChangeSetting
from schemas.events import SettingChanged
from schemas.queries import SettingReceipt


async def change(command: ChangeSetting, context: RequestContext) -> SettingReceipt:
    """Here it holds with the answer, in other processes within a second."""
    _require_live(command.name)
    _require_part(command)
    _require_value(command, LiveSettings.of(context.runtime).started)

    async def propose() -> Proposal[SettingReceipt]:
        loaded = await context.load(SETTING, SETTINGS_ID)
        until = context.now() + timedelta(seconds=command.seconds) if command.seconds else None
        told = {name: getattr(command, name) for name in ("name", "value", "part", "reason")}
        event = SettingChanged(user_id=context.user.user_id, until=until, **told)
        return Proposal([Change(loaded, [event])], SettingReceipt(until=until, **told))

    receipt = await context.decide(propose)
    await LiveSettings.of(context.runtime).ask()
    return receipt


def _require_live(name: str) -> None:
    if name in LIVE:
        return
    others = f"what may change while the platform runs: {', '.join(LIVE)}"
    if name in Settings.model_fields:
        raise _refused("fixed_setting", "name", f"{name} is read at the start, PATRIOT_{name.upper()}; {others}")
    raise _refused("unknown_setting", "name", f"there is no setting {name}; {others}")


def _require_part(command: ChangeSetting) -> None:
    if command.part is None:
        return
    if not LIVE[command.name].by_part:
        raise _refused("invalid_setting", "part", f"{command.name} is the same in all parts")
    names = discovery.names()
    if command.part not in names:
        raise _refused("invalid_setting", "part", f"there is no part {command.part}; there are {', '.join(names)}")


def _require_value(command: ChangeSetting, started: Settings) -> None:
    if command.value is None:
        return
    try:
        started.changed({command.name: command.value})
    except ValidationError as error:
        raise _refused("invalid_setting", "value", f"{command.name}: {error.errors()[0]['msg']}") from None
    if command.name == "trace_share" and not started.otlp_endpoint:
        raise _refused("invalid_setting", "name", "traces go nowhere: PATRIOT_OTLP_ENDPOINT names no collector")


def _refused(code: str, field: str, rule: str) -> ProblemError:
    return ProblemError(422, code, rule, [(field, rule)])
