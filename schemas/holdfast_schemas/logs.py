"""JSON logs of the services: one object a line on stderr, with migration_id, run_id and decision_id where they are known.

A foreign error is logged by its class and the redacted first line of its text: databases and pydantic quote values.
"""

import logging
import os
import sys
import traceback
from datetime import UTC, datetime

import orjson

from .errors import HoldfastError, Undecodable
from .redaction import redacted

CONTEXT = ("migration_id", "run_id", "decision_id", "partition", "epoch")
"""Fields that a call may give in ``extra``."""
HEAD = "Traceback (most recent call last):\n"


class JsonFormatter(logging.Formatter):
    """A log record as one JSON object."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": _message(record),
        }
        line |= {name: value for name in CONTEXT if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["traceback"] = _traceback(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def _message(record: logging.LogRecord) -> str:
    """The message; an error among its arguments is shown as ``_shown`` says."""
    if isinstance(record.args, tuple) and any(isinstance(argument, BaseException) for argument in record.args):
        shown = (_shown(argument) if isinstance(argument, BaseException) else argument for argument in record.args)
        return str(record.msg) % tuple(shown)
    return record.getMessage()


def _shown(error: BaseException) -> str:
    """Our own refusals in their words, but of a record that cannot be read the reason only; of others a line."""
    if isinstance(error, Undecodable):
        return error.reason
    return str(error) if isinstance(error, HoldfastError) else redacted(str(error)) or type(error).__name__


def _traceback(error: BaseException | None) -> str:
    """Where it was raised, and what it came from, the newest first."""
    parts: list[str] = []
    while error is not None and len(parts) < 10:
        kind = f"{type(error).__module__}.{type(error).__qualname__}: {_shown(error)}"
        parts.append(HEAD + "".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nfrom:\n".join(parts)


def configure_json_logging(service: str, level: str = "INFO") -> None:
    """Log as JSON to a copy of stderr: a library that takes over ``sys.stderr`` does not take the log with it."""
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("holdfast").setLevel(level)
