"""Golden: a recorded log (JSON lines) and what the three default triggers decide on it, to the byte.

A change here is a change of what Holdfast decides: raise ENGINE_VERSION with it.
Write anew: ``python -m tests.engine.test_golden``.
"""

from pathlib import Path

from holdfast_processors.replay import read_lines, replay, write_lines
from holdfast_schemas.triggers import DEFAULT_RULES

from .a_log import Log

GOLDEN = Path(__file__).parent / "golden"
EVENTS, DECISIONS = GOLDEN / "three-defaults.events.jsonl", GOLDEN / "three-defaults.decisions.jsonl"


def the_log() -> Log:
    """Exactly 0.05; just above it; 0.12 at once after a resume; a slow application; at last nobody is heard."""
    log = Log(partition=7)
    log.tick()
    log.started(total_rows=200_000)
    log.progress(0)
    log.tick(1)
    log.progress(1000, 50)
    log.tick(1)
    log.progress(100, 6)
    log.tick(1)
    log.progress(0, state="paused")
    log.tick(1)
    log.progress(0, resumed_epoch=3)
    log.tick(1)
    log.progress(1000, 120, resumed_epoch=3)
    log.health(2500, seq=1)
    log.tick(1)
    log.ticks(33)
    return log


def _decided(lines: bytes) -> bytes:
    return b"".join(d.model_dump_json().encode() + b"\n" for d in replay(read_lines(lines.splitlines())))


def test_the_three_defaults_decide_to_the_byte() -> None:
    assert _decided(EVENTS.read_bytes()) == DECISIONS.read_bytes()


def test_the_golden_decisions_are_the_ones_promised() -> None:
    """What the bytes must say, whoever writes them anew."""
    found = list(replay(read_lines(EVENTS.read_bytes().splitlines())))
    assert [(d.trigger_id, d.action, d.kind, d.k, d.n) for d in found[:4]] == [
        ("error-rate-pause", "pause", "breach", 56, 1100),
        ("error-rate-pause", "pause", "breach", 120, 1000),
        ("error-rate-rollback", "rollback", "breach", 120, 1000),
        ("response-time-warn", "warn", "breach", 10, 10),
    ]
    assert found[1].superseded_by == found[2].decision_id
    assert [d.superseded_by for d in (found[0], found[2], found[3])] == [None, None, None]
    assert [(d.trigger_id, d.reassertion) for d in found[4:6]] == [("error-rate-pause", 1), ("error-rate-rollback", 1)]
    assert [d.kind for d in found[6:]] == ["missing"] * 3
    assert [t.id for t in DEFAULT_RULES.triggers] == ["error-rate-pause", "response-time-warn", "error-rate-rollback"]


if __name__ == "__main__":
    recorded = b"".join(write_lines(the_log().records))
    EVENTS.write_bytes(recorded)
    DECISIONS.write_bytes(_decided(recorded))
