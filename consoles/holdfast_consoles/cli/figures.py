"""Figures as a person reads them: rows, ages, times, and JSON for programs."""

from datetime import UTC, datetime
from typing import Any

import orjson
import typer

from holdfast_schemas.record import Record


def age(seconds: float) -> str:
    """``12 s``, ``4 min``, ``3 h``, ``2 d``; what a skewed clock makes negative is ``0 s``."""
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def ago(then: datetime) -> str:
    """How long ago by this machine's clock: for reading only, nothing is judged by it."""
    return f"{age((datetime.now(UTC) - then).total_seconds())} ago"


def clock(then: datetime) -> str:
    """``2026-03-01 12:30:00 UTC``."""
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def figure(value: float | None, unit: str = "", *, digits: int = 3) -> str:
    """A reading with its unit; a missing one is said to be missing, never a zero."""
    if value is None:
        return f"no {unit} yet" if unit in ("rows/s", "s a row") else "absent"
    shown = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.{digits}g}"
    return f"{shown} {unit}".rstrip()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(as_json_bytes(value).decode())


def as_json_bytes(value: Any) -> bytes:
    """One JSON document; records as their contracts have them, dataclasses and times as orjson has them."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    raise TypeError(f"{type(value).__name__} has no JSON form")
