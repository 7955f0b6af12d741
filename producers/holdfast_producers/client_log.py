"""The Kafka client's own log lines, tamed: 26 lines in 5 s without a broker become one of each kind in 30 s."""

import logging
import time

REPEAT_SECONDS = 30.0


class OneOfAKind(logging.Filter):
    """Lets one line of each facility (FAIL, TRANSPORT ...) through in 30 s, and none above WARNING: retries are normal."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
        now = time.monotonic()
        if now < self._next.get(kind, 0.0):
            return False
        self._next[kind] = now + REPEAT_SECONDS
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def client_log() -> logging.Logger:
    """The logger to hand to every Kafka client that lives in a runner."""
    log = logging.getLogger("holdfast.producers.kafka")
    if not any(isinstance(one, OneOfAKind) for one in log.filters):
        log.addFilter(OneOfAKind())
    return log
