"""Brokers that do not answer: told at once, by place and without credentials."""

from pathlib import Path

import pytest

from patriot.runtime.dapr import topics
from patriot.runtime.dapr.backing import write_components
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.topics import TopicsWrong

NOBODY = "127.0.0.1:1"
SECRET = "hunter2"
UNREACHABLE = [
    ("kafka", NOBODY, "Kafka"),
    ("nats", f"nats://user:{SECRET}@{NOBODY}", "NATS"),
    ("rabbitmq", f"amqp://user:{SECRET}@{NOBODY}", "RabbitMQ"),
]


@pytest.mark.requirement("P4", "A6")
@pytest.mark.parametrize("broker", UNREACHABLE, ids=[one[0] for one in UNREACHABLE])
async def test_broker_that_does_not_answer_is_named_at_once_without_its_password(
    broker: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    name, place, told = broker
    monkeypatch.setattr(topics, "CALL_SECONDS_MAX", 1)
    write_components(name, tmp_path)
    for ask in (topics.check, topics.prepare):
        with pytest.raises(TopicsWrong) as refused:
            await ask(tmp_path, {f"PATRIOT_{name.upper()}": place})
        assert str(refused.value).startswith(f"{told} at {NOBODY}: ")
        assert SECRET not in str(refused.value)
    assert not caplog.records


async def test_place_that_is_not_told_is_asked_for():
    with pytest.raises(TopicsWrong, match="brokers is not known here: set PATRIOT_KAFKA"):
        await topics.check(ROOT / "production", {})
