"""A log as JSON lines, and back: what a bug report, a golden test and a person's experiment carry.

A line is ``{"timestamp": ms, "partition": p, "offset": o, "key": "...", "value": {...}}``, in log order. Bytes that are not
such JSON are kept as they came: ``value_base64`` / ``key_base64`` stand in the place of ``value`` / ``key``.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from holdfast_schemas.decisions import Decision
from holdfast_schemas.triggers import RuleSet

from .engine.engine import step
from .engine.records import LogRecord
from .engine.state import PartitionState

ABOVE_ALL = 2**62
"""A rules version that none in a log is above."""


def write_lines(records: Iterable[LogRecord]) -> Iterator[bytes]:
    """Each record as a line (with its newline). ``read_lines`` gives records of the same judgement back."""
    for record in records:
        line: dict[str, Any] = {
            "timestamp": record.timestamp,
            "partition": record.partition,
            "offset": record.offset,
            **_carried("key", record.key, _as_text),
            **_carried("value", record.value, _as_json),
        }
        yield orjson.dumps(line) + b"\n"


def read_lines(lines: Iterable[bytes | str]) -> Iterator[LogRecord]:
    """The records of recorded lines; blank lines are passed over. Raises ValueError for a line that is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            raw = orjson.loads(line)
            yield LogRecord(raw["partition"], raw["offset"], raw["timestamp"], _bytes(raw, "key"), _bytes(raw, "value"))
        except (ValueError, KeyError, TypeError) as why:
            raise ValueError(f"line {number} is not a recorded event: {why!r}") from why


def replay(records: Iterable[LogRecord], rules: RuleSet | None = None) -> Iterator[Decision]:
    """Judge a recorded log from its beginning, every partition by itself; decisions in the order of the records.

    With ``rules`` by these throughout, whatever was in force when it was recorded.
    """
    states: dict[int, PartitionState] = {}
    for record in records:
        state = states.get(record.partition)
        if state is None:
            state = states[record.partition] = PartitionState(record.partition)
            if rules is not None:
                state.rules, state.rules_version = rules, ABOVE_ALL
        yield from step(state, record).decisions


def _carried(name: str, data: bytes | None, read: Any) -> dict[str, Any]:
    if data is None:
        return {name: None}
    plain = read(data)
    return {f"{name}_base64": base64.b64encode(data).decode()} if plain is None else {name: plain}


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _as_json(data: bytes) -> Any:
    """The value where JSON carries it to the byte; None where only the bytes themselves do."""
    try:
        value = orjson.loads(data)
    except ValueError:
        return None
    return value if orjson.dumps(value) == data else None


def _bytes(raw: dict[str, Any], name: str) -> bytes | None:
    if f"{name}_base64" in raw:
        return base64.b64decode(raw[f"{name}_base64"], validate=True)
    value = raw[name]
    if value is None:
        return None
    return str(value).encode() if name == "key" else orjson.dumps(value)
