"""A trigger as the engine reads it: what would be worked out anew at each record is worked out once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from holdfast_schemas.triggers import OPS, RuleSet, Trigger

COUNTED = ("error_rate", "average_processing_time", "rows_per_second")
"""Sums over reports: each report may be judged by them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One trigger of the rules in force."""

    trigger: Trigger
    panes_key: str
    """The panes that it reads: of its window, and of its phases where it has any."""
    by_report: bool
    """Whether each report is judged by it; time, quantiles and health are judged at each Tick."""
    scoped: bool
    """Whether it holds in some phases or hours only."""
    placed: bool
    """Whether it is for some targets or migrations only."""
    limit: float
    """The threshold as a number; NaN of estimated_completion, whose limit is a moment of each run's own."""
    over: Callable[[float, float], bool]


def panes_key(trigger: Trigger) -> str:
    """What the panes of a trigger are kept under."""
    return "@".join((str(trigger.window_seconds), *sorted(trigger.phases)))


def compiled(rules: RuleSet) -> tuple[Rule, ...]:
    """The triggers in their order."""
    return tuple(
        Rule(
            trigger,
            panes_key(trigger),
            trigger.metric in COUNTED or trigger.metric.startswith("run."),
            bool(trigger.phases or trigger.between or trigger.not_between),
            bool(trigger.targets or trigger.migrations),
            math.nan if trigger.metric == "estimated_completion" else trigger.limit,
            OPS[trigger.op],
        )
        for trigger in rules.triggers
    )
