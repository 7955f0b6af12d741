"""Any kept state, repetition and batching of the same log gives the same decisions and state; the reference agrees."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_processors.engine import keeping
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.state import PARTITION_KEY, PartitionState
from holdfast_processors.replay import read_lines, replay, write_lines
from holdfast_processors.verify import verify_log

from .a_log import judge
from .random_logs import built, happenings

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def everything(state: PartitionState) -> dict[str, bytes | None]:
    return {key: keeping.encode(state, key) for key in (PARTITION_KEY, *sorted(state.migrations))}


@given(happenings)
@quick
def test_reference_and_engine_agree_and_verify_finds_nothing(happening: list[Any]) -> None:
    log = built(happening)
    _, outputs = judge(log)
    decided = [d for o in outputs for d in o.decisions]
    result = verify_log(log.records, decided, [m for o in outputs for m in o.metrics])
    assert result.faults == []
    assert result.counts["compared"] == len(decided)


@given(happenings, st.data())
@quick
def test_a_replay_from_any_kept_states_gives_the_same_decisions_and_state(
    happening: list[Any], data: st.DataObject
) -> None:
    """Killed at any record: the partition's record and position are older, each state is from anywhere in between."""
    records = built(happening).records
    killed = data.draw(st.integers(1, len(records)), label="killed after")
    committed = data.draw(st.integers(1, killed), label="partition kept after")
    kept: list[dict[str, tuple[int, bytes]]] = []
    state, before = PartitionState(0), []
    for record in records[:killed]:
        before.append([d.model_dump_json() for d in step(state, record).decisions])
        kept.append(
            {
                key: (keeping.offset_of(state, key), body)
                for key in (PARTITION_KEY, *state.migrations)
                if (body := keeping.encode(state, key)) is not None
            }
        )
    again = PartitionState(0)
    keeping.load(again, PARTITION_KEY, *kept[committed - 1][PARTITION_KEY])
    taken: dict[str, int] = {}
    for key in sorted({key for states in kept for key in states} - {PARTITION_KEY}):
        at = data.draw(st.integers(committed, killed), label=f"{key} kept after")
        if key in kept[at - 1]:
            keeping.load(again, key, *kept[at - 1][key])
            taken[key] = at
    whole_state, whole = judge(records)
    repeated = [step(again, record) for record in records[committed:]]
    assert everything(again) == everything(whole_state)
    for offset, output in enumerate(repeated, committed):
        found = [d.model_dump_json() for d in output.decisions]
        due = [d.model_dump_json() for d in whole[offset].decisions if offset >= taken.get(d.migration_id, 0)]
        assert found == due  # what the kept states already include was decided, and durable, before they were
        figures = [m.model_dump_json() for m in output.metrics]
        assert figures == [m.model_dump_json() for m in whole[offset].metrics if offset >= taken.get(m.migration_id, 0)]


@given(happenings)
@quick
def test_encode_load_encode_is_identity(happening: list[Any]) -> None:
    state, _ = judge(built(happening))
    again = PartitionState(0)
    for key, body in everything(state).items():
        assert body is not None
        keeping.load(again, key, keeping.offset_of(state, key), body)
    assert everything(again) == everything(state)


@given(happenings, st.data())
@quick
def test_worker_events_said_twice_change_nothing(happening: list[Any], data: st.DataObject) -> None:
    """A producer's retry: the same report again right behind itself (seq drops it)."""
    log = built(happening)
    at = data.draw(st.integers(0, len(log.records) - 1))
    once = [(d.trigger_id, d.k, d.n, d.verdict) for d in replay(log.records)]
    twice, shift = [], 0
    for index, record in enumerate(log.records):
        for _ in range(2 if index == at else 1):
            twice.append(type(record)(0, index + shift, record.timestamp, record.key, record.value))
            shift += 1
        shift -= 1
    assert [(d.trigger_id, d.k, d.n, d.verdict) for d in replay(twice)] == once


@given(happenings)
@quick
def test_recorded_lines_give_the_same_judgement(happening: list[Any]) -> None:
    records = built(happening).records
    assert list(read_lines(write_lines(records))) == records
