"""The benchmarks' own parts, with small numbers: nothing here is timed, only that what they print is what they measured."""

import json
from pathlib import Path

import pytest
from benchmarks.preload import reports
from benchmarks.rounds import Comparison, alternate, table, write

from benchmarks import reporter_cost, state_size
from holdfast_processors.engine.engine import step
from holdfast_processors.engine.records import LogRecord
from holdfast_processors.engine.state import PartitionState

pytestmark = pytest.mark.timeout(60)


def test_rounds_take_turns_and_the_order_changes() -> None:
    order: list[str] = []

    def side(name: str, value: float) -> dict[str, float]:
        order.append(name)
        return {"x": value}

    peer, ours = alternate(3, lambda: side("peer", 1.0), lambda: side("ours", 2.0), say=lambda line: None)
    assert order == ["peer", "ours", "ours", "peer", "peer", "ours"]
    assert (peer, ours) == ([{"x": 1.0}] * 3, [{"x": 2.0}] * 3)


def test_the_table_has_medians_and_the_machines_noise(tmp_path: Path) -> None:
    row = Comparison("a thing", "ms", "≤ 2", ours=[3.0, 1.0, 8.0], peer=[1.0, 1.0, 2.0])
    assert table([row]).splitlines()[2] == "| a thing | 3 (1 to 8) ms | 1 (1 to 2) ms | 3 (1 to 4) | ≤ 2 |"
    write(tmp_path / "found.json", [row])
    assert json.loads((tmp_path / "found.json").read_text())[0]["ours"] == [3.0, 1.0, 8.0]


def test_what_a_runner_pays_is_measured_on_both_sides() -> None:
    rows = reporter_cost.measure(rounds=2, batch_count=200, look_count=1000)
    assert [row.name for row in rows] == ["a batch", "a row", "checkpoint(), not paused"]
    assert all(value > 0 for row in rows for value in (*row.ours, *row.peer))


def test_states_are_full_when_they_are_weighed() -> None:
    state = PartitionState(0)
    state_size.fill(state, 12)
    assert len(state.migrations) == 12
    for migration in state.migrations.values():
        panes = migration.panes["60.0"]
        assert min(len(panes.counts), len(panes.sketches), len(panes.older)) >= 6  # a report each second pane


@pytest.mark.parametrize("sketch", [False, True])
def test_the_load_is_judged_and_trips_nothing(sketch: bool) -> None:
    state, outputs = PartitionState(0), []
    for offset, (key, value) in enumerate(reports(5, 500, sketch=sketch)):
        outputs.append(step(state, LogRecord(0, offset, 1_772_366_400_000 + offset * 10, key, value)))
    assert [o.rejected for o in outputs if o.rejected] == []
    assert [o.decisions for o in outputs if o.decisions] == []
    assert len(state.migrations) == 5
    assert {m.total_of("rows_attempted") for m in state.migrations.values()} == {50_000}
