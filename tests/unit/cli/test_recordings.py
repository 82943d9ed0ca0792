"""`patriot replay`: the result in a few lines, and wrong arguments refused before anything is read."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from patriot import replay as replaying
from patriot.cli.output import REFUSED, UNSOUND, USAGE
from patriot.replay import ReplayPlan, ReplayResult
from tests.unit.cli.world import Terminal

RESULT = ReplayResult(
    frames=10,
    messages=12_345,
    orders=7,
    fills=5,
    statuses={"filled": 5, "cancelled": 2},
    events=42,
    event_hash="abcdef0123456789ffff",
    unbalanced={},
    realised_pnl=Decimal("-12.345"),
    fees=Decimal("1.5"),
    started_at=datetime(2024, 8, 8, 12, tzinfo=UTC),
    ended_at=datetime(2024, 8, 8, 13, tzinfo=UTC),
)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "recording.gz"
    path.write_bytes(b"no recording")
    return str(path)


def answer_with(result: ReplayResult, monkeypatch: pytest.MonkeyPatch) -> list[ReplayPlan]:
    plans = []

    async def replay(plan: ReplayPlan, progress: replaying.Progress) -> ReplayResult:
        plans.append(plan)
        progress(12)
        return result

    monkeypatch.setattr(replaying, "replay", replay)
    return plans


def test_replay_sums_up(terminal: Terminal, recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = answer_with(RESULT, monkeypatch)
    shown = terminal.run("replay", recording, "--seed", "7", "--parameters", '{"bar_seconds":2}').stdout
    assert "7 (2 cancelled, 5 filled), 5 fills" in shown
    assert "-12.34 realised, 1.50 fees" in shown
    assert "balanced" in shown
    assert (plans[0].seed, plans[0].parameters) == (7, {"bar_seconds": 2})
    told = terminal.json("replay", recording)
    assert (told["event_hash"], told["realised_pnl"]) == (RESULT.event_hash, "-12.345")


def test_replay_with_an_unbalanced_ledger_fails(
    terminal: Terminal, recording: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(ReplayResult(**{**_fields(RESULT), "unbalanced": {"USDT": Decimal(1)}}), monkeypatch)
    assert "USDT" in terminal.run("replay", recording, code=UNSOUND).stdout


def test_replay_of_what_is_no_recording_is_refused(terminal: Terminal, recording: str) -> None:
    assert "recording.gz" in terminal.run("replay", recording, code=REFUSED).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.gz",), "no such file: missing.gz"),
        (("--strategy", "magic"), "there is no strategy 'magic'; there are: "),
        (("--parameters", "{"), "--parameters is no JSON"),
        (("--parameters", "[]"), "must be a JSON object"),
    ],
)
def test_replay_refuses_wrong_arguments(terminal: Terminal, recording: str, words: tuple[str, ...], said: str) -> None:
    assert said in terminal.run("replay", recording, *words, code=USAGE).stderr
    assert terminal.json("replay", recording, *words, code=USAGE)["error"]


def _fields(result: ReplayResult) -> dict[str, object]:
    return {name: getattr(result, name) for name in ReplayResult.__dataclass_fields__}
