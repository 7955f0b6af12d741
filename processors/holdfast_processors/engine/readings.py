"""What a trigger sees right now: the signal over its window, or why there is none. A missing signal is never a zero."""

from dataclasses import dataclass

from holdfast_schemas.metrics import Reading
from holdfast_schemas.sketch import Buckets, bucket, quantile
from holdfast_schemas.triggers import OPS, Trigger

from . import verdicts
from .panes import FAST_PANES, SLOW_PANES, Pane, Panes
from .state import Migration, PartitionState

NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading; ``observed``, ``fast`` and ``slow`` are over one window, a sixth and five."""

    reading: Reading
    verdict: str
    observed: float | None = None
    fast: float | None = None
    slow: float | None = None
    k: int | None = None
    n: int | None = None


def read(state: PartitionState, migration: Migration, trigger: Trigger, *, scales: bool = False) -> Seen:
    """The trigger's view of the migration now; the fast and the slow window only where they are shown (``scales``)."""
    if trigger.metric == "response_time_p95":
        return _health(state, migration, trigger)
    panes = migration.panes[trigger.window_seconds]
    if trigger.metric == "batch_duration_p95":
        return _quantile(trigger, panes, state.now or 0)
    return _rate(trigger, panes, state.now or 0, scales)


def _rate(trigger: Trigger, panes: Panes, now: int, scales: bool) -> Seen:
    total = panes.total(now)
    observed = _value(trigger, total)
    if observed is None:
        return Seen("no_data", verdicts.no_data(trigger), n=0)
    if total.n < trigger.min_attempted_rows:
        return Seen("too_few", verdicts.too_few(total.n, trigger.min_attempted_rows), observed, k=total.k, n=total.n)
    fast = _value(trigger, panes.total(now, FAST_PANES)) if scales else None
    slow = _value(trigger, panes.total(now, SLOW_PANES)) if scales else None
    k = total.k if trigger.metric == "error_rate" else None
    return _compare(trigger, observed, fast, slow, k, total.n if k is not None else None)


def _value(trigger: Trigger, total: Pane) -> float | None:
    """error_rate = failed / attempted; average_processing_time = busy seconds a row; rows_per_second over active time."""
    if trigger.metric == "error_rate":
        return total.k / total.n if total.n else None
    if trigger.metric == "average_processing_time":
        return total.busy_microseconds / 1e6 / total.n if total.n else None
    return total.rows * 1000 / total.active_ms if total.active_ms else None


def _quantile(trigger: Trigger, panes: Panes, now: int) -> Seen:
    samples = panes.samples(now)
    observed = p95_ms(samples)
    if observed is None:
        return Seen("no_data", verdicts.no_data(trigger), n=0)
    edge = bucket(round(trigger.threshold * NS_PER_MS)) if trigger.threshold > 0 else 0
    n, k = sum(samples.values()), sum(count for index, count in samples.items() if index > edge)
    seen = _compare(trigger, observed, p95_ms(panes.samples(now, FAST_PANES)), None, None, n)
    return Seen(seen.reading, seen.verdict, seen.observed, seen.fast, None, k, n)


def p95_ms(samples: Buckets) -> float | None:
    """The 95 % quantile in milliseconds; None without samples."""
    found = quantile(samples, 0.95)
    return None if found is None else found / NS_PER_MS


def _health(state: PartitionState, migration: Migration, trigger: Trigger) -> Seen:
    target = state.targets.get(migration.target or "")
    if target is None or target.sampled_ms < migration.started_ms:
        return Seen("absent", verdicts.absent(trigger))
    silent = (state.now or 0) - target.sampled_ms
    if silent > state.rules.judgement.health_fresh_seconds * 1000:
        return Seen("missing", verdicts.missing(trigger, silent))
    return _quantile(trigger, target.panes[trigger.window_seconds], state.now or 0)


def _compare(
    trigger: Trigger, observed: float, fast: float | None, slow: float | None, k: int | None, n: int | None
) -> Seen:
    breach = OPS[trigger.op](observed, trigger.threshold)
    verdict = verdicts.compared(trigger, observed, k, n, breach=breach)
    return Seen("breach" if breach else "ok", verdict, observed, fast, slow, k, n)
