"""Random logs for properties: several migrations, runs and workers, rules, health, repeats, garbage, gaps in time."""

from typing import Any

from hypothesis import strategies as st

from holdfast_schemas.events import RunClosed, RunFinished
from holdfast_schemas.triggers import Trigger

from .a_log import Log, error_rule, run_id, worker_id

MIGRATIONS = ("m", "n")
ACTIONS = ("warn", "pause", "rollback")
PHASES = (None, "copy", "verify")
OTHERS = (
    {"metric": "run.depth", "threshold": 5.0, "op": ">="},
    {"metric": "run.depth", "threshold": 2.0, "aggregate": "last", "phases": ("copy",), "window_seconds": 12.0},
    {"metric": "target.lag", "threshold": 1.0, "aggregate": "max"},
    {"metric": "rows_per_second", "threshold": 50.0, "op": "<", "for_seconds": 5.0},
    {"metric": "estimated_completion", "threshold": "12:30", "time_zone": "Europe/Berlin"},
    {"metric": "estimated_completion", "threshold": 90.0, "op": ">="},
    {"metric": "seconds_since_progress", "threshold": 20.0},
    {"metric": "seconds_since_report", "threshold": 20.0, "for_seconds": 5.0},
    {"metric": "running_seconds", "threshold": 30.0, "not_between": "12:00-12:01"},
    {"metric": "error_rate", "threshold": 0.04, "phases": ("verify", "copy"), "targets": ("orders",)},
    {"metric": "average_processing_time", "threshold": 0.0, "op": "==", "migrations": ("n",)},
)
"""Triggers on other signals, in other places: what the reference leaves to the engine."""

report = st.tuples(
    st.just("progress"),
    st.sampled_from(MIGRATIONS),
    st.integers(1, 3),  # run
    st.integers(1, 2),  # worker
    st.sampled_from((0, 1, 20, 100, 400)),  # attempted
    st.sampled_from((0.0, 0.05, 0.1, 0.12, 1.0)),  # share that fails
    st.sampled_from(("running", "running", "running", "paused", "rolling_back")),
    st.sampled_from((0, 0, 0, 1, 4)),  # resumed above the start epoch
    st.sampled_from(PHASES),
    st.sampled_from((None, 0.0, 3.0, 9.0)),  # the custom figure `depth`
)
other = st.tuples(
    st.sampled_from(("started", "worker_finished", "finished", "closed", "repeat", "garbage", "backwards")),
    st.sampled_from(MIGRATIONS),
    st.integers(1, 3),
    st.integers(1, 2),
)
rules = st.tuples(
    st.just("rules"),
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.sampled_from((0.05, 0.1)),
            st.sampled_from(ACTIONS),
            st.sampled_from((12.0, 60.0)),
            st.sampled_from((0, 100)),
            st.sampled_from((">", ">=", "<")),
        ),
        max_size=3,
    ),
    st.lists(st.sampled_from(OTHERS), max_size=3),
)
stretch = st.tuples(
    st.just("stretch"),
    st.sampled_from(MIGRATIONS),
    st.sampled_from((1, 1, 1, 2)),  # run
    st.integers(1, 2),  # worker
    st.integers(2, 45),  # seconds
    st.sampled_from((20, 100, 400)),  # attempted a second
    st.sampled_from((0.0, 0.05, 0.06, 0.12, 0.5)),
    st.sampled_from((0, 0, 0, 1, 2)),  # resumed above the start epoch
)
time = st.tuples(st.just("time"), st.sampled_from((0.2, 1.0, 1.0, 4.9, 5.0, 31.0, 61.0)))
ticks = st.tuples(st.just("ticks"), st.integers(1, 12))
health = st.tuples(
    st.just("health"), st.sampled_from((100.0, 5000.0)), st.integers(1, 9), st.sampled_from((None, 0.5, 4.0))
)

happenings = st.lists(
    st.one_of(stretch, stretch, report, report, other, rules, time, ticks, health), min_size=4, max_size=25
)


def built(happening: list[Any]) -> Log:
    """The log of these happenings; it begins with a Tick."""
    log = Log()
    log.tick()
    for what, *values in happening:
        _add(log, what, values)
    return log


def _add(log: Log, what: str, values: list[Any]) -> None:
    match what:
        case "time":
            log.wait(values[0])
        case "ticks":
            log.ticks(values[0])
        case "health":
            log.health(values[0], seq=values[1], metrics={} if values[2] is None else {"lag": values[2]})
        case "rules":
            version, triggers, others = values
            log.rules(
                version,
                *(
                    error_rule(t, action, f"e{i}", window_seconds=w, min_attempted_rows=n, op=op)
                    for i, (t, action, w, n, op) in enumerate(triggers)
                ),
                *(
                    Trigger.model_validate({"id": f"o{i}", "action": "warn", **other}, strict=False)
                    for i, other in enumerate(others)
                ),
            )
        case "progress":
            migration, run, worker, attempted, share, state, resumed, phase, depth = values
            log.progress(
                attempted, round(attempted * share), run, worker, migration, state=state, resumed_epoch=run + resumed,
                phase=phase, metrics={} if depth is None else {"depth": depth},
            )  # fmt: skip
        case "stretch":
            migration, run, worker, seconds, attempted, share, resumed = values
            for _ in range(seconds):
                log.tick(1)
                log.progress(attempted, round(attempted * share), run, worker, migration, resumed_epoch=run + resumed)
        case "repeat":
            log.raw(log.records[-1].value, log.records[-1].key)
        case "garbage":
            log.raw(b"{", b"m")
        case _:
            _of_a_run(log, what, *values)


def _of_a_run(log: Log, what: str, migration: str, run: int, worker: int) -> None:
    match what:
        case "started":
            log.started(run, worker, migration, total_rows=10_000)
        case "worker_finished":
            log.worker_finished(run=run, worker=worker, migration=migration)
        case "finished":
            log.run_event(RunFinished, run, migration, outcome="completed")
        case "closed":
            log.run_event(RunClosed, run, migration)
        case "backwards":
            log.counters.pop((migration, run_id(run), worker_id(worker)), None)
            log.progress(1, 0, run, worker, migration)
