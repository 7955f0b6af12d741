"""Verdicts in words: `<signal> <observed> <op> <threshold> over <window> (<k> of <n>)`. Numbers are formatted here only."""

import math

from holdfast_schemas.triggers import Trigger

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
    return f"{trigger.limit:g} {trigger.unit}".rstrip()


def op(trigger: Trigger, *, breach: bool) -> str:
    return trigger.op if breach else f"not {trigger.op}"


def compared(trigger: Trigger, observed: float, note: str, *, breach: bool, windowed: bool = True) -> str:
    """The verdict on a signal that is there."""
    shown = f"{told_apart(observed, trigger.limit)} {trigger.unit}".rstrip()
    over = f" over {seconds(trigger.window_seconds)}" if windowed else ""
    ending = f" ({note})" if note else ""
    return f"{trigger.metric} {shown} {op(trigger, breach=breach)} {threshold(trigger)}{over}{ending}"


def share(k: int | None, n: int | None) -> str:
    """`412 of 4,960; lower bound 0.076`; empty where the signal is no share."""
    return f"{k:,} of {n:,}; lower bound {wilson_lower(k, n):.3f}" if k is not None and n else ""


def samples(n: int) -> str:
    return f"{n:,} samples"


def heard(live: int, workers: int) -> str:
    return f"{live} of {workers} workers heard"


def completed_by(trigger: Trigger, observed: str, limit: str, window_seconds: float, note: str, *, breach: bool) -> str:
    """The verdict on an estimated completion: moments, not numbers."""
    return f"{trigger.metric} {observed} {op(trigger, breach=breach)} {limit} over {seconds(window_seconds)} ({note})"


def too_short(active_ms: int, needed_seconds: float) -> str:
    return f"running too short ({active_ms / 1000:.0f} of {seconds(needed_seconds)})"


def too_few(n: int, needed: int) -> str:
    return f"too few rows ({n:,} of {needed:,})"


def absent(trigger: Trigger) -> str:
    return f"{trigger.metric} absent (never seen in this run)"


def missing(trigger: Trigger, silent_ms: int) -> str:
    return f"{trigger.metric} missing for {silent_ms / 1000:.0f} s (was seen in this run)"


def unheard(trigger: Trigger, silent_ms: int) -> str:
    return f"{trigger.metric} missing for {silent_ms / 1000:.0f} s (no worker is heard)"


def no_data(trigger: Trigger) -> str:
    return f"{trigger.metric} has no data over {seconds(trigger.window_seconds)}"
