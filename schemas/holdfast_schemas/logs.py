"""JSON logs of the services: one object a line on stderr, with migration_id, run_id and decision_id where they are known."""

import logging
import os
import sys
from datetime import UTC, datetime

import orjson

CONTEXT = ("migration_id", "run_id", "decision_id", "partition", "epoch")
"""Fields that a call may give in ``extra``."""


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
            "message": record.getMessage(),
        }
        line |= {name: value for name in CONTEXT if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure_json_logging(service: str, level: str = "INFO") -> None:
    """Log as JSON to a copy of stderr: a library that takes over ``sys.stderr`` does not take the log with it."""
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("holdfast").setLevel(level)
