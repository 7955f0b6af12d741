"""Triggers and the rule set that carries them: what the engine judges by, and nothing that it judges.

A rule set carries **every** setting that the engine judges by; processors have none of their own (protocol 4).
"""

import hashlib
import operator
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .identity import TriggerId
from .record import Count, Frozen, Seconds
from .states import TriggerAction

Metric = Literal["error_rate", "response_time_p95", "batch_duration_p95", "average_processing_time", "rows_per_second"]
Op = Literal[">", ">=", "<", "<="]

METRIC_UNITS: dict[Metric, str] = {
    "error_rate": "",
    "response_time_p95": "ms",
    "batch_duration_p95": "ms",
    "average_processing_time": "s",
    "rows_per_second": "rows/s",
}
OPS: dict[Op, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
SEVERITY: dict[TriggerAction, int] = {"warn": 1, "pause": 2, "rollback": 3}
"""On one event the severest action acts; the others are recorded with ``superseded_by``."""

WINDOW_PANES = 12
"""Panes a window; its fast window is a sixth (2 panes), its slow window five of it (5 * 12 panes)."""


class Trigger(Frozen):
    """One rule: ``metric op threshold`` over a window for a time, and the action that it asks for."""

    id: TriggerId
    metric: Metric
    op: Op = ">"
    threshold: float
    action: TriggerAction
    window_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    for_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """How long the breach must last, in running time, before it decides."""
    min_attempted_rows: Count = 100
    """Below this many rows in the window the verdict is `too few rows`; 0 judges any number."""
    on_missing: Literal["ignore", "warn", "pause"] = "warn"
    """What a signal that was there and went silent leads to; never beyond the trigger's own action."""
    required: bool = False
    """Holds the start gate until the signal is there."""
    mode: Literal["enforce", "shadow"] = "enforce"


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


DEFAULT_TRIGGERS = (
    Trigger(id="error-rate-pause", metric="error_rate", op=">", threshold=0.05, action="pause"),
    Trigger(
        id="response-time-warn",
        metric="response_time_p95",
        op=">",
        threshold=2000.0,
        action="warn",
        window_seconds=60.0,
    ),
    Trigger(id="error-rate-rollback", metric="error_rate", op=">", threshold=0.1, action="rollback"),
)
DEFAULT_RULES = RuleSet(triggers=DEFAULT_TRIGGERS)
DEFAULT_RULES_TEXT = DEFAULT_RULES.model_dump_json()
"""The bytes of version 0: what stands before the first TriggersApplied."""


def rules_hash(text: str) -> str:
    """SHA-256, as hex, of a rule set's bytes as carried."""
    return hashlib.sha256(text.encode()).hexdigest()


DEFAULT_RULES_HASH = rules_hash(DEFAULT_RULES_TEXT)
