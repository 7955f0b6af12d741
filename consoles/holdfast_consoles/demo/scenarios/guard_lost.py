"""guard-lost: actuator, processor and the ledger's server are SIGKILLed in turn; each time the runner pauses by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import plain_consumer
from holdfast_schemas.transport.topics import leases

from ..application import read_journal
from ..checker import Check, check_completed
from ..stage import Stage
from ..unguarded import Loss, Unguarded, unguarded
from .play import Play

SHORTENED = {
    "actuator": {"beat_seconds": 1.0, "lease_seconds": 6.0},
    "reporter": {"guard_return_spread_seconds": 1.0},
}
PAUSED_SECONDS = 3.0
ROWS_BETWEEN = 500


@dataclass(frozen=True)
class Part:
    """A part of the loop that can be lost and brought back."""

    name: str
    kill: Callable[[], object]
    start: Callable[[], object]


def guard_lost(play: Play) -> None:
    """Play it."""
    play.start_worker("runner")
    partition = partition_of_migration(play)
    found = [_lose(play, part, partition) for part in parts(play.stage)]
    worst = max(found, key=lambda loss: loss.seconds)
    play.live.say(f"the worst unguarded time: {worst.seconds:.1f} s, without {worst.part}")
    play.wait(lambda: play.story.finished is not None, "the end of the run")
    play.stop_application()
    play.take(check_completed(play.stage.app_dsn, read_journal(play.journal)))
    fired = [d.record.verdict for d in play.story.decisions]
    play.check(
        Check("nothing fired: a loss of the guard is nobody's error", not fired, "; ".join(fired) or "no decision")
    )
    play.check(Check("the run completed", play.story.finished == "completed", str(play.story.finished)))


def parts(stage: Stage) -> list[Part]:
    """The three without which there is no guard."""
    return [
        Part("the actuator", lambda: stage.processes["actuator"].kill(), stage.start_actuator),
        Part("the processor", lambda: stage.processes["processor"].kill(), stage.start_processor),
        Part("the ledger's server", stage.ledger.kill, stage.ledger.start),
    ]


def partition_of_migration(play: Play) -> int:
    """The partition that holds the demo's migration, on every topic."""
    kafka = play.stage.kafka
    consumer = plain_consumer(kafka)
    try:
        return partition_of(
            play.story.migration_id, partitions_of(consumer, kafka, leases.full_name(kafka.topic_prefix))
        )
    finally:
        consumer.close()


def _lose(play: Play, part: Part, partition: int) -> Unguarded:
    story = play.story
    before = story.rows_done()
    play.wait(lambda: story.rows_done() > before + ROWS_BETWEEN, "rows under the guard")
    killed_at = datetime.now(UTC)
    part.kill()
    play.live.say(f"killed {part.name} (SIGKILL)", "bold red")
    play.wait(lambda: story.worker_states() == {"paused"}, f"the runner's own pause without {part.name}")
    play.live.say(f"the runner paused by itself: {play.said_by('runner', 'holds at its next checkpoint: ')}")
    play.stay(datetime.now(UTC), PAUSED_SECONDS, 0)
    back_at = datetime.now(UTC)
    part.start()
    play.live.say(f"started {part.name} again")
    play.wait(lambda: story.worker_states() == {"running"}, "the guard's return")
    found = unguarded(play.stage.app_dsn, play.stage.kafka, partition, Loss(part.name, killed_at, back_at))
    play.check(found.check())
    return found
