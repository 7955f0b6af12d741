"""An undo from the log, as `status` and `explain` show it: the worker may be dead, the actuator is at work."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast_consoles.cli.explain import told
from holdfast_consoles.cli.situation import Situation
from holdfast_consoles.cli.status import as_plain, lines
from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.record import now
from tests.consoles.test_board import one
from tests.consoles.test_status import like

SHOWN: list[tuple[dict[str, Any], str, str]] = [
    ({"state": "armed"}, "rolling back from the log", "it begins (as of 3 s ago)"),
    (
        {"state": "fencing"},
        "rolling back from the log",
        "the migration's role is being shut out (as of 3 s ago)",
    ),
    ({"state": "fenced"}, "rolling back from the log", "its rows are being read from the log (as of 3 s ago)"),
    (
        {"state": "undoing", "rows_undone": 1_200, "steps": 9, "steps_left": 4},
        "rolling back from the log",
        "its rows are being taken back: 1,200 so far, 4 of 9 steps left (as of 3 s ago)",
    ),
    (
        {"state": "undoing", "rows_undone": 0, "steps": 9, "steps_left": 9, "waits": "pid 7 holds a lock"},
        "rolling back from the log",
        "its rows are being taken back: 0 so far, 9 of 9 steps left (as of 3 s ago); it waits, and is tried again: pid 7"
        " holds a lock",
    ),
    (
        {"state": "undone", "rows_undone": 1_200},
        "rolled back from the log",
        "every row is taken back: 1,200 (as of 3 s ago)",
    ),
    (
        {"state": "armed", "refused": "public.orders was truncated"},
        "rollback from the log refused",
        "it cannot be taken back from the log: public.orders was truncated",
    ),
]


def undone(workers: str, outcome: str | None = None, **progress: Any) -> Situation:
    """A migration whose workers are in that state, and that an actuator takes back."""
    found = one("orders", "rollback", state=workers, outcome=outcome, workers_live=0)
    assert found.desired is not None
    recovery = Recovering(**progress, reported_at=now() - timedelta(seconds=3))
    return Situation("orders", found.metrics, like(found.desired, recovery=recovery), found.guard)


@pytest.mark.parametrize("workers", ["running", "dead"])
@pytest.mark.parametrize(("progress", "state", "sentence"), SHOWN, ids=[str(row[0]["state"]) for row in SHOWN])
def test_how_far_it_is_whatever_the_workers_last_said(
    workers: str, progress: dict[str, Any], state: str, sentence: str
) -> None:
    found = undone(workers, **progress)
    assert found.state() == state
    assert ("recovery", sentence) in lines(found)
    assert as_plain(found)["desired"].recovery.state == progress["state"]
    assert f"From the log: {sentence}." in " ".join(told(found, [], []))


def test_what_is_over_or_wanted_otherwise_is_not_recovered() -> None:
    assert undone("finished", state="undone", outcome="rolled_back").recovery is None
    other = undone("running", state="undone")
    assert other.desired is not None
    paused = Situation("orders", other.metrics, like(other.desired, desired="pause"), other.guard)
    assert paused.recovery is None
    assert paused.state() == "running, pause requested"


def test_a_run_that_completed_is_taken_back_in_its_watch_window() -> None:
    found = undone("finished", outcome="completed", state="undoing", rows_undone=10, steps=2, steps_left=1)
    assert found.over
    assert found.state() == "rolling back from the log"
    assert "recovery" in dict(lines(found))
    assert told(found, [], [])[0].startswith("orders#7 is rolling back from the log.")
