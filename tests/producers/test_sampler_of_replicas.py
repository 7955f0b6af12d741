"""A streaming replica's lag: known, not known yet, and not there; never a zero that nobody measured."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import programs
from holdfast_producers.samplers.postgres import PostgresSampler
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]
LAG = "replication_lag_seconds"


@pytest.fixture
def primary() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(fsync=False) as started:
        yield started


@pytest.fixture
def replica(primary: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """A copy of the primary that streams from it."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-replica-"))
    folder.chmod(0o755)
    user = primary.run_as
    if user is not None:
        os.chown(folder, user.uid, user.gid)
    copy = EmbeddedPostgres(folder, fsync=False, settings={"wal_receiver_status_interval": "1s"})
    try:
        subprocess.run(
            [programs() / "pg_basebackup", "-D", copy.data, "-R", "-c", "fast", "--no-sync", "-d", primary.dsn()],
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
            cwd="/",
            check=True,
        )
        yield copy.start()
    finally:
        copy.close()
        shutil.rmtree(folder)


def test_the_lag_of_a_replica_that_stands_still_grows_and_is_never_a_false_zero(
    primary: EmbeddedPostgres, replica: EmbeddedPostgres
) -> None:
    sampler = PostgresSampler(primary.dsn())

    def lag() -> float | None:
        return sampler.sample().metrics.get(LAG)

    with (
        psycopg.connect(primary.dsn(), autocommit=True) as writer,
        psycopg.connect(replica.dsn(), autocommit=True) as reader,
    ):
        wait_for(lambda: lag() == 0, 30, "the replica to be level")
        reader.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        wait_for(lambda: (reader.execute(paused).fetchone() or [False])[0], 30, "the replay to stand still")
        writer.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)")
        seen: list[float | None] = []

        def grown() -> bool:
            seen.append(lag())
            return (seen[-1] or 0) > 1.5

        wait_for(grown, 30, "the lag to grow")
        assert 0 not in seen, seen
        reader.execute("SELECT pg_wal_replay_resume()")
        wait_for(lambda: lag() == 0, 30, "the replica to be level again")
        standby = PostgresSampler(replica.dsn())
        assert LAG not in standby.sample().metrics  # it has no replica of its own
        standby.close()
    replica.kill()
    wait_for(lambda: lag() is None, 30, "the lag of a replica that is gone not to be known")
    sampler.close()
