"""What a service's log shows of an error: where it came from, and none of the values that it quotes."""

import json
import logging
import sys
from typing import Any

import psycopg
import pytest

from holdfast_schemas.errors import BrokerUnreachable, UnknownType
from holdfast_schemas.logs import JsonFormatter

DETAIL = 'violates not-null constraint "actor"\nDETAIL:  Failing row contains (7, Ann Lee, ann@example.org).'
BAD = "bad mail 'ann@example.org'"  # a traceback shows lines of code, where no data stands


def logged(message: str, *arguments: object, exc_info: Any = None) -> dict[str, Any]:
    record = logging.LogRecord("holdfast.actuator", logging.ERROR, __file__, 1, message, arguments, exc_info)
    line: dict[str, Any] = json.loads(JsonFormatter("actuator").format(record))
    return line


def test_a_traceback_names_the_place_and_not_the_row() -> None:
    try:
        try:
            raise psycopg.errors.NotNullViolation(DETAIL)
        except psycopg.Error as cause:
            raise ValueError(BAD) from cause
    except ValueError:
        line = logged("intake failed", exc_info=sys.exc_info())
    assert "Ann" not in str(line)
    assert "ann@" not in str(line)
    assert "test_a_traceback_names_the_place_and_not_the_row" in line["traceback"]
    assert line["traceback"].startswith("Traceback (most recent call last):\n  File ")
    assert "builtins.ValueError: bad mail ?" in line["traceback"]
    assert 'psycopg.errors.NotNullViolation: violates not-null constraint "actor"' in line["traceback"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (psycopg.errors.NotNullViolation(DETAIL), 'violates not-null constraint "actor"'),
        (psycopg.OperationalError(""), "OperationalError"),
        (UnknownType("events", "ann@example.org"), "unknown-type"),
        (BrokerUnreachable("kafka:9092", 10.0), str(BrokerUnreachable("kafka:9092", 10.0))),
    ],
)
def test_an_error_in_a_message_is_one_line_of_its_text(error: Exception, shown: str) -> None:
    assert logged("the ledger is away: %s", error)["message"] == f"the ledger is away: {shown}"


def test_a_message_without_an_error_stands() -> None:
    assert logged("answering on http://%s:%s", "127.0.0.1", 80)["message"] == "answering on http://127.0.0.1:80"
