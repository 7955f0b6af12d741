"""The demo's report: what happened, as JSON, from the consumed records and the database's answers."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.states import FINAL_OUTCOMES
from holdfast_schemas.transport.reading import Received

from .checker import Check
from .story import Story


@dataclass(frozen=True)
class DecisionReport:
    """One decision and what became of it; times from the timestamps of the consumed records, in milliseconds."""

    trigger_id: str
    action: str
    metric: str
    observed: float | None
    threshold: float
    verdict: str
    outcome: str | None
    breach_to_decision_ms: int | None
    decision_to_acknowledged_ms: int | None
    decision_to_effective_ms: int | None


@dataclass
class Report:
    """The report as a whole; figures are rows, writes and records."""

    scenario: str
    rows: int
    seed: int
    broker: str
    outcome: str = "failed"
    verified: bool = False
    checks: list[Check] = field(default_factory=list)
    decisions: list[DecisionReport] = field(default_factory=list)
    rows_changed_while_paused: int = 0
    rows_not_restored: int = 0
    application_writes: int = 0
    application_writes_lost: int = 0
    rows_undone: int = 0
    """By the actuator, from PostgreSQL's log."""
    undo_seconds: float = 0.0
    conflicts: int = 0
    events: int = 0
    wall_seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether there were checks, and none failed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def write(self, path: Path) -> None:
        """The report as a JSON file."""
        path.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def decision_reports(story: Story) -> list[DecisionReport]:
    """Each decision that was read, in order, with its outcome and times."""
    return [_of(story, decision) for decision in story.decisions]


def _of(story: Story, received: Received[Decision]) -> DecisionReport:
    decision = received.record
    about = [a for a in story.actions if a.record.cause_id == decision.decision_id]
    final = [a.record.outcome for a in about if a.record.outcome in FINAL_OUTCOMES]
    tripped_ms = story.event_times.get((decision.tripped_by.partition, decision.tripped_by.offset))
    return DecisionReport(
        trigger_id=decision.trigger_id,
        action=decision.action,
        metric=decision.metric,
        observed=decision.observed,
        threshold=decision.threshold,
        verdict=decision.verdict,
        outcome=final[-1] if final else about[-1].record.outcome if about else None,
        breach_to_decision_ms=None if tripped_ms is None else received.timestamp_ms - tripped_ms,
        # With one worker the first acknowledgement is also the last: effective, in one record.
        decision_to_acknowledged_ms=_after(received, about, "acknowledged", "effective"),
        decision_to_effective_ms=_after(received, about, "effective"),
    )


def _after(decision: Received[Decision], about: list[Received[ActionRecorded]], *outcomes: str) -> int | None:
    times = [a.timestamp_ms for a in about if a.record.outcome in outcomes]
    return times[0] - decision.timestamp_ms if times else None
