"""Verdicts in words: `<signal> <observed> <op> <threshold> over <window> (<k> of <n>)`. Numbers are formatted here only."""

import math

from holdfast_schemas.triggers import METRIC_UNITS, Trigger

Z95 = 1.959963984540054


def wilson_lower(k: int, n: int) -> float:
    """Lower bound of the 95 % Wilson score interval for a share of k in n (Wilson 1927)."""
    p, z2 = k / n, Z95 * Z95
    lower = (p + z2 / (2 * n) - Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, lower)  # rounding may leave it a hair under zero


def number(value: float) -> str:
    """A rate with three decimals, larger figures with one or none."""
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def told_apart(value: float, limit: float) -> str:
    """The number with as many digits as it takes not to read like the limit: `0.0504 > 0.05`, never `0.050 > 0.05`."""
    text = number(value)
    for digits in range(4, 10):
        if value == limit or float(text.replace(",", "")) != limit:
            break
        text = f"{value:.{digits}f}"
    return text


def seconds(value: float) -> str:
    return f"{value:g} s"


def threshold(trigger: Trigger) -> str:
    unit = METRIC_UNITS[trigger.metric]
    return f"{trigger.threshold:g}" + (f" {unit}" if unit else "")


def compared(trigger: Trigger, observed: float, k: int | None, n: int | None, *, breach: bool) -> str:
    """The verdict on a signal that is there."""
    unit = METRIC_UNITS[trigger.metric]
    shown = told_apart(observed, trigger.threshold) + (f" {unit}" if unit else "")
    op = trigger.op if breach else f"not {trigger.op}"
    counts = ""
    if k is not None and n:
        counts = f" ({k:,} of {n:,}; lower bound {wilson_lower(k, n):.3f})"
    elif n is not None:
        counts = f" ({n:,} samples)"
    return f"{trigger.metric} {shown} {op} {threshold(trigger)} over {seconds(trigger.window_seconds)}{counts}"


def too_few(n: int, needed: int) -> str:
    return f"too few rows ({n:,} of {needed:,})"


def absent(trigger: Trigger) -> str:
    return f"{trigger.metric} absent (never seen in this run)"


def missing(trigger: Trigger, silent_ms: int) -> str:
    return f"{trigger.metric} missing for {silent_ms / 1000:.0f} s (was seen in this run)"


def no_data(trigger: Trigger) -> str:
    return f"{trigger.metric} has no data over {seconds(trigger.window_seconds)}"
