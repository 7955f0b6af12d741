"""Protocol 22: a right log is verified; a changed record or a mutated engine is found out."""

from collections.abc import Callable, Iterator

import pytest

from holdfast_processors.engine import panes, readings, runs
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.records import LogRecord
from holdfast_processors.engine.state import Migration
from holdfast_processors.verify import Verification, verify_log
from holdfast_schemas import actions
from holdfast_schemas.decisions import Decision
from holdfast_schemas.events import ProgressReported
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.record import from_milliseconds

from .a_log import START_MS, Log, judge

Published = tuple[list[Decision], list[MigrationMetrics]]


def a_busy_log() -> Log:
    """Two workers; a rate of exactly 0.05, then 0.15, then an old burst that leaves the window."""
    log = Log()
    log.tick()
    log.started(total_rows=100_000)
    log.started(worker=2, total_rows=100_000)
    log.progress(0)
    log.progress(0, worker=2)
    for _ in range(5):
        log.tick(1)
        log.progress(100, 5)
        log.progress(100, 5, worker=2)
    for second in range(70):
        log.tick(1)
        burst = second < 20
        log.progress(100 if burst else 1, 15 if burst else 0)
        log.progress(100 if burst else 1, 15 if burst else 0, worker=2)
    log.ticks(5)
    return log


def published(log: Log) -> Published:
    outputs = judge(log)[1]
    return [d for o in outputs for d in o.decisions], [m for o in outputs for m in o.metrics]


def action(
    decision: Decision, outcome: str = "noted", revision: int = 1, epoch: int | None = None
) -> actions.ActionRecorded:
    return actions.ActionRecorded.model_validate(
        {
            "cause_id": decision.decision_id,
            "cause_kind": "decision",
            "migration_id": decision.migration_id,
            "run_id": decision.run_id,
            "kind": decision.action,
            "outcome": outcome,
            "epoch": epoch,
            "actor": "policy",
            "revision": revision,
            "occurred_at": from_milliseconds(START_MS),
        },
        strict=False,
    )


def test_a_right_log_is_verified_whole() -> None:
    log = a_busy_log()
    decided, figures = published(log)
    result = verify_log(log.records, decided + decided[:2], figures, actions=[action(d) for d in decided])
    assert result.ok, result.faults
    assert result.counts["compared"] == len(decided) > 3
    assert result.counts["repeats"] == 2
    assert result.counts["figures"] == 1
    assert [s.judged for s in result.segments] == [True]


def test_partitions_may_come_interleaved() -> None:
    one, other = a_busy_log(), Log(partition=1)
    other.tick()
    other.started(migration="n")
    other.progress(0, migration="n")
    other.progress(200, 40, migration="n")
    other.ticks(5)
    decided = published(one)[0] + published(other)[0]
    mixed = sorted(one.records + other.records, key=lambda r: (r.offset, r.partition))
    assert verify_log(mixed, decided).ok
    assert len({d.tripped_by.partition for d in decided}) == 2


@pytest.mark.parametrize("what", ["missing", "extra", "different"])
def test_a_changed_record_is_a_fault(what: str) -> None:
    log = a_busy_log()
    decided = published(log)[0]
    changed = {
        "missing": decided[1:],
        "extra": [*decided, decided[0].model_copy(update={"decision_id": "0" * 32})],
        "different": [decided[0].model_copy(update={"k": 1}), *decided[1:]],
    }[what]
    result = verify_log(log.records, changed)
    assert [what in fault for fault in result.faults] == [True]


def test_what_is_not_watched_yet_may_be_missing() -> None:
    log = a_busy_log()
    decided = published(log)[0]
    first = decided[0].tripped_by.offset
    late = verify_log(log.records, [], until={0: first - 1})
    assert late.ok
    assert late.counts["pending"] == len(decided)
    assert not verify_log(log.records, [], until={0: first}).ok


def test_figures_that_differ_are_a_fault() -> None:
    log = a_busy_log()
    decided, figures = published(log)
    wrong = figures[-1].model_copy(update={"rows_processed": figures[-1].rows_processed + 1})
    assert "rows_processed" in verify_log(log.records, decided, [*figures[:-1], wrong]).faults[0]


def _or_equal() -> Iterator[tuple[object, str, object]]:
    yield readings, "OPS", {**readings.OPS, ">": lambda a, b: a >= b}


def _a_lost_worker() -> Iterator[tuple[object, str, object]]:
    whole = runs.progressed

    def deaf(state: object, migration: Migration, event: ProgressReported) -> object:
        return None if event.worker_id.endswith("2") else whole(state, migration, event)  # type: ignore[arg-type]

    yield runs, "progressed", deaf


def _a_pane_too_many() -> Iterator[tuple[object, str, object]]:
    whole = panes.Panes.total
    yield panes.Panes, "total", lambda self, now, count=12: whole(self, now, count + 1 if count == 12 else count)


def _a_pane_too_few() -> Iterator[tuple[object, str, object]]:
    whole = panes.Panes.total
    yield panes.Panes, "total", lambda self, now, count=12: whole(self, now, count - 1 if count == 12 else count)


MUTATIONS = [_or_equal, _a_lost_worker, _a_pane_too_many, _a_pane_too_few]
"""Engines that judge wrongly: each gives the places to patch and what to put there."""


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("consistent", [True, False], ids=["all decided by the mutant", "decided by the engine"])
def test_a_mutated_engine_is_found_out(
    monkeypatch: pytest.MonkeyPatch, mutation: Callable[[], Iterator[tuple[object, str, object]]], consistent: bool
) -> None:
    """Also where every recorded decision came from the mutant itself: the reference disagrees."""
    log = a_busy_log()
    decided = published(log)[0]
    assert verify_log(log.records, decided).ok
    for place, name, value in mutation():
        monkeypatch.setattr(place, name, value)
    if consistent:
        decided = published(log)[0]
    result: Verification = verify_log(log.records, decided, step=step)
    assert not result.ok


def test_a_truncated_log_is_a_segment_of_its_own() -> None:
    log = a_busy_log()
    cut = Log(offset=log.offset)
    cut.now = log.now
    cut.rules(1, *_default_triggers())
    cut.ticks(3)
    cut.seqs, cut.counters = log.seqs, log.counters
    cut.progress(500, 100)
    cut.started(migration="n")
    cut.progress(0, migration="n")
    cut.progress(500, 100, migration="n")
    cut.ticks(4)
    decided = published_of([*log.records, *cut.records])
    result = verify_log([*log.records[-3:], *cut.records], decided)
    assert result.ok, result.faults
    assert [s.judged for s in result.segments] == [False, True]
    assert result.counts["compared"] == 2  # those on n, whose beginning the log still holds
    assert result.counts["unjudged"] > 0


def published_of(records: list[LogRecord]) -> list[Decision]:
    return [d for output in judge(records)[1] for d in output.decisions]


def _default_triggers() -> tuple[object, ...]:
    from holdfast_schemas.triggers import DEFAULT_RULES

    return DEFAULT_RULES.triggers


def test_decisions_of_another_engine_version_are_named_not_judged() -> None:
    log = a_busy_log()
    decided = published(log)[0]
    old = [decided[0].model_copy(update={"engine_version": "0", "verdict": "as it was said then"}), *decided[1:]]
    result = verify_log(log.records, old)
    assert result.ok, result.faults
    assert [s.reason for s in result.segments if not s.judged] == ["decided by engine version 0; this is 2"]


def test_the_audit_finds_what_has_no_action_two_endings_and_falling_epochs() -> None:
    log = a_busy_log()
    decided = published(log)[0]
    trail = [action(d) for d in decided]
    assert verify_log(log.records, decided, actions=trail).ok
    assert "has no action" in verify_log(log.records, decided, actions=trail[1:]).faults[0]
    twice = [*trail, action(decided[0], "effective", revision=2)]
    assert "ended 2 times: noted, effective" in verify_log(log.records, decided, actions=twice).faults[0]
    falling = [action(decided[0], "effective", epoch=5), action(decided[1], "effective", epoch=4), *trail[2:]]
    assert "epoch 4 set after 5" in verify_log(log.records, decided, actions=falling).faults[0]
    again = [*trail[1:], action(decided[0], "effective", 2, 5), action(decided[0], "effective", 3, 5)]
    assert any("took effect 2 times" in fault for fault in verify_log(log.records, decided, actions=again).faults)
