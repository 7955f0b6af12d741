"""How long until it judges again: ``python -m benchmarks.recovery [--migrations 10000]``, on a real Kafka of its own.

Two figures: a processor that was SIGKILLed is started again on the states of many migrations; and a breach whose partition's
owner was just SIGKILLed is decided by the other worker (a session's time-out, 10 s by default, is most of it).
"""

import argparse
import sys
import time

from tests.runtime.migrations import Migration
from tests.runtime.workers import Worker, processor
from tests.waiting import wait_for

from benchmarks.stage import kafka_and_folder
from holdfast_schemas.events import RunFinished
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import messages_to_end, read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import CHANGELOG

REPORTS = 5
SESSION = {"HOLDFAST_PROCESSOR__SESSION_TIMEOUT_SECONDS": "10"}


def kept_states(kafka: KafkaSettings) -> dict[bytes, int]:
    """Bytes of the newest kept state of each migration."""
    found = {}
    for message in messages_to_end(kafka, f"{kafka.topic_prefix}.{CHANGELOG}"):
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and not key.startswith(b"~") and isinstance(value, bytes):
            found[key] = len(value)
    return found


def start_again(worker: Worker, again: Worker) -> tuple[float, str]:
    """Seconds from the start of a process to its being ready after the SIGKILL of the one before, and what it said it loaded."""
    worker.kill()
    began = time.monotonic()
    with again:
        again.wait_ready()
        seconds = time.monotonic() - began
        loaded = [line["message"] for line in again.said() if line["message"].startswith("loaded ")]
        again.stop()
    return seconds, "; ".join(loaded)


def finished(migration: Migration, publisher: Publisher) -> None:
    """The ledger's word that the run is over: ten thousand workers that fell silent together would be another benchmark."""
    end = RunFinished(
        migration_id=migration.migration_id, run_id=migration.run_id, start_epoch=1, epoch=1, outcome="completed",
        occurred_at=now(),
    )  # fmt: skip
    publisher.publish(topics.events, end)


def decided_after_a_death(
    kafka: KafkaSettings, fleet: list[Migration], publisher: Publisher, victim: Worker
) -> list[float]:
    """Seconds from the SIGKILL, with the breaches of ``fleet`` right behind it, to each one's decision in the log."""
    victim.kill()
    began = time.monotonic()
    for migration in fleet:
        migration.report(10_000, 4_000)
    publisher.flush()
    names = {migration.migration_id for migration in fleet}
    seen: dict[str, float] = {}

    def all_decided() -> bool:
        for received in read_to_end(kafka, topics.decisions):
            if received.record.migration_id in names:
                seen.setdefault(received.record.migration_id, time.monotonic() - began)
        return len(seen) == len(names)

    wait_for(all_decided, 120, "every decision", 0.2)
    return sorted(seen.values())


def main(migrations: int) -> int:
    """Print the figures; the exit code."""
    with kafka_and_folder() as (kafka, folder), Publisher(kafka, "bench", delivery_seconds=60.0) as publisher:
        # Few Ticks: only the states are wanted of the first, and ten thousand figures a second would hold it up.
        with processor(folder, kafka, "first", HOLDFAST_PROCESSOR__TICK_SECONDS="25") as worker:
            worker.wait_for_log("loaded ")
            fleet = [Migration(publisher, f"m{n:06}") for n in range(migrations)]
            for migration in fleet:
                migration.start()
            for _ in range(REPORTS):
                for migration in fleet:
                    migration.report(100, 1)
                publisher.flush()
            for migration in fleet:
                finished(migration, publisher)
            publisher.flush()
            wait_for(lambda: len(kept_states(kafka)) == migrations, 300, "every state to be kept", 2.0)
            sizes = kept_states(kafka)
            seconds, loaded = start_again(worker, processor(folder, kafka, "second"))
        print(
            f"{migrations:,} migrations, states of {sum(sizes.values()) / len(sizes):,.0f} bytes on average: ready"
            f" {seconds:.1f} s after the process's start, the dead one's session of 6 s included ({loaded})"
        )
        with processor(folder, kafka, "a", **SESSION) as a, processor(folder, kafka, "b", **SESSION) as b:
            a.wait_ready()
            b.wait_ready()
            fifty = [Migration(publisher, f"live-{n:02}") for n in range(50)]
            for migration in fifty:
                migration.start()
            publisher.flush()
            # Of fifty migrations some are the victim's: the slowest had to wait until their partitions were taken over.
            seconds_to = decided_after_a_death(kafka, fifty, publisher, a)
            print(
                f"a breach right after a worker's SIGKILL, decided: {seconds_to[0]:.1f} s where the other worker has the"
                f" partition, {seconds_to[-1]:.1f} s where it takes it over"
            )
            assert b.stop() == 0
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--migrations", type=int, default=10_000)
    sys.exit(main(parser.parse_args().migrations))
