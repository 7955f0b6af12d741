"""Triggers and the rule set that carries them: what the engine judges by, and nothing that it judges.

A rule set carries **every** setting that the engine judges by; processors have none of their own (protocol 4).
"""

import hashlib
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from .clock_times import HOURS_PATTERN, completion_limit, hours, time_zone
from .identity import MigrationId, TargetName, TriggerId
from .record import Count, Frozen, Seconds
from .states import TriggerAction

METRIC_UNITS = {
    "error_rate": "",
    "response_time_p95": "ms",
    "batch_duration_p95": "ms",
    "average_processing_time": "s",
    "rows_per_second": "rows/s",
    "estimated_completion": "",
    "running_seconds": "s",
    "seconds_since_progress": "s",
    "seconds_since_report": "s",
}
"""The metrics that every run has, and their units. Others are ``run.<name>`` and ``target.<name>``, without a unit."""

METRIC_PATTERN = rf"^({'|'.join(METRIC_UNITS)}|(run|target)\.[a-z][a-z0-9_]{{0,62}})$"


def _is_a_metric(name: str) -> str:
    if not re.match(METRIC_PATTERN, name):
        raise ValueError(f"allowed are {', '.join(METRIC_UNITS)}, run.<name> and target.<name>")
    return name


Metric = Annotated[str, AfterValidator(_is_a_metric), Field(json_schema_extra={"pattern": METRIC_PATTERN})]
"""``run.<name>``: what reports carry (``run.metric(name, value)``); ``target.<name>``: what health samples carry."""
Op = Literal[">", ">=", "<", "<=", "==", "!="]
Hours = Annotated[str, AfterValidator(hours), Field(json_schema_extra={"pattern": HOURS_PATTERN})]
Aggregate = Literal["mean", "min", "max", "last"]

OPS: dict[Op, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
SEVERITY: dict[TriggerAction, int] = {"warn": 1, "pause": 2, "rollback": 3}
"""On one event the severest action acts; the others are recorded with ``superseded_by``."""

WINDOW_PANES = 12
"""Panes a window; its fast window is a sixth (2 panes), its slow window five of it (5 * 12 panes)."""


class Trigger(Frozen):
    """One rule: ``metric op threshold`` over a window for a time, where and when it holds, and the action that it asks for."""

    id: TriggerId
    metric: Metric
    op: Op = ">"
    threshold: float | Annotated[str, StringConstraints(max_length=40)]
    """A number in the metric's unit; for estimated_completion also a time or a duration (clock_times.completion_limit)."""
    action: TriggerAction
    window_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    for_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """How long the breach must last, in running time, before it decides."""
    min_attempted_rows: Count = 100
    """error_rate, average_processing_time: below this many rows in the window the verdict is `too few rows`."""
    aggregate: Aggregate = "mean"
    """Of ``run.*`` and ``target.*``: what is made of the values in the window."""
    phases: tuple[str, ...] = ()
    """Judge only in these phases, and count only what was reported in them; empty: in all."""
    targets: tuple[TargetName, ...] = ()
    migrations: tuple[MigrationId, ...] = ()
    """Judge only runs on these targets, or of these migrations; empty: all."""
    between: Hours | None = None
    not_between: Hours | None = None
    """Judge only in, or only outside these hours of ``time_zone``: ``09:00-17:00``, to excluded; ``22:00-06:00`` is a night."""
    time_zone: str = "UTC"
    on_missing: Literal["ignore", "warn", "pause"] = "warn"
    """What a signal that was there and went silent leads to; never beyond the trigger's own action."""
    required: bool = False
    """Holds the start gate until the signal is there."""
    mode: Literal["enforce", "shadow"] = "enforce"

    @model_validator(mode="after")
    def _can_be_judged(self) -> "Trigger":
        time_zone(self.time_zone)
        if self.between is not None and self.not_between is not None:
            raise ValueError("between and not_between: allowed is one of them")
        if self.metric == "estimated_completion":
            completion_limit(self.threshold, self.time_zone, datetime(2026, 1, 1, tzinfo=UTC))
        elif isinstance(self.threshold, str):
            raise ValueError(f"threshold {self.threshold!r}: {self.metric} is compared with a number")
        return self

    @property
    def of_target(self) -> bool:
        """Whether its signal is the target's (health samples), not the run's own."""
        return self.metric == "response_time_p95" or self.metric.startswith("target.")

    def concerns(self, migration_id: str, target: str | None) -> bool:
        """Whether it is for this migration, on this target, at all."""
        if self.targets and target not in self.targets:
            return False
        return not self.migrations or migration_id in self.migrations

    @property
    def limit(self) -> float:
        """The threshold as a number; of every metric but estimated_completion."""
        if isinstance(self.threshold, str):
            raise TypeError(f"{self.metric} has no number for a threshold")
        return self.threshold

    @property
    def unit(self) -> str:
        """The unit of its metric; empty without one."""
        return METRIC_UNITS.get(self.metric, "")


class JudgementSettings(Frozen):
    """The engine's own times, in seconds of log time (protocol: defaults)."""

    reassert_seconds: Annotated[float, Field(ge=1)] = 30.0
    dead_after_seconds: Annotated[float, Field(ge=2)] = 30.0
    stuck_floor_seconds: Annotated[float, Field(ge=1)] = 60.0
    stuck_gap_factor: Annotated[float, Field(ge=1)] = 8.0
    blind_gap_seconds: Annotated[float, Field(ge=1)] = 3.0
    reporting_interval_seconds: Annotated[float, Field(gt=0)] = 1.0
    health_fresh_seconds: Annotated[float, Field(ge=1)] = 30.0
    watch_window_seconds: Seconds = 600.0
    stub_seconds: Seconds = 8 * 86_400.0


class RuleSet(Frozen):
    """All rules in force in a partition of the log."""

    triggers: Annotated[tuple[Trigger, ...], Field(max_length=200)] = ()
    judgement: JudgementSettings = JudgementSettings()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "RuleSet":
        ids = [trigger.id for trigger in self.triggers]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"trigger ids stand twice: {', '.join(twice)}")
        return self


DEFAULT_RULES_TEXT = (
    '{"triggers":['
    '{"id":"error-rate-pause","metric":"error_rate","op":">","threshold":0.05,"action":"pause","window_seconds":60.0,'
    '"for_seconds":0.0,"min_attempted_rows":100,"on_missing":"warn","required":false,"mode":"enforce"},'
    '{"id":"response-time-warn","metric":"response_time_p95","op":">","threshold":2000.0,"action":"warn","window_seconds":60.0,'
    '"for_seconds":0.0,"min_attempted_rows":100,"on_missing":"warn","required":false,"mode":"enforce"},'
    '{"id":"error-rate-rollback","metric":"error_rate","op":">","threshold":0.1,"action":"rollback","window_seconds":60.0,'
    '"for_seconds":0.0,"min_attempted_rows":100,"on_missing":"warn","required":false,"mode":"enforce"}],'
    '"judgement":{"reassert_seconds":30.0,"dead_after_seconds":30.0,"stuck_floor_seconds":60.0,"stuck_gap_factor":8.0,'
    '"blind_gap_seconds":3.0,"reporting_interval_seconds":1.0,"health_fresh_seconds":30.0,"watch_window_seconds":600.0,'
    '"stub_seconds":691200.0}}'
)
"""The bytes of version 0: what stands before the first TriggersApplied. Their hash names it in every release: never edit them."""
DEFAULT_RULES = RuleSet.model_validate_json(DEFAULT_RULES_TEXT)


def rules_hash(text: str) -> str:
    """SHA-256, as hex, of a rule set's bytes as carried."""
    return hashlib.sha256(text.encode()).hexdigest()


DEFAULT_RULES_HASH = rules_hash(DEFAULT_RULES_TEXT)
