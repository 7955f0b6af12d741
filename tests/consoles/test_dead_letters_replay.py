"""`dead-letters replay` on a real Kafka: where each letter goes, what is refused by name, and that nothing loops."""

import json
from typing import Any

import pytest
from confluent_kafka import Message

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.transport.dead_letter import dead_letter_headers
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import message_headers, messages_to_end
from holdfast_schemas.transport.topics import DEAD_LETTERS, Topic
from tests.consoles.conftest import PARTITIONS, Holdfast, Log
from tests.schemas.samples import SAMPLES

pytestmark = pytest.mark.kafka


class Letters:
    """Dead letters of one test, in partition 0, told apart from the module's other tests by their topic's offsets."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.prefix = log.kafka.topic_prefix

    def put(
        self,
        topic: Topic[Any] | str,
        key: bytes | None,
        value: bytes | None,
        *,
        stood: int = 2,
        own: list[tuple[str, bytes]] | None = None,
    ) -> str:
        """A dead letter as a service writes it; its PARTITION@OFFSET."""
        source = topic if isinstance(topic, str) else topic.full_name(self.prefix)
        with Publisher(self.log.kafka, "test") as publisher:
            headers = dead_letter_headers(source, stood, 41, 1_000, "unknown-major", "said then", own or [])
            publisher.publish_bytes(f"{self.prefix}.{DEAD_LETTERS}", key, value, headers, 0)
        return f"0@{self.read(DEAD_LETTERS)[-1].offset()}"

    def read(self, topic: Topic[Any] | str) -> list[Message]:
        name = topic if isinstance(topic, str) else topic.name
        return list(messages_to_end(self.log.kafka, f"{self.prefix}.{name}"))


@pytest.fixture
def letters(log: Log) -> Letters:
    return Letters(log)


def sample(name: str) -> Any:
    return next(one for of_topic in SAMPLES.values() for one in of_topic if type(one).__name__ == name)


def report(migration_id: str) -> Any:
    return sample("ProgressReported").model_copy(update={"migration_id": migration_id})


def test_a_letter_goes_back_as_it_came(letters: Letters, holdfast: Holdfast, migration_id: str) -> None:
    encoded = encode(report(migration_id), source="holdfast/runner", traceparent="00-ab-cd-01")
    own = [*encoded.headers, ("again", b"1"), ("again", b"\xff")]
    place = letters.put(topics.events, encoded.key, encoded.value, own=own)
    before = len(letters.read(topics.events))
    partition = partition_of(migration_id, PARTITIONS)

    shown = holdfast("dead-letters", "replay", place, "--dry-run")
    assert shown.code == 0
    target = f"{topics.events.full_name(letters.prefix)}-{partition}"
    assert (
        f"{place}  would go to {target}  key {migration_id}  ProgressReported, {len(encoded.value)} bytes" in shown.out
    )
    assert len(letters.read(topics.events)) == before, "a dry run sends nothing"

    ran = holdfast("dead-letters", "replay", place)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == shown.out.replace("would go to", "sent to")
    [message] = [m for m in letters.read(topics.events) if m.key() == encoded.key]
    assert (message.partition(), message.value()) == (partition, encoded.value)
    assert message_headers(message) == [
        *own,
        ("holdfast_replayed_from", f"{letters.prefix}.{DEAD_LETTERS}-{place}".encode()),
    ]


def test_what_has_a_partition_by_name_goes_to_that_one(letters: Letters, holdfast: Holdfast) -> None:
    encoded = encode(sample("TriggersApplied"))
    place = letters.put(topics.events, encoded.key, encoded.value, stood=2)
    ran = holdfast("dead-letters", "replay", place, "--json")
    assert ran.code == 0
    [one] = json.loads(ran.out)
    assert (one["partition"], one["sent"], one["type"]) == (2, True, "TriggersApplied")
    assert any(m.key() == encoded.key and m.partition() == 2 for m in letters.read(topics.events))


def test_what_cannot_be_read_is_refused_by_name_unless_forced(
    letters: Letters, holdfast: Holdfast, migration_id: str
) -> None:
    good = encode(report(migration_id))
    garbage = letters.put(topics.runs, migration_id.encode(), b"\xff not JSON\x1b[2J")
    strange = letters.put(topics.runs, b"other-key", b'{"type":"Novel"}')
    keyless = letters.put(topics.events, None, good.value, stood=1)
    fine = letters.put(topics.events, good.key, good.value)
    ran = holdfast("dead-letters", "replay", garbage, strange, keyless, fine)
    assert ran.code == 3
    assert "3 dead letters were not sent again" in ran.err
    assert f"{garbage}  refused: not a JSON object" in ran.out
    assert f"{strange}  refused: type 'Novel' is none of runs's" in ran.out
    assert f"{keyless}  refused: no key, expected '{migration_id}'" in ran.out
    assert f"{fine}  sent to" in ran.out, "what can be used is sent all the same"
    assert "\x1b" not in ran.out
    assert not [m for m in letters.read(topics.runs) if m.key() == migration_id.encode()]

    forced = holdfast("dead-letters", "replay", garbage, keyless, "--force")
    assert (forced.code, forced.err) == (0, "")
    [sent] = [m for m in letters.read(topics.runs) if m.key() == migration_id.encode()]
    assert sent.value() == b"\xff not JSON\x1b[2J"
    [without] = [m for m in letters.read(topics.events) if m.key() is None]
    assert (without.value(), without.partition()) == (good.value, 1)


@pytest.mark.parametrize("forced", [[], ["--force"]])
def test_beats_of_the_loop_and_foreign_records_are_never_sent(
    letters: Letters, holdfast: Holdfast, forced: list[str]
) -> None:
    """A lease that is sent again would guard a run that nobody guards."""
    beat = encode(sample("GuardLease"))
    lease = letters.put(topics.leases, beat.key, beat.value)
    watch = encode(sample("Watched"))
    watched = letters.put(topics.watches, watch.key, watch.value)
    foreign = letters.put("orders.payments", b"k", b"{}")
    nowhere = letters.put(topics.events, None, b"{}", stood=PARTITIONS)
    counts = [len(letters.read(topic)) for topic in (topics.leases, topics.watches)]
    ran = holdfast("dead-letters", "replay", lease, watched, foreign, nowhere, *forced)
    assert ran.code == 3
    assert ran.out.count("refused: it came from") == 3
    assert f"{nowhere}  refused: it names no partition of" in ran.out
    assert [len(letters.read(topic)) for topic in (topics.leases, topics.watches)] == counts


def test_one_that_is_not_there_is_named_and_nothing_is_sent(
    letters: Letters, holdfast: Holdfast, migration_id: str
) -> None:
    encoded = encode(report(migration_id))
    place = letters.put(topics.events, encoded.key, encoded.value)
    ran = holdfast("dead-letters", "replay", place, "0@999999", "11@0")
    assert ran.code == 4
    assert "no dead letter 0@999999, 11@0 (nothing was sent)" in ran.err
    assert not [m for m in letters.read(topics.events) if m.key() == encoded.key]


def test_all_of_a_topic_and_what_came_back_is_not_sent_by_itself(
    letters: Letters, holdfast: Holdfast, migration_id: str
) -> None:
    request = sample("PersonRequest")
    encoded = encode(request)
    letters.put(topics.requests, encoded.key, encoded.value)
    elsewhere = encode(report(migration_id))
    letters.put(topics.events, elsewhere.key, elsewhere.value)
    assert holdfast("dead-letters", "replay", "--all", "--topic", "requests").code == 0
    [sent] = letters.read(topics.requests)
    assert sent.value() == encoded.value
    assert not [m for m in letters.read(topics.events) if m.key() == elsewhere.key]
    # Its reader refuses it again: the letter of what was replayed is left out, and can be sent by name, under one header.
    back = letters.put(topics.requests, sent.key(), sent.value(), own=message_headers(sent))
    assert holdfast("dead-letters", "replay", "--all", "--topic", "requests").code == 0
    assert len(letters.read(topics.requests)) == 2
    assert holdfast("dead-letters", "replay", back).code == 0
    headers = message_headers(letters.read(topics.requests)[-1])
    assert [name for name, _ in headers].count("holdfast_replayed_from") == 1
    assert headers[-1][1].endswith(f"-{back}".encode())


@pytest.mark.parametrize("arguments", [[], ["0@1", "--all"], ["0:1"], ["@1"], ["1@"], ["-1@2"], ["0@\u00b2"]], ids=str)
def test_what_is_typed_wrongly_is_usage(log: Log, holdfast: Holdfast, arguments: list[str]) -> None:
    assert holdfast("dead-letters", "replay", *arguments).code == 2


@pytest.mark.long
def test_without_kafka_it_says_so(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    ran = holdfast("dead-letters", "replay", "--all")
    assert ran.code == 5
    assert "127.0.0.1:1" in ran.err
