"""Triggers on any signal: a table of log, trigger and verdict; and where and when a trigger holds."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast_schemas.metrics import TriggerReading
from holdfast_schemas.triggers import Trigger

from .a_log import Log, decisions, judge


def trigger(metric: str, threshold: float | str, op: str = ">", **also: Any) -> Trigger:
    return Trigger.model_validate(
        {"id": "t", "metric": metric, "op": op, "threshold": threshold, "action": "warn", **also}, strict=False
    )


def ruled(rule: Trigger, **started: Any) -> Log:
    log = Log()
    log.tick()
    log.rules(1, rule)
    log.started(**started)
    log.progress(0, phase="copy")
    log.tick(1)
    return log


def steady(log: Log, seconds: int, rows: int = 100, **fields: Any) -> None:
    for _ in range(seconds):
        log.progress(rows, phase="copy", **fields)
        log.tick(1)


def reading(log: Log) -> TriggerReading:
    """What the newest figures say of the one trigger."""
    return next(m for o in reversed(judge(log)[1]) for m in reversed(o.metrics)).triggers[0]


def a_slow_run(log: Log) -> None:
    steady(log, 40, rows=10)


def a_run_that_hangs(log: Log) -> None:
    steady(log, 5)
    steady(log, 21, rows=0)


def a_run_that_dies(log: Log) -> None:
    steady(log, 5)
    log.ticks(12)


def a_full_queue(log: Log) -> None:
    for depth in (4.0, 6.0, 14.0):
        steady(log, 1, metrics={"queue_depth": depth})


def a_lagging_replica(log: Log) -> None:
    for n, lag in enumerate((0.5, 1.0, 3.5), 1):
        log.health(None, seq=n, metrics={"replication_lag_seconds": lag})
        log.tick(1)
    steady(log, 1)


SIGNALS: list[tuple[str, Trigger, Callable[[Log], None], str]] = [
    (
        "throughput floor",
        trigger("rows_per_second", 50, "<", window_seconds=60),
        a_slow_run,
        "rows_per_second 9.667 rows/s < 50 rows/s over 60 s",
    ),
    (
        "stall",
        trigger("seconds_since_progress", 20),
        a_run_that_hangs,
        "seconds_since_progress 21.0 s > 20 s (1 of 1 workers heard)",
    ),
    (
        "silence",
        trigger("seconds_since_report", 10, ">="),
        a_run_that_dies,
        "seconds_since_report 10.0 s >= 10 s (1 of 1 workers heard)",
    ),
    (
        "age of the run",
        trigger("running_seconds", 30, ">="),
        a_slow_run,
        "running_seconds 30.0 s >= 30 s (1 of 1 workers heard)",
    ),
    (
        "mean of a figure that reports carry",
        trigger("run.queue_depth", 7, ">="),
        a_full_queue,
        "run.queue_depth 8.000 >= 7 over 60 s (mean of 3 reports)",
    ),
    (
        "greatest",
        trigger("run.queue_depth", 10, aggregate="max"),
        a_full_queue,
        "run.queue_depth 14.0 > 10 over 60 s (max of 3 reports)",
    ),
    (
        "least",
        trigger("run.queue_depth", 4, "==", aggregate="min"),
        a_full_queue,
        "run.queue_depth 4.000 == 4 over 60 s (min of 1 reports)",
    ),
    (
        "newest",
        trigger("run.queue_depth", 14, "==", aggregate="last"),
        a_full_queue,
        "run.queue_depth 14.0 == 14 over 60 s (last of 3 reports)",
    ),
    (
        "a figure of the target",
        trigger("target.replication_lag_seconds", 3, aggregate="last"),
        a_lagging_replica,
        "target.replication_lag_seconds 3.500 > 3 over 60 s (last of 3 samples)",
    ),
    (
        "ends after a duration",
        trigger("estimated_completion", "1m"),
        a_slow_run,
        "estimated_completion 12:25:00 > 12:01:00 UTC over 60 s (between 12:25:00 and 12:25:00)",
    ),
    (
        "ends after a time of day",
        trigger("estimated_completion", "13:10", time_zone="Europe/Berlin"),
        a_slow_run,
        "estimated_completion 13:25:00 > 13:10:00 Europe/Berlin over 60 s (between 13:25:00 and 13:25:00)",
    ),
]


@pytest.mark.parametrize(
    ("rule", "happens", "verdict"), [case[1:] for case in SIGNALS], ids=[case[0] for case in SIGNALS]
)
def test_a_trigger_decides_on_its_signal(rule: Trigger, happens: Callable[[Log], None], verdict: str) -> None:
    log = ruled(rule, total_rows=10_000)
    happens(log)
    found = [d for d in decisions(log) if d.kind == "breach"]
    assert found, reading(log).verdict
    assert found[0].verdict == verdict


@pytest.mark.parametrize(
    ("rule", "happens", "seen", "verdict"),
    [
        (
            trigger("rows_per_second", 50, "<"),
            lambda log: steady(log, 20, rows=1),
            "too_few",
            "running too short (21 of 30 s)",
        ),
        (trigger("run.depth", 1), lambda log: steady(log, 2), "absent", "run.depth absent (never seen in this run)"),
        (
            trigger("run.depth", 1, window_seconds=12),
            lambda log: (steady(log, 1, metrics={"depth": 0.0}), steady(log, 14)),
            "no_data",
            "run.depth has no data over 12 s",
        ),
        (trigger("target.lag", 1), lambda log: steady(log, 2), "absent", "target.lag absent (never seen in this run)"),
        (
            trigger("target.lag", 1),
            lambda log: (log.health(None, 1, metrics={"lag": 0.0}), steady(log, 32)),
            "missing",
            "target.lag missing for 32 s (was seen in this run)",
        ),
        (
            trigger("response_time_p95", 2000),
            lambda log: (log.health(None, 1, metrics={"lag": 0.0}), steady(log, 2)),
            "absent",  # a sampler that knows nothing of response times
            "response_time_p95 absent (never seen in this run)",
        ),
        (
            trigger("estimated_completion", "6h"),
            lambda log: steady(log, 1),
            "no_data",
            "estimated_completion has no estimate (measuring)",
        ),
        (
            trigger("error_rate", 0.05, phases=("verify",)),
            lambda log: steady(log, 1, error_count=90),
            "not_judged",
            "error_rate not judged in phase copy, only in verify",
        ),
        (
            trigger(
                "error_rate", 0.05, not_between="09:00-17:00", time_zone="Europe/Berlin"
            ),  # the log begins at 13:00 there
            lambda log: steady(log, 1, error_count=90),
            "not_judged",
            "error_rate not judged between 09:00-17:00 Europe/Berlin",
        ),
        (
            trigger("error_rate", 0.05, between="22:00-06:00"),
            lambda log: steady(log, 1, error_count=90),
            "not_judged",
            "error_rate not judged outside 22:00-06:00 UTC",
        ),
    ],
)
def test_what_is_not_there_or_not_to_be_judged_is_an_outcome(
    rule: Trigger, happens: Callable[[Log], object], seen: str, verdict: str
) -> None:
    log = ruled(rule, total_rows=10_000)
    happens(log)
    assert (reading(log).reading, reading(log).verdict) == (seen, verdict)
    assert [d for d in decisions(log) if d.kind == "breach"] == []


def test_a_run_that_is_past_its_limit_without_an_estimate_breaches() -> None:
    log = ruled(trigger("estimated_completion", "10s"))  # its total is unknown
    steady(log, 9)
    assert decisions(log) == []
    steady(log, 1)
    assert [d.verdict for d in decisions(log)] == [
        "estimated_completion 12:00:11 > 12:00:10 UTC over 60 s (the limit is past and the run is not complete)"
    ]


def test_a_floor_is_judged_where_fewer_rows_than_the_minimum_came() -> None:
    """Below min_attempted_rows an error rate is noise; a throughput is slow."""
    log = ruled(trigger("rows_per_second", 1, "<", min_attempted_rows=100))
    steady(log, 40, rows=0)
    assert [d.verdict for d in decisions(log)][:1] == ["rows_per_second 0.000 rows/s < 1 rows/s over 60 s"]


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
