"""Triggers on any signal: a table of log, trigger and verdict; and what is not there to be judged."""

from collections.abc import Callable

import pytest

from holdfast_schemas.triggers import Trigger

from .a_log import Log, decisions
from .steady_run import reading, ruled, steady, trigger


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
