"""Every contract against its golden bytes: what a release wrote, every later one must read and write the same."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast_schemas import events, runs
from holdfast_schemas.errors import ContractViolated, Garbage, Undecodable, UnknownMajor, UnknownType, WrongKey
from holdfast_schemas.json_schemas import drifted
from holdfast_schemas.record import KeptRecord, Record
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode, encode

from .samples import SAMPLES, WORKER_EVENT

GOLDEN = Path(__file__).parent / "golden"
TOPICS = {topic.name: topic for topic in topics.CONTRACT_TOPICS}
CASES = [
    pytest.param(name, record, id=f"{name}-{type(record).__name__}")
    for name, records in SAMPLES.items()
    for record in records
]
KEY = b"orders-add-currency"
PROGRESS = next(r for r in SAMPLES["events"] if isinstance(r, events.ProgressReported))


@pytest.mark.parametrize("file", sorted((GOLDEN / "earlier").iterdir()), ids=lambda file: file.stem)
def test_what_an_earlier_minor_wrote_is_read(file: Path) -> None:
    golden = json.loads(file.read_text())
    record = decode(TOPICS[file.name.split(".")[0]], json.dumps(golden["value"]).encode(), golden["key"].encode())
    assert json.loads(record.model_dump_json()).items() >= golden["value"].items()


def test_every_type_of_every_topic_has_a_sample() -> None:
    assert {name: {type(r).__name__ for r in records} for name, records in SAMPLES.items()} == {
        name: set(topic.types) for name, topic in TOPICS.items()
    }


@pytest.mark.parametrize(("name", "record"), CASES)
def test_golden_bytes(name: str, record: Record) -> None:
    golden = json.loads((GOLDEN / f"{name}.{type(record).__name__}.json").read_text())
    encoded = encode(record, source="golden", traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    assert json.loads(encoded.value) == golden["value"]
    assert encoded.key.decode() == golden["key"]
    assert {k: v.decode() for k, v in encoded.headers} == golden["headers"]
    assert decode(TOPICS[name], json.dumps(golden["value"]).encode(), encoded.key) == record
    assert decode(TOPICS[name], encoded.value, encoded.key) == record


@pytest.mark.parametrize(("name", "record"), CASES)
def test_a_newer_minor_is_read_past(name: str, record: Record) -> None:
    value = {**json.loads(record.model_dump_json()), "schema_version": "1.7", "added_later": {"x": [1]}}
    read = decode(TOPICS[name], json.dumps(value).encode(), record.key().encode())
    assert type(read) is type(record)
    assert read.model_dump(exclude={"added_later"}) == record.model_dump() | {"schema_version": "1.7"}
    assert ("added_later" in json.loads(read.model_dump_json())) is isinstance(record, KeptRecord)


def test_json_schemas_have_not_drifted() -> None:
    assert drifted() == [], "run: python -m holdfast_schemas.json_schemas"


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(PROGRESS.model_dump_json()), **fields}).encode()


@pytest.mark.parametrize(
    ("value", "key", "error", "says"),
    [
        pytest.param(b"\x00\xff", KEY, Garbage, "not a JSON object", id="garbage bytes"),
        pytest.param(b"", KEY, Garbage, "not a JSON object", id="empty"),
        pytest.param(None, KEY, Garbage, "tombstone", id="tombstone"),
        pytest.param(b"[1]", KEY, Garbage, "a list", id="not an object"),
        pytest.param(b'{"type":"ProgressReported"', KEY, Garbage, "not a JSON object", id="cut off"),
        pytest.param(changed(schema_version="2.0"), KEY, UnknownMajor, "2.0", id="unknown major"),
        pytest.param(changed(schema_version="2.0", type="Novel"), KEY, UnknownMajor, "2.0", id="major before type"),
        pytest.param(changed(type="Novel"), KEY, UnknownType, "'Novel'", id="unknown type"),
        pytest.param(b"{}", KEY, UnknownType, "None", id="no type"),
        pytest.param(changed(rows_processed="12"), KEY, ContractViolated, 'found "12"', id="wrong type"),
        pytest.param(changed(rows_processed=-1), KEY, ContractViolated, "greater than or equal to 0", id="negative"),
        pytest.param(changed(rows_processed=1.5), KEY, ContractViolated, "rows_processed", id="fraction"),
        pytest.param(changed(busy_seconds=float("nan")), KEY, Undecodable, "busy_seconds", id="NaN"),
        pytest.param(changed(busy_seconds=float("inf")), KEY, Undecodable, "busy_seconds", id="infinity"),
        pytest.param(changed(rows_processed=10**30), KEY, ContractViolated, "rows_processed", id="huge"),
        pytest.param(changed(migration_id="~tick"), b"~tick", ContractViolated, "migration_id", id="our own key"),
        pytest.param(changed(run_id="run-1"), KEY, ContractViolated, "run_id", id="run_id is no UUID"),
        pytest.param(changed(occurred_at="2026-03-01T12:00:00"), KEY, ContractViolated, "occurred_at", id="no zone"),
        pytest.param(
            changed(batch_duration={"buckets": [1], "counts": []}), KEY, ContractViolated, "counts", id="sketch"
        ),
        pytest.param(changed(), None, WrongKey, "no key", id="no key"),
        pytest.param(changed(), b"another", WrongKey, "'another'", id="another key"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    value: bytes | None, key: bytes | None, error: type[Undecodable], says: str
) -> None:
    with pytest.raises(error) as refusal:
        decode(topics.events, value, key)
    assert says in str(refusal.value)


def test_records_are_frozen_and_strict() -> None:
    with pytest.raises(ValidationError):
        PROGRESS.rows_processed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        events.WorkerFinished(**{**WORKER_EVENT, "seq": "7"}, outcome="completed")


def test_optional_totals_may_be_zero_or_absent() -> None:
    for total in (0, None):
        assert decode(topics.events, changed(total_rows=total), KEY).total_rows == total  # type: ignore[union-attr]


def test_repeats_have_the_same_identity() -> None:
    left = next(r for r in SAMPLES["runs"] if isinstance(r, runs.WorkerLeft))
    assert left.identity() == left.model_copy().identity()
