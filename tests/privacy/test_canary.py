"""A real loop over rows of one person: nothing of her is in a topic, the ledger, a log or the webhook."""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.redaction import MESSAGE_BYTES
from holdfast_schemas.transport import topics
from tests.actuators.receiver import Receiver, receiver
from tests.waiting import wait_for

from . import canary, careless, places

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300), pytest.mark.xdist_group("canary")]
STRANGER = "yolanda.strangercanary@mail.example"
PERSON = "asked by xaver-reasoncanary"
REASON = {"reason": ("reasoncanary",)}
FOREIGN = {"foreign": ("strangercanary",)}


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiver() as it:
        yield it


@pytest.fixture(scope="module")
def on(kafka: Any, hook: Receiver) -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.chmod(0o711)  # PostgreSQL's user must pass through it
    try:
        with stage(kafka.bootstrap_servers, folder, lambda line: None) as running:
            running.processes["actuator"].stop()
            running.start(
                "actuator", [*HOLDFAST, "actuator"], HOLDFAST_ACTUATOR__NOTIFY_URL=hook.url, HOLDFAST_LOG_LEVEL="DEBUG"
            )
            careless.lay_out(running.app_dsn)
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(on: Stage, which: str, **variables: str) -> ChildProcess:
    argv = [sys.executable, "-m", "tests.privacy.careless", which, on.app_dsn]
    return on.start(f"{which}-{len(on.processes)}", argv, PYTHONPATH=str(Path(__file__).parents[2]), **variables)


def ended(runner: ChildProcess) -> str:
    assert runner.wait(120) == 0, runner.log_tail()
    return runner.log_tail(1).strip()


def everywhere(on: Stage, hook: Receiver) -> dict[str, bytes]:
    found = {f"topic {name}": content for name, content in places.topics_of(on)}
    found |= {f"log {name}": content for name, content in places.logs_of(on)}
    return found | {"ledger": places.ledger_of(on), "webhook": places.webhook_of(hook)}


def leaks(content: dict[str, bytes], **kinds: Any) -> dict[str, set[str]]:
    return {place: kinds_found for place, c in content.items() if (kinds_found := canary.found(c, **kinds))}


def errors_on(events: bytes) -> list[dict[str, Any]]:
    return [json.loads(found) for found in re.findall(rb'\{[^{}]*"type":"ErrorReported"[^{}]*\}', events)]


def test_texts_are_off_by_default_and_nothing_of_the_person_is_anywhere(on: Stage, hook: Receiver) -> None:
    runners = [start(on, "loop"), start(on, "crash")]
    assert ended(runners[1]) == "InvalidTextRepresentation"
    assert ended(start(on, "backfill")) in {"completed", "rolled_back"}
    wait_for(lambda: hook.came, 60, "a notification")
    assert ended(runners[0]) == "RunStopped"  # it has no journal: the rollback is held
    pause = on.start("pause", [*HOLDFAST, "pause", "careless-backfill", "--reason", PERSON, "--actor", "ana@db-1"])
    pause.wait(60)
    content = everywhere(on, hook)
    assert leaks(content) == {}
    said = errors_on(content["topic events"])
    assert len({error["error_class"] for error in said}) > 8, said
    assert all(error["message"] is None for error in said)
    assert {"psycopg.errors.RaiseException", "psycopg.errors.InvalidTextRepresentation"} <= {
        e["error_class"] for e in said
    }
    for place in (
        "topic metrics",
        "topic decisions",
        "topic processor-changelog",
        "topic actions",
        "ledger",
        "webhook",
    ):
        assert b"careless-" in content[place], place  # the search looked at something
    kept = set(leaks(content, kinds=REASON))
    assert {"topic requests", "ledger"} <= kept  # what a person types is kept, by design
    assert not [place for place in kept if place.startswith("log ") and not place.startswith("log pause")]


def test_opted_in_texts_are_redacted_and_short_and_only_plain_words_pass(on: Stage, hook: Receiver) -> None:
    assert ended(start(on, "crash", HOLDFAST_REPORTER__MESSAGE_TEXTS="true")) == "InvalidTextRepresentation"
    loop = start(on, "watched", HOLDFAST_REPORTER__MESSAGE_TEXTS="true", HOLDFAST_MODE="observe")

    def texts() -> list[str]:
        events = dict(places.topics_of(on))["events"]
        return [error["message"] for error in errors_on(events) if error["message"] is not None]

    wait_for(lambda: len(set(texts())) >= 9, 60, "nine kinds of text", 0.5)
    loop.stop()
    assert max(len(text.encode()) for text in texts()) <= MESSAGE_BYTES
    assert any(canary.NAME in text for text in texts())  # a plain word is not known to be a name: docs/personal-data.md
    assert leaks(everywhere(on, hook)) == {"topic events": {"name"}}


def test_what_a_stranger_sends_stays_on_its_topic_and_the_dead_letters(on: Stage, hook: Receiver) -> None:
    producer = Producer(on.kafka.librdkafka())
    prefix = on.kafka.topic_prefix
    for topic in (topics.events, topics.runs, topics.requests, topics.decisions):
        refused = {"type": next(iter(topic.types)), "run_id": STRANGER, "migration_id": STRANGER, "kind": STRANGER}
        for value in (json.dumps(refused), json.dumps({"type": STRANGER}), STRANGER):
            producer.produce(topic.full_name(prefix), value.encode(), STRANGER.encode())
    assert producer.flush(30) == 0

    def letters() -> int:
        return dict(places.topics_of(on))["dead-letters"].count(b"holdfast_reason=")

    wait_for(lambda: letters() >= 12, 60, "the dead letters", 0.5)
    found = set(leaks(everywhere(on, hook), kinds=FOREIGN))
    assert found == {f"topic {topic}" for topic in ("events", "runs", "requests", "decisions", "dead-letters")}
