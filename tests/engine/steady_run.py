"""A run of one worker under one trigger, in phase `copy`, that goes on steadily: for tests of what a trigger sees."""

from typing import Any

from holdfast_schemas.metrics import TriggerReading
from holdfast_schemas.triggers import Trigger

from .a_log import Log, judge


def trigger(metric: str, threshold: float | str, op: str = ">", **also: Any) -> Trigger:
    return Trigger.model_validate(
        {"id": "t", "metric": metric, "op": op, "threshold": threshold, "action": "warn", **also}, strict=False
    )


def ruled(rule: Trigger, **started: Any) -> Log:
    log = Log()
    log.tick()
    log.rules(1, rule)
    log.started(**started)
    log.progress(0, phase="copy")
    log.tick(1)
    return log


def steady(log: Log, seconds: int, rows: int = 100, **fields: Any) -> None:
    for _ in range(seconds):
        log.progress(rows, phase="copy", **fields)
        log.tick(1)


def reading(log: Log) -> TriggerReading:
    """What the newest figures say of the one trigger."""
    return next(m for o in reversed(judge(log)[1]) for m in reversed(o.metrics)).triggers[0]
