"""`dead-letters list`: headers and first bytes, whatever the bytes are."""

import json

import pytest

from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.topics import DEAD_LETTERS
from tests.consoles.conftest import Holdfast, Log

pytestmark = pytest.mark.kafka


def test_the_newest_letters_with_their_reasons(log: Log, holdfast: Holdfast) -> None:
    name = f"{log.kafka.topic_prefix}.{DEAD_LETTERS}"
    empty = holdfast("dead-letters", "list")
    assert (empty.code, empty.out) == (0, "0 dead letters\n")
    for n in range(3):
        with Publisher(log.kafka, "test") as publisher:
            headers = [("error", f"not a JSON object {n}".encode()), ("source_offset", b"42")]
            publisher.publish_bytes(name, b"k", b"\xff\xfe garbage" + b"." * 200, headers)
    ran = holdfast("dead-letters", "list", "--limit", "2")
    assert ran.code == 0
    assert "not a JSON object 0" not in ran.out
    assert ran.out.index("not a JSON object 1") < ran.out.index("not a JSON object 2")
    assert "\\xff\\xfe garbage" in ran.out
    assert "210 bytes" in ran.out
    shown = json.loads(holdfast("dead-letters", "list", "--json").out)
    assert [letter["headers"]["source_offset"] for letter in shown] == ["42"] * 3
    assert all(len(letter["beginning"]) < 120 for letter in shown)


def test_foreign_bytes_do_not_reach_the_terminal(log: Log, holdfast: Holdfast) -> None:
    with Publisher(log.kafka, "test") as publisher:
        value = "\x00\x1b[2J\x9b1m\r\nnaïve".encode()
        publisher.publish_bytes(f"{log.kafka.topic_prefix}.{DEAD_LETTERS}", b"k\x1b", value, [("error", b"\x07")])
    ran = holdfast("dead-letters", "list")
    assert ran.code == 0
    assert "\\x00\\x1b[2J\\x9b1m\\r\\nnaïve" in ran.out
    assert all(c.isprintable() for c in ran.out.replace("\n", ""))
