"""What a trigger sees right now: the signal over its window, or why there is none. A missing signal is never a zero."""

from collections.abc import Callable

from holdfast_schemas.sketch import Buckets, bucket, quantile
from holdfast_schemas.triggers import OPS, WINDOW_PANES, Trigger

from . import verdicts
from .completion import completion
from .liveness import heard_workers, seconds_since_progress, seconds_since_report
from .panes import FAST_PANES, SLOW_PANES, Pane, Panes
from .scope import not_judged, panes_key
from .seen import Seen
from .state import Migration, PartitionState, Target

NS_PER_MS = 1e6
FLOOR_OPS = ("<", "<=")
FLOOR_SHARE = 0.5
"""Of its window a floor under rows_per_second needs this much running time: a run that has just begun is not slow."""


def read(state: PartitionState, migration: Migration, trigger: Trigger, *, scales: bool = False) -> Seen:
    """The trigger's view of the migration now; the fast and the slow window only where they are shown (``scales``)."""
    if (why := not_judged(state, migration, trigger)) is not None:
        return Seen("not_judged", lambda: why)
    if trigger.of_target:
        return _health(state, migration, trigger)
    now, metric = state.now or 0, trigger.metric
    if metric in COUNTED:
        return _rate(trigger, migration.panes[panes_key(trigger)], now, scales)
    if metric == "batch_duration_p95":
        return _quantile(trigger, migration.panes[panes_key(trigger)], now)
    if metric == "estimated_completion":
        return completion(state, migration, trigger)
    if metric in TIMES:
        return _time(state, migration, trigger)
    return _custom(migration, trigger, now)


def by_report(trigger: Trigger) -> bool:
    """Whether each report is judged by it; time, quantiles and health are judged at each Tick."""
    return trigger.metric in COUNTED or trigger.metric.startswith("run.")


def _rate(trigger: Trigger, panes: Panes, now: int, scales: bool) -> Seen:
    total = panes.window(now)
    observed = COUNTED[trigger.metric](total)
    if observed is None:
        return Seen("no_data", lambda: verdicts.no_data(trigger), n=0)
    if trigger.metric == "rows_per_second":
        needed = trigger.window_seconds * FLOOR_SHARE
        if trigger.op in FLOOR_OPS and total.active_ms < needed * 1000:
            return Seen("too_few", lambda: verdicts.too_short(total.active_ms, needed), observed)
    elif total.n < trigger.min_attempted_rows:
        few = total.n
        return Seen(
            "too_few", lambda: verdicts.too_few(few, trigger.min_attempted_rows), observed, k=total.k, n=total.n
        )
    fast = COUNTED[trigger.metric](panes.total(now, FAST_PANES)) if scales else None
    slow = COUNTED[trigger.metric](panes.total(now, SLOW_PANES)) if scales else None
    k = total.k if trigger.metric == "error_rate" else None
    n = total.n if k is not None else None
    return _compare(trigger, observed, lambda: verdicts.share(k, n), fast, slow, k, n)


def _error_rate(total: Pane) -> float | None:
    return total.k / total.n if total.n else None


def _processing_time(total: Pane) -> float | None:
    return total.busy_microseconds / 1e6 / total.n if total.n else None


def _throughput(total: Pane) -> float | None:
    return total.rows * 1000 / total.active_ms if total.active_ms else None


COUNTED: dict[str, Callable[[Pane], float | None]] = {
    "error_rate": _error_rate,
    "average_processing_time": _processing_time,
    "rows_per_second": _throughput,
}
"""failed / attempted; busy seconds a row; rows over active time. Sums of reports, so each report may be judged."""


def _quantile(trigger: Trigger, panes: Panes, now: int) -> Seen:
    samples = panes.samples(now)
    observed = p95_ms(samples)
    if observed is None:
        return Seen("no_data", lambda: verdicts.no_data(trigger), n=0)
    edge = bucket(round(trigger.limit * NS_PER_MS)) if trigger.limit > 0 else 0
    n, k = sum(samples.values()), sum(count for index, count in samples.items() if index > edge)
    fast = p95_ms(panes.samples(now, FAST_PANES))
    return _compare(trigger, observed, lambda: verdicts.samples(n), fast=fast, k=k, n=n)


def p95_ms(samples: Buckets) -> float | None:
    """The 95 % quantile in milliseconds; None without samples."""
    found = quantile(samples, 0.95)
    return None if found is None else found / NS_PER_MS


def _health(state: PartitionState, migration: Migration, trigger: Trigger) -> Seen:
    now, target = state.now or 0, state.targets.get(migration.target or "")
    sampled_ms = None if target is None else _sampled_ms(target, trigger.metric)
    if target is None or sampled_ms is None or sampled_ms < migration.started_ms:
        return Seen("absent", lambda: verdicts.absent(trigger))
    silent = now - sampled_ms
    if silent > state.rules.judgement.health_fresh_seconds * 1000:
        return Seen("missing", lambda: verdicts.missing(trigger, silent))
    panes = target.panes[panes_key(trigger)]
    if trigger.metric == "response_time_p95":
        return _quantile(trigger, panes, now)
    return _gauge(trigger, panes, trigger.metric.removeprefix("target."), now, "samples")


def _sampled_ms(target: Target, metric: str) -> int | None:
    """When the target's signal was last sampled; None where it never was."""
    if metric == "response_time_p95":
        return target.response_ms
    return target.metrics_ms.get(metric.removeprefix("target."))


def _custom(migration: Migration, trigger: Trigger, now: int) -> Seen:
    name = trigger.metric.removeprefix("run.")
    if not any(name in worker.metrics for worker in migration.workers.values()):
        return Seen("absent", lambda: verdicts.absent(trigger))
    return _gauge(trigger, migration.panes[panes_key(trigger)], name, now, "reports")


def _gauge(trigger: Trigger, panes: Panes, name: str, now: int, units: str) -> Seen:
    gauge, index = panes.gauges[name], now // panes.width_ms
    observed, n = gauge.over(index, WINDOW_PANES, trigger.aggregate)
    if observed is None:
        return Seen("no_data", lambda: verdicts.no_data(trigger), n=0)
    fast = gauge.over(index, FAST_PANES, trigger.aggregate)[0]
    return _compare(trigger, observed, lambda: f"{trigger.aggregate} of {n:,} {units}", fast=fast, n=n)


def _time(state: PartitionState, migration: Migration, trigger: Trigger) -> Seen:
    observed = TIMES[trigger.metric](state, migration)
    if observed is None:
        return Seen("no_data", lambda: f"{trigger.metric} has no data: no worker that has not ended")
    heard = heard_workers(state, migration)
    return _compare(trigger, observed, lambda: verdicts.heard(*heard), windowed=False)


def _running_seconds(state: PartitionState, migration: Migration) -> float | None:
    return migration.running_ms / 1000


TIMES: dict[str, Callable[[PartitionState, Migration], float | None]] = {
    "running_seconds": _running_seconds,
    "seconds_since_progress": seconds_since_progress,
    "seconds_since_report": seconds_since_report,
}


def _compare(
    trigger: Trigger,
    observed: float,
    note: Callable[[], str],
    fast: float | None = None,
    slow: float | None = None,
    k: int | None = None,
    n: int | None = None,
    *,
    windowed: bool = True,
) -> Seen:
    """The signal against the threshold; ``note`` is what its verdict ends with."""
    breach = OPS[trigger.op](observed, trigger.limit)

    def words() -> str:
        return verdicts.compared(trigger, observed, note(), breach=breach, windowed=windowed)

    return Seen("breach" if breach else "ok", words, observed, fast, slow, k, n)
