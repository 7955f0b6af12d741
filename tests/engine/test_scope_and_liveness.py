"""Where and when a trigger holds; alive, stuck and dead; what figures carry of custom metrics."""

from typing import Any

import pytest

from .a_log import decisions, judge
from .steady_run import reading, ruled, steady, trigger


def test_rows_of_other_phases_are_not_in_a_phase_s_window() -> None:
    log = ruled(trigger("error_rate", 0.05, phases=("verify",)))
    log.progress(1000, 500, phase="copy")
    log.progress(1000, 40, phase="verify")
    log.tick(1)
    assert (reading(log).k, reading(log).n, reading(log).reading) == (40, 1000, "ok")
    log.progress(1000, 80, phase="verify")
    assert [(d.k, d.n) for d in decisions(log)] == [(120, 2000)]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"targets": ("orders",)}, 1),
        ({"targets": ("customers",)}, 0),
        ({"migrations": ("m", "n")}, 1),
        ({"migrations": ("n",)}, 0),
        ({"between": "12:00-13:00"}, 1),
        ({"not_between": "12:00-13:00"}, 0),
        ({"not_between": "22:00-06:00", "time_zone": "Asia/Tokyo"}, 1),  # 21:00 there
    ],
)
def test_a_trigger_holds_where_and_when_it_says(scope: dict[str, Any], expected: int) -> None:
    log = ruled(trigger("error_rate", 0.05, **scope))
    log.progress(1000, 100, phase="copy")
    assert len(decisions(log)) == expected


def test_not_between_nine_and_five() -> None:
    """The hours in which a migration may not run are a trigger too."""
    log = ruled(trigger("running_seconds", 0, ">=", action="pause", between="12:00-17:00", time_zone="Africa/Abidjan"))
    assert [(d.action, d.verdict) for d in decisions(log)] == [
        ("pause", "running_seconds 1.000 s >= 0 s (1 of 1 workers heard)")
    ]


def test_stuck_and_dead_are_told_apart_each_with_its_verdict() -> None:
    stuck, dead = ruled(trigger("run.x", 0)), ruled(trigger("run.x", 0))
    steady(stuck, 62, rows=0)
    dead.ticks(32)
    newest = {name: judge(log)[1][-1].metrics[-1] for name, log in (("stuck", stuck), ("dead", dead))}
    assert {name: m.state for name, m in newest.items()} == {"stuck": "stuck", "dead": "dead"}
    assert newest["stuck"].liveness == "stuck: seconds_since_progress 62 s > 60 s (1 of 1 workers heard)"
    assert newest["dead"].liveness == "dead: seconds_since_report 33 s > 30 s (0 of 1 workers heard)"
    assert newest["dead"].seconds_since_progress == 0  # silence is no stall: the newest report was of progress
    alive = judge(stuck)[1][12].metrics[-1]
    assert alive.liveness.startswith("alive: seconds_since_report 1 s, seconds_since_progress")


def test_the_silence_before_a_worker_took_over_is_no_stall_of_its() -> None:
    log = ruled(trigger("seconds_since_progress", 20))
    steady(log, 5)
    log.ticks(28)
    log.started(worker=2)
    for _ in range(10):
        log.progress(0, worker=2, phase="copy")
        log.tick(1)
    assert [d for d in decisions(log) if d.kind == "breach"] == []
    assert judge(log)[1][-1].metrics[-1].seconds_since_progress == pytest.approx(9, abs=1)


def test_silence_ripens_by_log_time_and_is_not_missing_from_itself() -> None:
    log = ruled(trigger("seconds_since_report", 40, for_seconds=10))
    log.ticks(60)
    assert [(d.kind, d.verdict) for d in decisions(log)] == [
        ("breach", "seconds_since_report 51.0 s > 40 s (0 of 1 workers heard)")
    ]


def test_figures_carry_custom_metrics_and_the_phase() -> None:
    log = ruled(trigger("run.x", 0))
    log.progress(100, worker=1, phase="copy", metrics={"depth": 4.0}, phase_rows_processed=100, phase_total_rows=500)
    log.progress(50, worker=2, phase="copy", metrics={"depth": 6.0, "lag": 1.0}, phase_rows_processed=50)
    log.tick(1)
    newest = judge(log)[1][-1].metrics[-1]
    assert newest.metrics == {"depth": 5.0, "lag": 1.0}
    assert (newest.current_phase, newest.phase_rows_processed) == ("copy", 150)


def test_names_made_up_without_end_do_not_fill_the_state() -> None:
    log = ruled(trigger("run.x", 0))
    for n in range(300):
        log.progress(1, phase="copy", metrics={f"m{n}": 1.0})
        log.health(None, seq=n + 1, metrics={f"t{n}": 1.0})
    log.tick(1)
    state, outputs = judge(log)
    [worker] = state.migrations["m"].workers.values()
    assert len(worker.metrics) <= 50
    assert "m299" in worker.metrics
    assert len(state.targets["orders"].metrics_ms) == 200
    assert len(outputs[-1].metrics[-1].metrics) <= 50
