"""What must be true of the ledger and of its topics after any number of kills, whoever died where."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import psycopg

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.states import FINAL_OUTCOMES
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end

from .fleet import Fleet


@dataclass
class Counts:
    """What the checks saw, for the record."""

    causes: int = 0
    repeats: int = 0
    lower_refused: int = 0
    epochs: int = 0


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, options="-c search_path=holdfast") as db:
        return db.execute(query).fetchall()  # type: ignore[arg-type]


def quiet(dsn: str, fleet: Fleet) -> bool:
    """Nothing is owed, every cause sent has its final outcome, and each runner holds what the ledger wants."""
    fleet.check()
    if rows(dsn, "SELECT 1 FROM outbox LIMIT 1"):
        return False
    states = dict(rows(dsn, "SELECT cause_id, state FROM action"))
    if any(states.get(cause) not in FINAL_OUTCOMES for cause in fleet.causes):
        return False
    epochs = dict(rows(dsn, "SELECT migration_id, epoch FROM migration"))
    return all(r.held is not None and r.held.epoch == epochs[r.migration_id] for r in fleet.runners.values())


def assert_nothing_lost_or_doubled(dsn: str, fleet: Fleet) -> Counts:
    """Every cause once, each outcome told, epochs rising without a gap and never shared, the last word the ledger's."""
    counts = Counts(causes=len(fleet.causes))
    ledger = {
        cause: (state, revision) for cause, state, revision in rows(dsn, "SELECT cause_id, state, revision FROM action")
    }
    missing = [cause for cause in fleet.causes if cause not in ledger]
    assert not missing, f"{len(missing)} of {len(fleet.causes)} causes are missing, {missing[:3]}"
    _audit_is_complete(fleet, ledger, counts)
    _epochs_rise(dsn, fleet, counts)
    return counts


def control_ends_with_the_ledger(dsn: str, fleet: Fleet) -> None:
    """The last word on control of each migration is the ledger's, and no epoch there has two meanings."""
    seen: dict[tuple[str, int], set[str]] = defaultdict(set)
    last: dict[str, int] = {}
    for received in read_to_end(fleet.kafka, topics.control):
        state = received.record
        seen[state.migration_id, state.epoch].add(state.model_dump_json(exclude={"answers", "occurred_at"}))
        last[state.migration_id] = state.epoch
    shared = [key for key, texts in seen.items() if len(texts) > 1]
    assert not shared, f"epochs with two meanings: {shared}"
    assert last == dict(rows(dsn, "SELECT migration_id, epoch FROM migration"))


def _audit_is_complete(fleet: Fleet, ledger: dict[str, tuple[str, int]], counts: Counts) -> None:
    told: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for received in read_to_end(fleet.kafka, topics.actions):
        record: ActionRecorded = received.record
        said = told[record.cause_id][record.revision]
        counts.repeats += bool(said)
        said.add(record.model_dump_json())
    for cause, (state, revision) in ledger.items():
        assert sorted(told[cause]) == list(range(1, revision + 1)), (
            f"{cause}: revisions {sorted(told[cause])} of {revision}"
        )
        for number, texts in told[cause].items():
            assert len(texts) == 1, f"{cause}: revision {number} was told in {len(texts)} ways"
        assert json.loads(next(iter(told[cause][revision])))["outcome"] == state
    assert not told.keys() - ledger.keys(), "outcomes of causes that the ledger does not know"


def _epochs_rise(dsn: str, fleet: Fleet, counts: Counts) -> None:
    seen: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    last: dict[str, int] = {}
    for received in read_to_end(fleet.kafka, topics.control):
        state = received.record
        epochs = seen[state.migration_id]
        if state.epoch not in epochs:
            assert not epochs or state.epoch == max(epochs) + 1, (
                f"{state.migration_id}: {state.epoch} after {max(epochs)}"
            )
        counts.repeats += state.epoch in epochs
        counts.lower_refused += state.epoch < last.get(state.migration_id, 0)
        epochs[state.epoch].add(state.model_dump_json(exclude={"answers", "occurred_at"}))  # an answer raises no epoch
        last[state.migration_id] = state.epoch
    for migration_id, epoch in rows(dsn, "SELECT migration_id, epoch FROM migration"):
        counts.epochs += len(seen[migration_id])
        assert sorted(seen[migration_id]) == list(range(1, epoch + 1)), f"{migration_id}: gaps before {epoch}"
        shared = [number for number, texts in seen[migration_id].items() if len(texts) > 1]
        assert not shared, f"{migration_id}: two states share epoch {shared}"
        assert last[migration_id] == epoch, (
            f"{migration_id}: control ends at {last[migration_id]}, the ledger has {epoch}"
        )
        runner = fleet.runners[migration_id]
        assert runner.obeyed == sorted(set(runner.obeyed))
        assert runner.held is not None
        assert runner.held.epoch == epoch
