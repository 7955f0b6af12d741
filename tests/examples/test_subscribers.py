"""The examples of a subscriber, in two languages, on a real Kafka: every decision once, and on from there after a restart."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from holdfast_schemas.json_schemas import generated
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.schemas.samples import SAMPLES
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(180)
EXAMPLES = Path(__file__).parents[2] / "examples"
DECISION = SAMPLES["decisions"][0]
Argv = Callable[[KafkaSettings], list[str]]


def npm_install(folder: Path, *packages: str) -> None:
    """Packages from the registry; skips where node, npm or the registry is not there."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node and npm on PATH")
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", *packages],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        pytest.skip(f"npm install failed: {done.stderr[-300:]}")


@pytest.fixture(params=["python", "node"])
def subscriber(request: pytest.FixtureRequest, tmp_path: Path) -> Argv:
    if request.param == "python":
        return lambda kafka: [sys.executable, str(EXAMPLES / "subscribe.py"), "printer"]
    folder = shutil.copytree(EXAMPLES / "subscribe-node", tmp_path / "subscriber")
    npm_install(folder)
    return lambda kafka: [
        "node", str(folder / "subscribe.mjs"), kafka.bootstrap_servers,
        topics.decisions.full_name(kafka.topic_prefix), f"{kafka.topic_prefix}-printer",
    ]  # fmt: skip


@pytest.fixture
def publisher(kafka_settings: KafkaSettings) -> Iterator[Publisher]:
    with Publisher(kafka_settings, "test") as publisher:
        yield publisher


def publish(publisher: Publisher, names: list[str]) -> None:
    for name in names:
        publisher.publish(topics.decisions, DECISION.model_copy(update={"migration_id": name}))
    publisher.flush()


def printed(argv: list[str], kafka: KafkaSettings, log: Path, count: int) -> list[str]:
    """What it prints until ``count`` lines stand there; it ends in order at SIGTERM."""
    env = os.environ | {
        "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "HOLDFAST_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
    }
    with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=subprocess.PIPE, env=env) as process:
        try:
            wait_for(lambda: log.read_text().count("\n") >= count, 90, f"{count} decisions in {log.name}", 0.2)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, process.stderr.read().decode() if process.stderr else ""
    return log.read_text().splitlines()


@pytest.mark.kafka
def test_every_decision_once_and_on_after_a_restart(
    subscriber: Argv, kafka_settings: KafkaSettings, publisher: Publisher, tmp_path: Path
) -> None:
    first, second = [f"m{n}" for n in range(5)], [f"n{n}" for n in range(4)]
    publish(publisher, first)
    lines = printed(subscriber(kafka_settings), kafka_settings, tmp_path / "first.log", 5)
    assert sorted(line.split("\t")[2] for line in lines) == first
    assert {tuple(line.split("\t")[3:]) for line in lines} == {
        (DECISION.action, DECISION.trigger_id, DECISION.verdict)  # type: ignore[attr-defined]
    }
    publish(publisher, second)
    again = printed(subscriber(kafka_settings), kafka_settings, tmp_path / "second.log", 4)
    assert sorted(line.split("\t")[2] for line in again) == second


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """Each topic is there with its key, and each message's payload is the JSON Schema of that very record."""
    files = {name: json.loads(content) for name, content in generated().items()}
    channels = files["asyncapi.json"]["channels"]
    assert {channel["address"] for channel in channels.values()} == {t.full_name() for t in topics.CONTRACT_TOPICS}
    for topic in topics.CONTRACT_TOPICS:
        messages = channels[topic.name]["messages"]
        assert set(messages) == set(topic.types)
        for name, message in messages.items():
            assert message["bindings"]["kafka"]["key"]["type"] == "string"
            file, _, pointer = message["payload"]["schema"]["$ref"].removeprefix("./").partition("#/")
            schema = files[file]
            for part in filter(None, pointer.split("/")):
                schema = schema[part]
            assert set(schema["properties"]) == set(topic.types[name].model_fields)


def test_the_asyncapi_document_is_one(tmp_path: Path) -> None:
    """Against the schema that the AsyncAPI initiative publishes."""
    npm_install(tmp_path, "@asyncapi/specs@6.11.1")
    schema = json.loads((tmp_path / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())
    document = json.loads(generated()["asyncapi.json"])
    assert [error.message for error in Draft7Validator(schema).iter_errors(document)] == []
    assert not Draft7Validator(schema).is_valid({**document, "channels": {"decisions": {"address": 1}}})
