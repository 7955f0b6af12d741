"""A runner on a real Kafka, for tests: topics, a scripted ledger, what reached the log, and a process of its own."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import Reporter
from holdfast_schemas.events import ProgressReported
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.ledger import ScriptedLedger
from tests.producers.settings import quick
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kafka_settings(kafka: Any, kafka_topics: Any) -> KafkaSettings:
    names = kafka_topics("events", "runs", "control", "leases").values()
    wait_for(
        lambda: set(names) <= set(kafka_topics.admin.list_topics(timeout=10).topics),
        30,
        "the broker to know the topics",
    )
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=kafka_topics.prefix.rstrip("."))


@pytest.fixture
def ledger(kafka_settings: KafkaSettings) -> Iterator[ScriptedLedger]:
    with ScriptedLedger(kafka_settings, "m") as scripted:
        yield scripted


def reporter(kafka: KafkaSettings, **changes: Any) -> Reporter:
    return Reporter(quick(kafka, **changes))


def events(kafka: KafkaSettings, kind: type[Any] = ProgressReported) -> list[Any]:
    return [one.record for one in read_to_end(kafka, topics.events) if isinstance(one.record, kind)]


CHILD = """
import logging, os, sys, time
from holdfast import Reporter
from tests.producers.settings import quick
from holdfast_schemas.transport.security import KafkaSettings
kafka = KafkaSettings(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2])
"""


def process(code: str, kafka: KafkaSettings, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    program = CHILD + textwrap.dedent(code)
    arguments = [sys.executable, "-c", program, kafka.bootstrap_servers, kafka.topic_prefix]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=seconds, cwd=ROOT)
