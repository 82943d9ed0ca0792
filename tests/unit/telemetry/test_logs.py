"""Each log line has the seven fields and no secret, whoever wrote it and whatever was said."""

import io
import json
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from patriot.telemetry.correlation import correlated, working_as
from patriot.telemetry.logs import FIELDS, Format, _Forward, configure_logs, get_logger, set_level
from patriot.telemetry.redaction import REDACTED

ID = "req_1763690171123_9f86d081"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(form: Format = "json", level: str = "info", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_logs(level=level, form=form, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.requirement("P16", "P15")
def test_line_has_exactly_the_seven_fields() -> None:
    stream = configured()
    with correlated(ID):
        get_logger("order-commands").info("order created", order_id=UUID(int=1), duration_ms=1.25)
    (line,) = lines(stream)
    assert tuple(line) == FIELDS
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "level": "info",
        "service": "order-commands",
        "correlation_id": ID,
        "message": "order created",
        "context": {"order_id": str(UUID(int=1))},
        "duration_ms": 1.25,
    }


@pytest.mark.requirement("P16")
def test_line_without_context_has_all_fields_too() -> None:
    stream = configured()
    get_logger("gateway").warning("slow")
    (line,) = lines(stream)
    assert tuple(line) == FIELDS
    assert (line["correlation_id"], line["context"], line["duration_ms"]) == ("", {}, None)


@pytest.mark.requirement("P16", "P15")
def test_line_names_who_works_unless_its_logger_says_otherwise() -> None:
    stream = configured()
    structlog.get_logger().info("before anybody works")
    with correlated(ID, "order-routing"), working_as("order-execution"):
        structlog.get_logger().info("sent")
        logging.getLogger("library").warning("slow")
        get_logger("venues").info("asked")
    assert [line["service"] for line in lines(stream)] == ["patriot", "order-execution", "order-execution", "venues"]


@pytest.mark.requirement("P16")
def test_secrets_never_reach_the_stream() -> None:
    for form in ("json", "console"):
        stream = configured(form)
        logger = get_logger("auth").bind(api_key="c4n4ry")
        logger.info("login password=c4n4ry", token="c4n4ry", nested=[{"secret": "c4n4ry"}])
        try:
            raise ValueError("signature=c4n4ry")
        except ValueError:
            password = "c4n4ry"  # noqa: F841  a pretty traceback would show local variables
            logger.exception("failed")
        logging.getLogger("ccxt").error("GET /order?signature=%s", "c4n4ry")
        assert "c4n4ry" not in stream.getvalue().replace('password = "c4n4ry"', "").replace('signature=c4n4ry")', "")
        assert stream.getvalue().count(REDACTED) >= 5


def test_exception_is_in_the_context_with_its_correlation_id() -> None:
    stream = configured()
    with correlated(ID):
        try:
            raise ZeroDivisionError("by nothing")
        except ZeroDivisionError:
            get_logger("risk").exception("failed")
    (line,) = lines(stream)
    assert (line["level"], line["correlation_id"]) == ("error", ID)
    assert line["context"]["exception"].endswith("ZeroDivisionError: by nothing")


def test_lower_levels_are_left_out() -> None:
    stream = configured(level="warning")
    get_logger("risk").info("no")
    logging.getLogger("library").info("no")
    get_logger("risk").error("yes")
    assert [line["message"] for line in lines(stream)] == ["yes"]


def test_library_lines_take_the_same_way() -> None:
    stream = configured()
    with correlated(ID):
        logging.getLogger("library").warning("%d left", 3)
        logging.getLogger("library").log(25, "a level of its own")
    first, second = lines(stream)
    assert tuple(first) == FIELDS
    assert (first["message"], first["correlation_id"], first["context"]) == ("3 left", ID, {"logger": "library"})
    assert (second["level"], second["message"]) == ("info", "a level of its own")


def test_library_line_with_wrong_arguments_is_written_as_it_is() -> None:
    stream = configured()
    record = logging.LogRecord("library", logging.ERROR, __file__, 1, "%d left", ("three",), None)
    next(handler for handler in logging.getLogger().handlers if isinstance(handler, _Forward)).emit(record)
    assert [line["message"] for line in lines(stream)] == ["%d left"]


def test_library_that_logs_every_call_is_quiet() -> None:
    stream = configured()
    logging.getLogger("httpx").info("HTTP Request: GET http://127.0.0.1/")
    assert not stream.getvalue()


def test_configuring_twice_writes_once() -> None:
    configured()
    stream = configured()
    logging.getLogger("library").warning("once")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("console", False, False)],
)
def test_auto_writes_for_people_on_a_terminal_only(form: Format, *, terminal: bool, is_json: bool) -> None:
    stream = configured(form, stream=Terminal() if terminal else io.StringIO())
    get_logger("gateway").info("hello", port=8000, duration_ms=2.0)
    text = stream.getvalue()
    assert text.startswith("{") == is_json
    if not is_json:
        assert "hello port=8000 2.0ms" in text
        assert ("\x1b[" in text) == terminal


def test_console_spells_control_characters_out() -> None:
    stream = configured("console")
    with correlated(ID):
        get_logger("gateway").info("a\x1b[2Jb\nc", path="x\ry")
    (line,) = stream.getvalue().splitlines()
    assert "a\\x1b[2Jb\\nc path=x\\ry" in line
    assert ID in line


any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary() | st.uuids() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=10,
)


@given(any_text, st.dictionaries(st.from_regex(r"x_[a-z]+", fullmatch=True), values))
def test_any_values_give_one_line_of_valid_json(message: str, context: dict[str, Any]) -> None:
    stream = configured()
    get_logger("fuzz").info(message, **context)
    (line,) = [json.loads(text) for text in stream.getvalue().split("\n") if text]
    assert tuple(line) == FIELDS
    assert line["context"].keys() == context.keys()


def test_text_that_is_no_unicode_is_written_all_the_same() -> None:
    stream = configured()
    get_logger("fuzz").info("a\ud800b", x="\udfff", y={"\ud800": 2**70})
    (line,) = lines(stream)
    assert (line["message"], line["context"]) == ("a?b", {"x": "?", "y": {"?": str(2**70)}})


def test_level_changes_for_loggers_that_were_made_before_and_for_libraries() -> None:
    stream, ours, theirs = configured(), structlog.get_logger(), logging.getLogger("ccxt.somewhere")

    def told() -> list[str]:
        for logger in (ours, theirs):
            logger.debug("in detail")
            logger.warning("in any case")
        found = [line["message"] for line in lines(stream)]
        stream.seek(0)
        stream.truncate()
        return found

    assert told() == ["in any case"] * 2
    set_level("debug")
    assert told() == ["in detail", "in any case"] * 2
    set_level("error")
    assert told() == []
