"""The scenarios, a file each: as an operator would live them. Wait for what the loop says, act, let the database judge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import guard_lost, sharded, takeover, undo
from .errors import errors
from .healthy import healthy
from .play import Play
from .slow import slow
from .stall import stall


@dataclass(frozen=True)
class Scenario:
    """What a scenario plays, and what it needs of the stage."""

    play: Callable[[Play], None]
    summary: str
    bad_rows: bool = False
    """Whether the table has rows that the migration cannot convert."""
    batches: int = 400
    shards: int = 1
    """Parts of the table that each begin with clean rows."""
    real_kafka: bool = False
    """The in-process broker has no second member of a group and forgets all when it ends."""
    actuators: int = 1
    runner: str = "holdfast_consoles.demo.runner"
    """The module of its runner."""
    migrations: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Sections ``[migrations.ID]``: what is protected."""
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Sections of holdfast.toml that it shortens, and says so."""


SCENARIOS = {
    "errors": Scenario(errors, "paused at 5 %, resumed, rolled back at 10 %", bad_rows=True),
    "healthy": Scenario(healthy, "nothing fires"),
    "slow": Scenario(
        slow, "the application's p95 is over its limit: a warning, and the migration goes on", batches=1000
    ),
    "stall": Scenario(stall, "the runner hangs and is called stuck, then is killed and is called dead"),
    "guard-lost": Scenario(
        guard_lost.guard_lost,
        "actuator, processor and the ledger's server are killed in turn, and the runner pauses by itself",
        batches=1000,
        real_kafka=True,
        settings=guard_lost.SHORTENED,
    ),
    "sharded": Scenario(
        sharded.sharded,
        "eight processes on one run, one killed and started again, are paused, resumed and rolled back as one",
        bad_rows=True,
        batches=4000,
        shards=sharded.WORKERS,
        real_kafka=True,
        settings=sharded.SHORTENED,
    ),
    "takeover": Scenario(
        takeover.takeover,
        "the worker that undoes and the actuator that owns the migration are killed, and others go on",
        batches=2000,
        real_kafka=True,
        actuators=2,
        settings=takeover.SHORTENED,
    ),
    "undo": Scenario(
        undo.undo,
        "a runner without an undo is killed half-way; the actuator takes its rows back from PostgreSQL's log",
        runner="holdfast_consoles.demo.careless_runner",
        migrations=undo.MIGRATIONS,
    ),
}
