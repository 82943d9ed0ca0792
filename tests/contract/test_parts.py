"""What every function and feed keeps to. Parametrised over what is discovered: a new part is tested as it is added."""

import asyncio
import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import orjson
import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent as SdkEvent
from cloudevents.http import from_http

from patriot.runtime import asgi, discovery
from patriot.runtime.cloudevent import CONTENT_TYPE, CloudEvent, InvalidCloudEvent, encode, from_recorded, receive
from patriot.runtime.embedded import Host
from patriot.runtime.function import OTHER_TYPES, PUBLIC_PREFIX, Context, Feed, Function, SecuredRoute
from patriot.runtime.ports import Response
from patriot.store.api import Origin, RecordedEvent, StreamId
from schemas.events import EVENTS, UserRegistered
from schemas.reports import REPORTS
from schemas.topics import DEAD_LETTER_SUFFIX, TOPIC_OF, TOPICS, USER_EVENTS
from schemas.upcasters import decode_event
from tests.support.host import running_host
from tests.unit.schemas.write_golden import golden_path

FUNCTIONS, FEEDS = discovery.functions(), discovery.feeds()
PARTS: list[Function] = [*FUNCTIONS, *FEEDS]
FOLDERS = {part.name: folder for folder, parts in (("functions", FUNCTIONS), ("feeds", FEEDS)) for part in parts}

PUBLIC = {
    ("POST", "/auth/token"),  # where a token comes from
    ("POST", "/auth/password/reset"),  # for who has no password; the one-time password is the proof
    ("POST", "/users"),  # where a user comes from
    ("GET", "/prices"),  # market data has no tenant
    ("GET", "/market/{instrument:path}/book"),  # the same
    ("GET", "/market/{instrument:path}/bars"),
    ("GET", "/market/{instrument:path}/status"),
    ("GET", "/risk/rules"),  # the platform's own text
    ("GET", "/analytics/statistics"),  # the same
}
"""The routes that a caller without a token may use. A new one is a decision: add it here, with its reason."""

every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)


@every_part
def test_name_is_the_folder_with_dashes(part: Function):
    folder = FOLDERS[part.name] + "." + part.name.replace("-", "_")
    module = importlib.import_module(folder + ".app")
    assert (getattr(module, "function", None) or module.feed) is part
    assert module.app is part.app
    assert isinstance(part, Feed) == folder.startswith("feeds.")


def test_every_folder_with_an_app_is_discovered():
    root = Path(__file__).parents[2]
    found = {path.parent.name for kind in ("functions", "feeds") for path in (root / kind).glob("*/app.py")}
    assert found == {part.name.replace("-", "_") for part in PARTS}
    assert len(PARTS) == len(found)


@every_part
def test_subscriptions_and_table_of_topics_agree(part: Function):
    subscribed = {subscription.topic.name for subscription in part.subscriptions}
    listed = {topic.name for topic in TOPICS.values() if part.name in topic.consumers}
    assert subscribed == listed, "schemas/topics.py names each topic's consumers"


@every_part
def test_publications_are_in_the_table_of_topics(part: Function):
    for event in part.publishes:
        assert part.name in TOPIC_OF[event.TYPE].publishers, f"{event.TYPE}: see schemas/topics.py"


def test_every_event_and_report_has_one_topic():
    travelling = [name for topic in TOPICS.values() for name in topic.types]
    assert len(travelling) == len(set(travelling))
    assert set(EVENTS) | set(REPORTS) <= set(travelling)


def test_every_event_has_a_publisher_that_says_so():
    told = {event.TYPE for part in PARTS for event in part.publishes}
    missing = {name for name in EVENTS if name not in told and TOPIC_OF[name].publishers}
    assert missing <= NOT_YET, f"nobody publishes {missing - NOT_YET}"


NOT_YET: set[str] = set()
"""Events whose publisher is not built yet. An entry without need is a failure of the next test."""


def test_list_of_events_without_publisher_is_no_longer_than_needed():
    assert NOT_YET.isdisjoint({event.TYPE for part in PARTS for event in part.publishes})


@every_part
def test_one_handler_per_type(part: Function):
    paths = [subscription.path for subscription in part.subscriptions]
    assert len(paths) == len(set(paths))


# HTTP


async def ask(host: Host, part: Function, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    return await asgi.request(host.edges[part.name], method, path, sent, body)


def hosting(*parts: Function) -> Any:
    return running_host(feeds=[part.name for part in parts if isinstance(part, Feed)])


@every_part
@pytest.mark.requirement("C3")
async def test_health_answers_without_a_token(part: Function):
    async with hosting(part) as host:
        answer = await ask(host, part, "GET", "/healthz")
        assert (answer.status, orjson.loads(answer.body)) == (200, {"status": "ok"})


@every_part
@pytest.mark.requirement("C3", "A6")
async def test_dapr_learns_the_subscriptions(part: Function):
    async with hosting(part) as host:
        answer = await ask(host, part, "GET", "/dapr/subscribe")
        told = orjson.loads(answer.body)
        assert [one["topic"] for one in told] == list(dict.fromkeys(each.topic.name for each in part.subscriptions))
        for one in told:
            assert one["pubsubname"] == TOPICS[one["topic"]].pubsub
            assert one["deadLetterTopic"] == one["topic"] + DEAD_LETTER_SUFFIX
            assert set(one) == {"pubsubname", "topic", "deadLetterTopic", "routes"}
            assert one["routes"]["default"] == OTHER_TYPES
            for rule in one["routes"]["rules"]:
                kind = rule["match"].removeprefix('event.type == "').removesuffix('"')
                assert rule["match"] == f'event.type == "{kind}"'
                assert kind in TOPICS[one["topic"]].types
                assert rule["path"] == f"/events/{one['topic']}/{kind}"


@every_part
@pytest.mark.requirement("P14")
async def test_events_are_taken_from_the_platform_only(part: Function):
    async with hosting(part) as host:
        for subscription in part.subscriptions:
            assert (await ask(host, part, "POST", subscription.path, b"{}")).status == 403
            assert (await asgi.request(host.public, "POST", subscription.path, {}, b"{}")).status == 404
            poison = await ask(
                host, part, "POST", subscription.path, b"{}", **host.runtime.access.service_headers("broker", part.name)
            )
            assert orjson.loads(poison.body) == {"status": "DROP"}


@every_part
@pytest.mark.requirement("P14")
def test_every_route_says_what_it_needs(part: Function):
    for route in (*part.router.routes, *part.internal.routes):
        assert isinstance(route, SecuredRoute), route.path
        (method,) = route.methods
        assert (route.needs is None) == ((method, route.path) in PUBLIC), f"{method} {route.path}"


def test_list_of_public_routes_is_no_longer_than_needed():
    existing = {(method, route.path) for part in PARTS for route in part.router.routes for method in route.methods}
    assert existing >= PUBLIC


@every_part
@pytest.mark.requirement("A5")
def test_every_command_that_makes_something_takes_an_idempotency_key(part: Function):
    natural = {"/auth/token", "/users", "/risk/checks"}  # repeating these changes nothing
    natural |= {"/auth/logout", "/auth/password"}  # nor these; and no answer with a secret in it is kept
    natural |= {"/auth/password/reset", "/tenant-users/{user_id}/password-reset"}
    natural |= {"/risk/limits/{scope}", "/risk/tenant-limits/{scope}", "/risk/platform-limits"}
    for route in part.router.routes:
        if route.methods & {"POST", "PATCH", "DELETE"} and route.path not in natural:
            assert route.idempotent, route.path


def test_public_routes_of_two_parts_do_not_collide():
    routes = [(method, route.path) for part in PARTS for route in part.router.routes for method in route.methods]
    assert len(routes) == len(set(routes))


@every_part
def test_routes_are_documented(part: Function):
    for route in part.router.routes:
        assert route.description, f"{route.path} has no docstring"


# CloudEvents, as the official SDK reads and writes them


def recorded(kind: str) -> RecordedEvent:
    event = EVENTS[kind]
    origin = Origin(UUID(int=1), "user:ada", "req_1_0123abcd", "cause:1")
    return RecordedEvent(
        StreamId(UUID(int=1), event.STREAM, UUID(int=2)),
        3,
        kind,
        event.SCHEMA,
        golden_path(event, event.SCHEMA).read_bytes().strip(),
        datetime(2024, 8, 8, 12, 30, 0, 123456, tzinfo=UTC),
        origin,
    )


every_event = pytest.mark.parametrize("kind", sorted(EVENTS))


@every_event
@pytest.mark.requirement("C5", "C3")
def test_sdk_reads_what_the_platform_sends(kind: str):
    sent = from_recorded(recorded(kind), "user-1")
    read = from_http({"content-type": CONTENT_TYPE}, encode(sent))
    attributes = read.get_attributes()
    for name in ("id", "source", "type", "subject", "tenantid", "correlationid", "causationid", "actor"):
        assert attributes[name] == getattr(sent, name)
    assert attributes["specversion"] == "1.0"
    assert attributes.get("datacontenttype", "application/json") == "application/json"
    assert datetime.fromisoformat(attributes["time"]) == sent.time
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in attributes)
    assert read.data == orjson.loads(bytes(sent.data))


@every_event
@pytest.mark.requirement("C5", "C3")
@pytest.mark.parametrize("conversion", [to_structured, to_binary])
def test_platform_reads_what_the_sdk_sends(kind: str, conversion: Any):
    sent = from_recorded(recorded(kind), "user-1")
    headers, body = conversion(sdk_event(sent))
    read = receive(headers, body)
    names = set(CloudEvent.__struct_fields__) - {"data"}
    assert {name: getattr(read, name) for name in names} == {name: getattr(sent, name) for name in names}
    assert decode_event(read.type, read.schemaversion, bytes(read.data)) == decode_event(
        sent.type, sent.schemaversion, bytes(sent.data)
    )


def sdk_event(event: CloudEvent) -> SdkEvent:
    attributes = {name: str(getattr(event, name)) for name in CloudEvent.__struct_fields__ if name != "data"}
    attributes["time"] = event.time.isoformat()
    return SdkEvent(attributes, orjson.loads(bytes(event.data)))


@pytest.mark.requirement("C5")
@pytest.mark.parametrize("conversion", [to_structured, to_binary])
async def test_delivery_in_both_http_modes_reaches_the_handler(conversion: Any):
    got: list[Any] = []
    part = Function("probe")

    @part.on(USER_EVENTS, UserRegistered)
    async def handle(event: UserRegistered, context: Context) -> None:
        got.append((event, context.origin))

    sent = from_recorded(recorded(UserRegistered.TYPE), "")
    headers, body = conversion(sdk_event(sent))
    async with running_host() as host:
        host.edges["probe"] = type(host.edges["auth"])(part.app, host.runtime, "auth")
        token = host.runtime.access.service_headers("broker", "auth")
        answer = await asgi.request(
            host.edges["probe"], "POST", part.subscriptions[0].path, {**headers, **token}, bytes(body)
        )
    assert orjson.loads(answer.body) == {"status": "SUCCESS"}
    assert got == [(decode_event(sent.type, 1, bytes(sent.data)), sent.origin)]


@pytest.mark.parametrize(
    "changes",
    [
        {"ce-specversion": "0.3"},
        {"ce-id": ""},
        {"ce-time": "yesterday"},
        {"ce-streamversion": "third"},
        {"ce-source": None},
        {"content-type": "text/plain"},
        {"ce-type": None},
    ],
)
def test_binary_event_with_a_broken_attribute_is_refused(changes: dict[str, str | None]):
    headers, body = to_binary(sdk_event(from_recorded(recorded(UserRegistered.TYPE), "")))
    broken = {name: value for name, value in {**headers, **changes}.items() if value is not None}
    with pytest.raises(InvalidCloudEvent):
        receive(broken, body)


def test_binary_attributes_are_percent_decoded():
    headers, body = to_binary(sdk_event(from_recorded(recorded(UserRegistered.TYPE), "")))
    assert receive({**headers, "ce-actor": "user:%C3%A4da"}, body).actor == "user:äda"


def test_attributes_of_others_are_passed_over():
    sent = from_recorded(recorded(UserRegistered.TYPE), "")
    fields = orjson.loads(encode(sent)) | {"pubsubname": "pubsub", "traceid": "1", "topic": "user.events"}
    assert msgspec.structs.replace(receive({}, orjson.dumps(fields)), data=sent.data) == sent


async def test_two_hosts_in_one_process_serve_the_same_parts():
    async with running_host() as one, running_host() as two:
        await asyncio.sleep(0)
        assert one.runtime is not two.runtime
        for host in (one, two):
            answer = await asgi.request(host.public, "GET", PUBLIC_PREFIX + "/prices")
            assert answer.status == 200
