"""What /metrics says of the ledger, read from a real one."""

import psycopg
import pytest

from holdfast_actuators.ledger import Load
from holdfast_actuators.ledger.load import MOST_ROWS

from .conftest import Bench

pytestmark = pytest.mark.postgres


def test_an_empty_ledger_has_nothing_open_and_says_zero(bench: Bench) -> None:
    load = bench.ledger.load()
    assert load == Load(
        actions={"requested": 0, "acknowledged": 0, "unacknowledged": 0, "held": 0},
        runs={"waiting": 0, "live": 0, "undoing": 0, "finished": 0},
    )


def test_what_is_owed_and_open_is_counted(bench: Bench) -> None:
    bench.start()
    bench.acknowledge(bench.start(takeover=True))
    bench.ask("pause", bench.desired().epoch)
    load = bench.ledger.load()
    assert load.actions["requested"] == 1
    assert load.runs["live"] == 1
    assert load.outbox_rows > 0
    assert load.oldest_owed is not None
    bench.drain()
    assert (bench.ledger.load().outbox_rows, bench.ledger.load().oldest_owed) == (0, None)


def test_more_than_is_counted_costs_no_more(bench: Bench) -> None:
    with psycopg.connect(bench.dsn, options="-c search_path=holdfast") as db:
        db.execute(
            "INSERT INTO outbox (topic, headers) SELECT 'events', '[]' FROM generate_series(1, %s)", [MOST_ROWS + 9]
        )
    assert bench.ledger.load().outbox_rows == MOST_ROWS
