"""The ledger's server is SIGKILLed under load, and the ledger comes back as an older backup: what runners obeyed stands."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .actuators import Actuators, driven
from .audit import assert_nothing_lost_or_doubled, control_ends_with_the_ledger, quiet, rows
from .fleet import Fleet, Runner

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(240)]
NOT_FINAL = "SELECT cause_id FROM action WHERE state IN ('requested', 'held', 'acknowledged', 'unacknowledged')"


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that the test may kill."""
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute("CREATE DATABASE ledger")
        yield server


def test_a_sigkill_of_the_ledgers_server_loses_nothing(
    kafka_settings: KafkaSettings, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = server.dsn("ledger")
    with ExitStack() as stack, Fleet(kafka_settings, 16) as fleet:
        actuators = Actuators(kafka_settings, dsn, tmp_path, stack)
        actuators.start("a")
        actuators.start("b")
        wait_for(fleet.granted, 60, "every run's grant")
        with driven(fleet, 0.02):
            wait_for(lambda: len(fleet.causes) > 100, 60, "causes before the kill")
            server.kill()
            without = len(fleet.causes)
            wait_for(lambda: len(fleet.causes) > without + 100, 60, "causes while it is away")
            server.start()
            back = len(fleet.causes)
            wait_for(lambda: len(fleet.causes) > back + 100, 60, "causes after its return")
        wait_for(lambda: quiet(dsn, fleet), 120, "every cause's final outcome")
        actuators.stop()
    counts = assert_nothing_lost_or_doubled(dsn, fleet)
    print(counts)


def test_a_restored_ledger_goes_over_what_runners_obeyed(
    kafka_settings: KafkaSettings, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = server.dsn("ledger")
    with ExitStack() as stack, Fleet(kafka_settings, 8) as fleet:
        actuators = Actuators(kafka_settings, dsn, tmp_path, stack)
        actuators.start("a")
        wait_for(fleet.granted, 60, "every run's grant")
        with driven(fleet, 0.02):
            wait_for(
                lambda: len(rows(dsn, "SELECT 1 FROM action WHERE state = 'effective'")) > 50, 60, "work before it"
            )
            wait_for(lambda: rows(dsn, NOT_FINAL), 60, "work that is under way", 0.002)
            actuators.kill_all()
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute("CREATE DATABASE backup TEMPLATE ledger")
        print(f"open in the backup: {len(rows(dsn, NOT_FINAL))}")
        fleet.add(Runner("later"))  # a run that the backup does not know
        actuators.start("a")
        wait_for(fleet.granted, 60, "the later run's grant")
        with driven(fleet, 0.02):
            done = len(fleet.causes)
            wait_for(lambda: len(fleet.causes) > done + 200, 60, "work after the backup")
        wait_for(lambda: quiet(dsn, fleet), 60, "every cause's final outcome")
        obeyed = {runner.migration_id: runner.obeyed[-1] for runner in fleet.runners.values()}
        actuators.kill_all()
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute("DROP DATABASE ledger WITH (FORCE)")
            db.execute("CREATE DATABASE ledger TEMPLATE backup")
        fleet.causes.clear()  # what was written after the backup is lost: the offsets are committed
        actuators.start("a")
        wait_for(lambda: fleet.runners["later"].obeyed[-1] > obeyed["later"], 60, "the word for the unknown run")
        with driven(fleet, 0.02):
            wait_for(lambda: len(fleet.causes) > 100, 60, "work after the restore")
        wait_for(lambda: quiet(dsn, fleet) and not rows(dsn, NOT_FINAL), 60, "every final outcome, of old causes too")
        actuators.stop()
    later = fleet.runners["later"]
    assert later.held is not None
    assert (later.held.desired, "HOLDFAST_RUN_ID" in later.held.reason) == ("none", True)
    assert all(runner.obeyed[-1] > obeyed[runner.migration_id] for runner in fleet.runners.values())
    assert all(runner.obeyed == sorted(set(runner.obeyed)) for runner in fleet.runners.values())
    control_ends_with_the_ledger(dsn, fleet)
