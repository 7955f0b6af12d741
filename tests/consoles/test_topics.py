"""`topics create | check` on a real broker."""

import json
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient

from holdfast_schemas.transport.topics import all_topics
from tests.conftest import ADMIN_TIMEOUT_SECONDS, KafkaServer, TopicsOfATest
from tests.consoles.conftest import Holdfast

pytestmark = pytest.mark.kafka


@pytest.fixture
def prefix(kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[TopicsOfATest]:
    """A prefix without topics; those that a test makes are deleted after it."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topics = TopicsOfATest(admin, f"t{uuid.uuid4().hex[:10]}.", [])
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("HOLDFAST_KAFKA__TOPIC_PREFIX", topics.prefix.rstrip("."))
    yield topics
    here = [name for name in admin.list_topics(timeout=10).topics if name.startswith(topics.prefix)]
    for future in admin.delete_topics(here, operation_timeout=ADMIN_TIMEOUT_SECONDS).values() if here else ():
        future.result(ADMIN_TIMEOUT_SECONDS)


def test_create_makes_all_and_is_quiet_the_second_time(prefix: TopicsOfATest, holdfast: Holdfast) -> None:
    first, second, check = (holdfast("topics", *rest) for rest in (["create"], ["create", "--json"], ["check"]))
    everything = sorted(all_topics(prefix.prefix.rstrip(".")))
    assert (first.code, first.err) == (0, "")
    assert f"created {len(everything)} topics" in first.out
    assert json.loads(second.out) == {"created": [], "already_there": everything}
    assert (check.code, check.err) == (0, "")


def test_check_names_each_topic_that_is_wrong(
    prefix: TopicsOfATest, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix("events", config={"message.timestamp.type": "CreateTime", "cleanup.policy": "delete"})
    prefix("runs", partitions=4)
    prefix("metrics", config={"cleanup.policy": "delete,compact"})  # in another order: the same
    prefix("control", config={"cleanup.policy": "delete"})
    ran = holdfast("topics", "check")
    assert ran.code == 3
    for words in (
        "events: found message.timestamp.type CreateTime; needed LogAppendTime",
        "runs: found 4 partitions; needed 12",
        "control: found cleanup.policy delete; needed compact",
        "leases: found nothing; needed the topic",
    ):
        assert f"{prefix.prefix}{words}" in ran.err
    assert f"{prefix.prefix}metrics" not in ran.err

    as_json = holdfast("topics", "check", "--json")
    assert as_json.code == 3
    found = {problem["topic"].removeprefix(prefix.prefix) for problem in json.loads(as_json.out)}
    assert found == {name.removeprefix(prefix.prefix) for name in all_topics(prefix.prefix.rstrip("."))} - {"metrics"}

    monkeypatch.setenv("HOLDFAST_KAFKA__ALLOW_UNSTAMPED", "true")
    lenient = holdfast("topics", "check")
    assert "CreateTime" not in lenient.err
    assert f"{prefix.prefix}runs: found 4 partitions; needed the same number in all topics" in lenient.err


def test_a_broker_that_is_away_is_exit_5_in_one_sentence(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast_consoles.cli.topics.SECONDS", 3.0)
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    ran = holdfast("topics", "check")
    assert ran.code == 5
    assert ran.err.startswith("holdfast: no Kafka broker answered at 127.0.0.1:1")
    assert ran.err.count("\n") == 1
