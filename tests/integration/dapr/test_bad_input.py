"""What is wrong behind a sidecar is named, and nothing runs on it."""

import subprocess
import sys
from pathlib import Path

import pytest

from patriot.cli.output import REFUSED, USAGE
from patriot.runtime.dapr import topics
from patriot.runtime.dapr.backing import backing, write_components
from patriot.runtime.dapr.daprd import Beside, Tokens, write_configuration
from patriot.runtime.dapr.processes import Fleet, NotReady
from patriot.runtime.dapr.topics import TopicsWrong
from tests.support.servers import broker, require

pytestmark = [pytest.mark.dapr, pytest.mark.requirement("P4", "A6")]


async def test_wrong_password_is_told_and_not_shown(tmp_path: Path):
    right = broker("rabbitmq")["PATRIOT_RABBITMQ"]
    write_components("rabbitmq", tmp_path)
    with pytest.raises(TopicsWrong, match="ACCESS_REFUSED") as refused:
        await topics.check(tmp_path, {"PATRIOT_RABBITMQ": right.replace("guest:guest", "guest:hunter2")})
    assert "hunter2" not in str(refused.value)


async def test_missing_topic_is_named(tmp_path: Path):
    require("nats")
    behind = backing("nats", tmp_path)
    async with Fleet(tmp_path) as brokers:
        await brokers.start(behind.programs)
        found = await topics.check(behind.resources, behind.environment)
        assert "NATS: no stream for order.events" in found
        await topics.prepare(behind.resources, behind.environment)
        assert await topics.check(behind.resources, behind.environment) == []


async def test_sidecar_that_cannot_reach_its_broker_ends_and_names_the_component(tmp_path: Path):
    resources, nobody = tmp_path / "components", "127.0.0.1:1"
    write_components("kafka", resources)
    environment = {"PATRIOT_KAFKA": nobody, "PATRIOT_REDIS": nobody}
    beside = Beside("probe", 0, [resources], write_configuration(tmp_path), Tokens("a", "b"), environment)
    with pytest.raises(NotReady, match=r"probe\.sidecar ended with 1(.|\n)*component events(.|\n)*connection refused"):
        async with Fleet(tmp_path) as sidecars:
            await sidecars.start([beside.program()])


MISSING = [
    ("redis", "daprd is not on this machine: build it with `make daprd`"),
    ("kafka", "Kafka is not on this machine: fetch it with `make brokers`"),
]


@pytest.mark.parametrize(("name", "told"), MISSING, ids=[one[0] for one in MISSING])
def test_missing_program_is_told_before_anything_starts(name: str, told: str, tmp_path: Path):
    environment = {"PATRIOT_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = up(tmp_path / "data", name, environment)
    assert done.returncode == REFUSED
    assert told in done.stderr + done.stdout
    assert not (tmp_path / "data" / "postgres").exists()


def test_unknown_broker_is_refused_with_those_that_there_are(tmp_path: Path):
    done = up(tmp_path / "data", "pulsar", {})
    assert done.returncode == USAGE
    for known in ("redis", "nats", "kafka", "rabbitmq", "all"):
        assert f"'{known}'" in done.stderr
    assert not (tmp_path / "data").exists()


def up(folder: Path, name: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    ports = {"PATRIOT_PORT": "0", "PATRIOT_VENUE_PORT": "0", "COLUMNS": "200"}
    command = [sys.executable, "-m", "patriot.cli.main", "--data-dir", str(folder), "up", "--dapr", "--plain"]
    return subprocess.run(
        [*command, "--broker", name], env={**ports, **environment}, capture_output=True, text=True, check=False
    )
