"""Case 15: unsafe settings of components are found, with file and line, and nothing starts on them."""

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from patriot.runtime.dapr.backing import ALL, write_components
from patriot.runtime.dapr.components import ROOT, UnsafeComponents, judge, refuse_unsafe
from patriot.runtime.dapr.topics import TopicsWrong, _by_broker

ENVIRONMENTS = sorted(path for path in ROOT.iterdir() if path.is_dir())

UNSAFE = [
    ("production/kafka.yaml", "value: oldest", "value: newest", "initialOffset: newest"),
    ("production/kafka.yaml", "    - {name: initialOffset, value: oldest}\n", "", "initialOffset is not set"),
    (
        "production/kafka.yaml",
        '{name: consumeRetryEnabled, value: "true"}',
        '{name: consumeRetryEnabled, value: "false"}',
        "consumeRetryEnabled",
    ),
    (
        "production/kafka.yaml",
        "- {name: authType, value: none} # on a cluster",
        "# on a cluster",
        "authType is not set",
    ),
    ("production/rabbitmq.yaml", '{name: durable, value: "true"}', '{name: durable, value: "false"}', "durable: false"),
    ("production/rabbitmq.yaml", '    - {name: durable, value: "true"}\n', "", "durable is not set"),
    (
        "production/rabbitmq.yaml",
        '{name: deliveryMode, value: "2"}',
        '{name: deliveryMode, value: "1"}',
        "deliveryMode: 1",
    ),
    ("production/rabbitmq.yaml", '{name: autoAck, value: "false"}', '{name: autoAck, value: "true"}', "autoAck: true"),
    ("production/rabbitmq.yaml", '    - {name: publisherConfirm, value: "true"}\n', "", "publisherConfirm is not set"),
    (
        "production/rabbitmq.yaml",
        '{name: deletedWhenUnused, value: "false"}',
        '{name: deletedWhenUnused, value: "true"}',
        "deletedWhenUnused",
    ),
    (
        "production/rabbitmq.yaml",
        '{name: requeueInFailure, value: "true"}',
        '{name: requeueInFailure, value: "false"}',
        "requeueInFailure",
    ),
    (
        "production/nats.yaml",
        "{name: deliverPolicy, value: all}",
        "{name: deliverPolicy, value: new}",
        "deliverPolicy: new",
    ),
    ("production/nats.yaml", "{name: ackPolicy, value: explicit}", "{name: ackPolicy, value: none}", "ackPolicy: none"),
    (
        "production/nats.yaml",
        '{name: durableName, value: "{appID}"}',
        "{name: durableName, value: all}",
        "durableName: all",
    ),
    (
        "production/nats.yaml",
        "- {name: ackWait, value: 10s}",
        '- {name: maxDeliver, value: "3"}',
        "maxDeliver: 3",
    ),
    (
        "production/nats.yaml",
        "- {name: ackWait, value: 10s}",
        '- {name: memoryStorage, value: "true"}',
        "memoryStorage: true",
    ),
    ("production/nats.yaml", "concurrency, value: single", "concurrency, value: parallel", "concurrency: parallel"),
    ("production/redis.yaml", "{name: keyPrefix, value: name}", "{name: keyPrefix, value: appid}", "keyPrefix: appid"),
    ("production/postgresql.yaml", "    - {name: keyPrefix, value: name}\n", "", "keyPrefix is not set"),
    (
        "local/redis.yaml",
        "- {name: processingTimeout, value: 10s}",
        '- {name: maxLenApprox, value: "10"}',
        "maxLenApprox: 10",
    ),
    (
        "local/redis.yaml",
        "{name: redeliverInterval, value: 1s}",
        "{name: redeliverInterval, value: 0s}",
        "redeliverInterval: 0s",
    ),
    ("local/redis.yaml", "type: pubsub.redis", "type: pubsub.in-memory", "nothing crosses to another"),
    ("local/redis.yaml", "type: pubsub.redis", "type: pubsub.mqtt", "tried on"),
    ("local/redis.yaml", "metadata: {name: work}", "metadata: {name: works}", "no component `work`"),
    ("local/redis.yaml", "kind: Component", "kind: [", "is no YAML"),
    ("local/resiliency.yaml", "apiVersion: dapr.io", "a: 1\n---\napiVersion: dapr.io", "Dapr ignores it"),
    ("local/resiliency.yaml", ", maxRetries: 120", "", "maxRetries must be set"),
    ("local/resiliency.yaml", "maxRetries: 120", "maxRetries: -1", "maxRetries must be set"),
    (
        "local/resiliency.yaml",
        "inbound: {timeout: delivery, retry: delivery}",
        "inbound: {timeout: delivery}",
        "dead letter",
    ),
    (
        "local/resiliency.yaml",
        "retries:\n",
        "retries:\n      DefaultAppRetryPolicy: {policy: constant, maxRetries: 3}\n",
        "carried out",
    ),
    ("local/resiliency.yaml", "  targets:\n", "  targets:\n    apps:\n      auth: {retry: broker}\n", "carried out"),
]


def copied(environment: Path, folder: Path) -> Path:
    for path in environment.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.name)
def test_our_components_are_safe(environment: Path):
    assert judge(environment) == []


@pytest.mark.requirement("A6", "P4")
@pytest.mark.parametrize(("file", "safe", "unsafe", "told"), UNSAFE, ids=[one[3] for one in UNSAFE])
def test_unsafe_setting_is_refused_with_its_file_and_line(tmp_path: Path, file: str, safe: str, unsafe: str, told: str):
    path = copied(ROOT / Path(file).parent, tmp_path) / Path(file).name
    text = path.read_text()
    assert safe in text
    path.write_text(text.replace(safe, unsafe, 1))
    with pytest.raises(UnsafeComponents) as refused:
        refuse_unsafe(tmp_path)
    found = [finding for finding in refused.value.findings if told in finding.text]
    assert found, str(refused.value)
    assert str(tmp_path) in str(found[0])
    if unsafe and "no component" not in told and "no YAML" not in told:
        lines = path.read_text().splitlines()
        assert 1 <= found[0].line <= len(lines)


SHAPELESS = [
    ("kafka.yaml", "type: pubsub.kafka", "type: 5", 7, "spec.type: Expected `str`, got `int`"),
    ("nats.yaml", "{name: ackPolicy, value: explicit}", "{nam: ackPolicy, value: explicit}", 14, "field `name`"),
    ("nats.yaml", "{name: ackPolicy, value: explicit}", "{name: ackPolicy, value: [explicit]}", 14, "got `array`"),
    ("redis.yaml", "metadata: {name: state}", "metadata:", 4, "metadata: Expected `object`, got `null`"),
    ("redis.yaml", "apiVersion: dapr.io/v1alpha1\n", "- apiVersion: x\n---\n", 2, "is no Kubernetes object"),
    ("resiliency.yaml", "maxRetries: 3}", "maxRetries: few}", 15, "retries[...].maxRetries: Expected `int`"),
    ("resiliency.yaml", "  targets:", "  target:", 8, "spec: Object missing required field `targets`"),
]


@pytest.mark.requirement("P4")
@pytest.mark.parametrize("broken", SHAPELESS, ids=[one[4] for one in SHAPELESS])
def test_broken_document_is_refused_with_its_line(tmp_path: Path, broken: tuple[str, str, str, int, str]):
    file, right, wrong, line, told = broken
    path = copied(ROOT / "production", tmp_path) / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    found = [finding for finding in judge(tmp_path) if told in finding.text]
    assert [finding.line for finding in found] == [line], judge(tmp_path)


def test_file_that_cannot_be_read_is_told_alone(tmp_path: Path):
    path = copied(ROOT / "local", tmp_path) / "redis.yaml"
    path.write_text(path.read_text() + "  broken: [\n")
    assert [finding.path for finding in judge(tmp_path)] == [path]


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(UnsafeComponents, match="there is no folder .+/nowhere"):
        refuse_unsafe(tmp_path / "nowhere")
    (copied(ROOT / "local", tmp_path) / "secrets.yaml").unlink()
    assert [finding.text for finding in judge(tmp_path)] == ["there is no component `secrets`"]


def test_whatever_is_broken_is_told_and_nothing_else_happens(tmp_path: Path):
    """Any value of any document, replaced by something else: findings, or nothing; never another error."""
    dice = random.Random(20261121)
    for environment in ENVIRONMENTS:
        for file in environment.glob("*.yaml"):
            for _ in range(5):
                documents = list(yaml.safe_load_all(file.read_text()))
                number = dice.randrange(len(documents))
                documents[number] = spoil({"document": documents[number]}, dice)
                path = copied(environment, tmp_path) / file.name
                path.write_text(yaml.safe_dump_all(documents))
                assert all(str(finding) for finding in judge(tmp_path))
                with suppress(TopicsWrong):
                    list(_by_broker(tmp_path, {}))
        for path in tmp_path.glob("*.yaml"):
            path.unlink()


def spoil(holder: dict[str, Any], dice: random.Random) -> Any:
    """The document, with one of its values, at any depth, replaced."""
    places: list[tuple[Any, Any]] = []

    def walk(inside: Any) -> None:
        for key in list(inside) if isinstance(inside, dict) else range(len(inside)):
            places.append((inside, key))
            if isinstance(inside[key], dict | list):
                walk(inside[key])

    walk(holder)
    inside, key = dice.choice(places)
    inside[key] = dice.choice([None, [], {}, "x", 5, [None], ["x"], {"x": None}])
    return holder["document"]


def test_line_is_the_one_of_the_setting(tmp_path: Path):
    path = copied(ROOT / "production", tmp_path) / "kafka.yaml"
    path.write_text(path.read_text().replace("value: oldest", "value: newest", 1))
    (finding,) = judge(tmp_path)
    assert "value: newest" in path.read_text().splitlines()[finding.line - 1]
    assert str(finding).startswith(f"{path}:{finding.line}: initialOffset: newest")


def test_subscription_without_a_dead_letter_topic_is_refused(tmp_path: Path):
    copied(ROOT / "local", tmp_path)
    (tmp_path / "subscription.yaml").write_text(
        "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\n"
        "spec: {pubsubname: events, topic: order.events, routes: {default: /x}}\n"
    )
    (finding,) = judge(tmp_path)
    assert "deadLetterTopic" in finding.text
    assert finding.line == 4


@pytest.mark.parametrize("broker", ["nats", "kafka", "rabbitmq", ALL])
def test_components_of_one_broker_are_as_safe_as_productions(tmp_path: Path, broker: str):
    write_components(broker, tmp_path)
    assert judge(tmp_path) == []
