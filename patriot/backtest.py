"""A strategy over recorded data, measured. Rule: it is a replay, so the code that trades is the code that is tested.

Worth, trips and statistics come from the same functions, over the same routes, as those of a live account.
"""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from patriot.replay import Progress, ReplayPlan, ReplayResult, Session, Source

SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Backtest:
    """`view` is what `GET /api/v1/analytics/performance` answered at the end."""

    result: ReplayResult
    view: Any


async def backtest(plan: ReplayPlan, progress: Progress = lambda _: None) -> Backtest:
    """Run the plan; the benchmark is the first instrument itself. Raises RecordingError."""
    plan = plan if plan.sample_seconds else replace(plan, sample_seconds=SAMPLE_SECONDS)
    source = Source(plan.files, plan.instruments, progress)
    session = Session(plan, source.instruments, source.started_at)
    await session.start()
    try:
        messages = await session.play(source)
        given = {"since": source.started_at.isoformat(), "benchmark": source.instruments[0].id}
        view = await session.ask("analytics-queries", "/api/v1/analytics/performance?" + urlencode(given))
        return Backtest(await session.result(source.frames, messages), view)
    finally:
        await session.stop()
