"""Protocol 22, the pure part of ``holdfast verify``: the same log judged again, by the engine and by the reference beside it.

Decisions are compared byte for byte with those on record. What cannot be judged is named as a segment of its own, never
passed over: a truncated log, records missing inside it, decisions of another engine version.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.metrics import MigrationMetrics

from . import rejudging
from .audit import audit_faults
from .engine import ENGINE_VERSION
from .engine.engine import step as engine_step
from .engine.records import LogRecord
from .rejudging import Rejudged, Step

PUBLISHING_MS = 2000
"""Without a Watched: what fell less than this before the log's end may not be published yet."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a partition: offsets ``first`` to ``last``, judged or not, and why it stands apart."""

    partition: int
    first: int
    last: int
    judged: bool
    reason: str


@dataclass(slots=True)
class Verification:
    """``ok`` when no fault was found. ``counts``: records, decisions, compared, repeats, pending, unjudged, rejected..."""

    segments: list[Segment] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        return not self.faults


def verify_log(
    records: Iterable[LogRecord],
    recorded_decisions: Iterable[Decision],
    recorded_metrics: Iterable[MigrationMetrics] = (),
    *,
    until: Mapping[int, int] | None = None,
    actions: Sequence[ActionRecorded] | None = None,
    step: Step = engine_step,
) -> Verification:
    """Judge the log again and compare.

    ``records``: holdfast.events, partitions interleaved in any way, each in its own order. ``recorded_decisions`` and
    ``recorded_metrics``: as published, repeats included. ``until``: by partition the Tick of its last Watched; up to it
    every decision must be on record. ``actions``: the audit trail in its order; None leaves the audit out.
    """
    partitions: dict[int, list[LogRecord]] = {}
    for record in records:
        partitions.setdefault(record.partition, []).append(record)
    verification = Verification()
    recorded = _without_repeats(recorded_decisions, verification)
    figures = _newest(recorded_metrics)
    wanted = {(m.migration_id, m.last_offset) for m in figures}
    compared: list[Decision] = []
    for partition, log in sorted(partitions.items()):
        verification.counts["records"] += len(log)
        rejudged = rejudging.rejudge(log, step, wanted)
        verification.segments += [Segment(partition, *gap) for gap in rejudged.segments]
        verification.faults += [f"partition {partition}: {fault}" for fault in rejudged.faults]
        verification.counts["rejected"] += rejudged.rejected
        own = {i: d for i, d in recorded.items() if d.tripped_by.partition == partition}
        end = rejudged.watched_end(None if until is None else until.get(partition), PUBLISHING_MS)
        compared += _compare_decisions(verification, partition, rejudged, own, end)
        _compare_figures(verification, partition, rejudged, figures)
    read = set(partitions)
    verification.counts["unjudged"] += sum(d.tripped_by.partition not in read for d in recorded.values())
    if actions is not None:
        verification.faults += audit_faults(compared, actions)
        verification.counts["actions"] += len(actions)
    return verification


def _without_repeats(decisions: Iterable[Decision], verification: Verification) -> dict[str, Decision]:
    """Decisions by id. A repeat must be byte-identical: it is counted; another under the same id is a fault."""
    found: dict[str, Decision] = {}
    for decision in decisions:
        verification.counts["decisions"] += 1
        if (first := found.get(decision.decision_id)) is None:
            found[decision.decision_id] = decision
        elif first.model_dump_json() == decision.model_dump_json():
            verification.counts["repeats"] += 1
        else:
            verification.faults.append(f"decision {decision.decision_id} is on record twice, with different bytes")
    return found


def _compare_decisions(
    verification: Verification, partition: int, rejudged: Rejudged, recorded: dict[str, Decision], end: int
) -> list[Decision]:
    """Missing, extra, different. Gives the recorded decisions that agree, for the audit."""
    counts, faults = verification.counts, verification.faults
    foreign = [d.tripped_by.offset for d in recorded.values() if d.engine_version != ENGINE_VERSION]
    if foreign:
        versions = sorted({d.engine_version for d in recorded.values()} - {ENGINE_VERSION})
        reason = f"decided by engine version {', '.join(versions)}; this is {ENGINE_VERSION}"
        verification.segments.append(Segment(partition, min(foreign), max(foreign), False, reason))
    agreed = []
    for found in recorded.values():
        at, mine = found.tripped_by.offset, rejudged.decisions.get(found.decision_id)
        if (foreign and min(foreign) <= at <= max(foreign)) or not rejudged.judges(found):
            counts["unjudged"] += 1
        elif mine is None:
            faults.append(f"partition {partition}: extra {_named(found)}: the log does not give it")
        elif mine.model_dump_json() != found.model_dump_json():
            faults.append(f"partition {partition}: different {_named(found)}: the log gives {_difference(mine, found)}")
        else:
            counts["compared"] += 1
            agreed.append(found)
    for mine in rejudged.decisions.values():
        at = mine.tripped_by.offset
        if mine.decision_id in recorded or (foreign and min(foreign) <= at <= max(foreign)):
            continue
        if not rejudged.judges(mine):
            counts["unjudged"] += 1
        elif at > end:
            counts["pending"] += 1
        else:
            faults.append(f"partition {partition}: missing {_named(mine)}: the log gives it, no record has it")
    return agreed


def _newest(recorded: Iterable[MigrationMetrics]) -> list[MigrationMetrics]:
    """The newest figures on record of each migration."""
    found: dict[str, MigrationMetrics] = {}
    for metrics in recorded:
        was = found.get(metrics.migration_id)
        if was is None or metrics.last_offset >= was.last_offset:
            found[metrics.migration_id] = metrics
    return list(found.values())


def _compare_figures(
    verification: Verification, partition: int, rejudged: Rejudged, recorded: list[MigrationMetrics]
) -> None:
    """Each migration's newest figures on record are those that the engine gives at the same record."""
    for found in recorded:
        migration_id = found.migration_id
        if found.partition != partition:
            continue
        mine = rejudged.figures.get((migration_id, found.last_offset))
        if found.engine_version != ENGINE_VERSION or not rejudged.judges_figures(found):
            verification.counts["unjudged"] += 1
        elif mine is None or mine.model_dump_json() != found.model_dump_json():
            verification.faults.append(
                f"partition {partition}: the figures of {migration_id} at offset {found.last_offset} differ: "
                + ("the log gives none" if mine is None else _difference(mine, found))
            )
        else:
            verification.counts["figures"] += 1


def _named(d: Decision) -> str:
    return (
        f"decision {d.decision_id} ({d.migration_id} {d.trigger_id} {d.action} at {d.tripped_by.offset}: {d.verdict})"
    )


def _difference(mine: Decision | MigrationMetrics, found: Decision | MigrationMetrics) -> str:
    ours, theirs = mine.model_dump(), found.model_dump()
    name = next(name for name in ours if ours[name] != theirs[name])
    return f"{name} {ours[name]!r}, on record {theirs[name]!r}"
