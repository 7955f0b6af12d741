"""What a trigger sees right now: the signal over its window, or why there is none. A missing signal is never a zero."""

from collections.abc import Callable

from holdfast_schemas.metrics import Reading
from holdfast_schemas.sketch import Buckets, bucket, quantile
from holdfast_schemas.triggers import OPS, WINDOW_PANES, Trigger

from . import verdicts
from .completion import completion
from .liveness import heard_workers, seconds_since_progress, seconds_since_report
from .panes import FAST_PANES, SLOW_PANES, Pane, Panes
from .rule import COUNTED, Rule
from .scope import not_judged
from .seen import Seen
from .state import Migration, PartitionState, Target

NS_PER_MS = 1e6
FLOOR_OPS = ("<", "<=")
FLOOR_SHARE = 0.5
"""Of its window a floor under rows_per_second needs this much running time: a run that has just begun is not slow."""


def read(state: PartitionState, migration: Migration, rule: Rule, *, scales: bool = False) -> Seen:
    """The trigger's view of the migration now; the fast and the slow window only where they are shown (``scales``)."""
    trigger = rule.trigger
    if rule.scoped and (why := not_judged(state, migration, trigger)) is not None:
        return Seen("not_judged", lambda: why)
    now, metric = state.now or 0, trigger.metric
    if metric in COUNTED:
        return _rate(rule, migration.panes[rule.panes_key], now, scales)
    if trigger.of_target:
        return _health(state, migration, rule)
    if metric == "batch_duration_p95":
        return _quantile(trigger, migration.panes[rule.panes_key], now)
    if metric == "estimated_completion":
        return completion(state, migration, trigger)
    if metric in TIMES:
        return _time(state, migration, trigger)
    return _custom(migration, rule, now)


def breaches(state: PartitionState, migration: Migration, rule: Rule) -> bool:
    """Whether ``read`` gives a breach: the same judgement without its words, for every report."""
    if rule.scoped or rule.trigger.metric not in COUNTED:
        return read(state, migration, rule).reading == "breach"
    return _counted(rule, migration.panes[rule.panes_key].total(state.now or 0))[0] == "breach"


def _counted(rule: Rule, total: Pane) -> tuple[Reading, float | None]:
    trigger = rule.trigger
    observed = _value(trigger.metric, total)
    if observed is None:
        return "no_data", None
    if trigger.metric == "rows_per_second":
        if trigger.op in FLOOR_OPS and total.active_ms < trigger.window_seconds * FLOOR_SHARE * 1000:
            return "too_few", observed
    elif total.n < trigger.min_attempted_rows:
        return "too_few", observed
    return "breach" if rule.over(observed, rule.limit) else "ok", observed


def _value(metric: str, total: Pane) -> float | None:
    """error_rate = failed / attempted; average_processing_time = busy seconds a row; rows_per_second over active time."""
    if metric == "error_rate":
        return total.k / total.n if total.n else None
    if metric == "average_processing_time":
        return total.busy_microseconds / 1e6 / total.n if total.n else None
    return total.rows * 1000 / total.active_ms if total.active_ms else None


def _rate(rule: Rule, panes: Panes, now: int, scales: bool) -> Seen:
    trigger, total = rule.trigger, panes.total(now)
    reading, observed = _counted(rule, total)
    if observed is None:
        return Seen(reading, lambda: verdicts.no_data(trigger), n=0)
    k, n = (total.k, total.n) if trigger.metric == "error_rate" else (None, None)
    if reading == "too_few":
        return Seen(reading, lambda: _too_few(trigger, total), observed, k=total.k, n=total.n)
    fast = _value(trigger.metric, panes.total(now, FAST_PANES)) if scales else None
    slow = _value(trigger.metric, panes.total(now, SLOW_PANES)) if scales else None
    return _compared(trigger, observed, lambda: verdicts.share(k, n), fast, slow, k, n)


def _too_few(trigger: Trigger, total: Pane) -> str:
    if trigger.metric == "rows_per_second":
        return verdicts.too_short(total.active_ms, trigger.window_seconds * FLOOR_SHARE)
    return verdicts.too_few(total.n, trigger.min_attempted_rows)


def _quantile(trigger: Trigger, panes: Panes, now: int) -> Seen:
    samples = panes.samples(now)
    observed = p95_ms(samples)
    if observed is None:
        return Seen("no_data", lambda: verdicts.no_data(trigger), n=0)
    edge = bucket(round(trigger.limit * NS_PER_MS)) if trigger.limit > 0 else 0
    n, k = sum(samples.values()), sum(count for index, count in samples.items() if index > edge)
    fast = p95_ms(panes.samples(now, FAST_PANES))
    return _compared(trigger, observed, lambda: verdicts.samples(n), fast=fast, k=k, n=n)


def p95_ms(samples: Buckets) -> float | None:
    """The 95 % quantile in milliseconds; None without samples."""
    found = quantile(samples, 0.95)
    return None if found is None else found / NS_PER_MS


def _health(state: PartitionState, migration: Migration, rule: Rule) -> Seen:
    trigger, now, target = rule.trigger, state.now or 0, state.targets.get(migration.target or "")
    sampled_ms = None if target is None else _sampled_ms(target, trigger.metric)
    if target is None or sampled_ms is None or sampled_ms < migration.started_ms:
        return Seen("absent", lambda: verdicts.absent(trigger))
    silent = now - sampled_ms
    if silent > state.rules.judgement.health_fresh_seconds * 1000:
        return Seen("missing", lambda: verdicts.missing(trigger, silent))
    panes = target.panes[rule.panes_key]
    if trigger.metric == "response_time_p95":
        return _quantile(trigger, panes, now)
    return _gauge(trigger, panes, trigger.metric.removeprefix("target."), now, "samples")


def _sampled_ms(target: Target, metric: str) -> int | None:
    """When the target's signal was last sampled; None where it never was."""
    if metric == "response_time_p95":
        return target.response_ms
    return target.metrics_ms.get(metric.removeprefix("target."))


def _custom(migration: Migration, rule: Rule, now: int) -> Seen:
    trigger, name = rule.trigger, rule.trigger.metric.removeprefix("run.")
    if not any(name in worker.metrics for worker in migration.workers.values()):
        return Seen("absent", lambda: verdicts.absent(trigger))
    return _gauge(trigger, migration.panes[rule.panes_key], name, now, "reports")


def _gauge(trigger: Trigger, panes: Panes, name: str, now: int, units: str) -> Seen:
    gauge, index = panes.gauges[name], now // panes.width_ms
    observed, n = gauge.over(index, WINDOW_PANES, trigger.aggregate)
    if observed is None:
        return Seen("no_data", lambda: verdicts.no_data(trigger), n=0)
    fast = gauge.over(index, FAST_PANES, trigger.aggregate)[0]
    return _compared(trigger, observed, lambda: f"{trigger.aggregate} of {n:,} {units}", fast=fast, n=n)


def _time(state: PartitionState, migration: Migration, trigger: Trigger) -> Seen:
    observed = TIMES[trigger.metric](state, migration)
    if observed is None:
        return Seen("no_data", lambda: f"{trigger.metric} has no data: no worker that has not ended")
    heard = heard_workers(state, migration)
    return _compared(trigger, observed, lambda: verdicts.heard(*heard), windowed=False)


def _running_seconds(state: PartitionState, migration: Migration) -> float | None:
    return migration.running_ms / 1000


TIMES: dict[str, Callable[[PartitionState, Migration], float | None]] = {
    "running_seconds": _running_seconds,
    "seconds_since_progress": seconds_since_progress,
    "seconds_since_report": seconds_since_report,
}


def _compared(
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
