"""Alive, stuck, dead: told apart, each with its seconds, and never told from figures that are too old to know."""

# ruff: noqa: E501 - a table, a case a line

from datetime import timedelta
from typing import Any

import pytest

from holdfast_consoles.cli.liveness import liveness
from holdfast_consoles.cli.situation import Situation
from holdfast_schemas.record import now
from tests.consoles.test_board import guard, one


def seen(state: str, report: float | None, progress: float | None, old: float = 0.0, **changes: Any) -> Situation:
    found = one(state=state, seconds_since_report=report, seconds_since_progress=progress, **changes)
    assert found.metrics is not None
    held = guard()
    metrics = found.metrics.model_copy(update={"updated_at": held.at - timedelta(seconds=old)})
    return Situation(found.migration_id, metrics, found.desired, held)


@pytest.mark.parametrize(
    ("found", "verdict", "report", "progress", "sentence"),
    [
        (seen("running", 1.0, 3.0), "alive", 1, 3, "1 of 2 workers are heard, the last 1 s ago; a row moved 3 s of running time ago"),
        (seen("paused", 1.0, 400.0), "alive", 1, 400, "1 of 2 workers are heard, the last 1 s ago; a row moved 7 min of running time ago"),
        (seen("rolling_back", 1.0, 3.0), "alive", 1, 3, "1 of 2 workers are heard, the last 1 s ago; a row moved 3 s of running time ago"),
        (seen("stuck", 1.0, 75.0), "stuck", 1, 75, "1 of 2 workers are heard, the last 1 s ago, but no row moved for 75 s of running time"),
        (seen("dead", 42.0, 3.0, workers_live=0), "dead", 42, 3, "no worker was heard for 42 s"),
        (seen("dead", 42.0, 3.0, old=5, workers_live=0), "dead", 47, 3, "no worker was heard for 47 s"),
        (seen("running", 1.0, 3.0, old=600), "unknown", None, None, "its newest figures are 10 min old: is holdfast processor running?"),
        (seen("running", None, 0.0, workers=0, workers_live=0), "unknown", None, 0, "no worker has reported"),
        (seen("finished", None, 3.0, old=600, outcome="completed"), "over", None, 3, "completed"),
        (seen("stuck", None, None), "stuck", None, None, "1 of 2 workers are heard, the last some time ago, but no row moved for some time of running time"),
    ],
)  # fmt: skip
def test_a_verdict(found: Situation, verdict: str, report: float | None, progress: float | None, sentence: str) -> None:
    told = liveness(found)
    assert (told.verdict, told.seconds_since_report, told.seconds_since_progress) == (verdict, report, progress)
    assert told.sentence == f"{verdict}: {sentence}"


def test_figures_of_an_earlier_run_say_nothing_about_this_one() -> None:
    assert one().desired is not None
    again = Situation("orders", None, one().desired, guard())
    assert liveness(again).verdict == "unknown"
    assert liveness(Situation("orders", None, None, guard())).verdict == "unknown"


def test_a_clock_that_is_behind_makes_no_negative_age() -> None:
    found = seen("running", 1.0, 3.0)
    assert found.metrics is not None
    ahead = found.metrics.model_copy(update={"updated_at": now() + timedelta(minutes=5)})
    told = liveness(Situation("orders", ahead, found.desired, found.guard))
    assert (told.verdict, told.seconds_since_report) == ("alive", 1.0)
