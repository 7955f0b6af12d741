"""Whether a migration is armed before its first row, and why: what ``protect`` in ``[migrations.ID]`` means. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

MEGABYTE = 1_000_000
SHOWN = 3
"""So many statements are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Major:
    """Whether much is at stake, whatever triggers may do; ``why`` in words, also where it is not."""

    is_major: bool
    why: str


@dataclass(frozen=True, slots=True)
class Protection:
    """``armed``: whether it is armed before its first row; None while nobody can tell yet."""

    armed: bool | None
    why: str


def judge_major(losing: Sequence[str], table_bytes: int, major_bytes: int) -> Major:
    """``losing``: the plan's statements that lose data, as they are to be named; ``table_bytes`` of its tables, indexes too."""
    if losing:
        more = f" and {len(losing) - SHOWN} more" if len(losing) > SHOWN else ""
        return Major(True, f"its plan loses data: {'; '.join(losing[:SHOWN])}{more}")
    size = f"its tables hold {_megabytes(table_bytes)} of at most {_megabytes(major_bytes)} (major_bytes)"
    if table_bytes > major_bytes:
        return Major(True, size.replace(" of at most ", ", more than "))
    return Major(False, f"{size}, and no statement of its plan loses data")


def judge_protection(protect: str, rolling_back: Sequence[str], major: Major | None) -> Protection:
    """``rolling_back``: triggers in force that may roll it back; ``major`` None: its target was not looked at yet."""
    if protect == "always":
        return Protection(True, "protect = always")
    if protect == "never":
        return Protection(False, "protect = never")
    if rolling_back:
        return Protection(True, f"trigger {rolling_back[0]} may roll it back")
    if major is None:
        return Protection(None, "its plan and its tables were not looked at yet")
    if major.is_major:
        return Protection(True, major.why)
    return Protection(False, f"no trigger in force may roll it back, {major.why}")


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"
