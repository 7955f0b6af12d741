"""Capture on a real server: the migration's rows whole and in order, nobody else's, and what cannot be taken back by name."""

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.lock_waits import with_bounded_lock_waits
from holdfast_actuators.postgres.undo.capture import capture
from holdfast_actuators.postgres.undo.planning import plan
from holdfast_actuators.postgres.undo.preview import preview
from holdfast_schemas.errors import RecoveryTaken, UndoRefused
from tests.recovery.captures import Armed
from tests.recovery.captures import armed as armed

pytestmark = pytest.mark.postgres


def test_the_migration_s_rows_whole_and_in_order_and_nobody_else_s(armed: Armed) -> None:
    second = armed.joined()
    armed.application.execute("UPDATE orders SET note = 'theirs' WHERE id = 1")
    armed.migration.execute("UPDATE orders SET note = 'ours' WHERE id IN (1, 2)")
    armed.application.execute("INSERT INTO orders VALUES (100, 'theirs', NULL)")
    second.execute("INSERT INTO orders VALUES (6, NULL, '')")
    armed.application.execute("DELETE FROM orders WHERE id = 5")
    armed.migration.execute("DELETE FROM orders WHERE id = 3")
    armed.migration.execute("UPDATE orders SET note = note")  # of six rows; nothing changes
    captured = armed.capture()
    second.close()
    assert armed.changes() == [
        (1, 1, "orders", "U", ["1", "theirs", "b"], ["1", "ours", "b"]),
        (2, 1, "orders", "U", ["2", "n", "b"], ["2", "ours", "b"]),
        (3, 2, "orders", "I", None, ["6", None, ""]),
        (4, 3, "orders", "D", ["3", "n", "b"], None),
    ]
    assert (captured.rows, captured.chunks, captured.hazards) == (4, 3, 0)
    assert (captured.foreign_rows, captured.unchanged_rows) == (3, 5)
    found = journal.expect(armed.db, "m", "captured")
    assert (found.chunks, found.next_chunk) == (3, 3)


def test_transactions_come_in_the_order_of_their_commits(armed: Armed) -> None:
    late = armed.joined()
    with late.transaction():
        late.execute("INSERT INTO events VALUES (2)")
        armed.migration.execute("INSERT INTO events VALUES (1)")
    armed.capture()
    late.close()
    assert [new[0] for *_, new in armed.wrote()] == ["1", "2"]


def test_what_was_rolled_back_is_not_there(armed: Armed) -> None:
    with armed.migration.transaction():
        armed.migration.execute("INSERT INTO events VALUES (1)")
        with armed.migration.transaction(force_rollback=True):
            armed.migration.execute("INSERT INTO events VALUES (2)")
            with armed.migration.transaction():
                armed.migration.execute("INSERT INTO events VALUES (3)")
        with armed.migration.transaction():
            armed.migration.execute("INSERT INTO events VALUES (4)")
    with armed.migration.transaction(force_rollback=True):
        armed.migration.execute("DELETE FROM orders")
    armed.capture()
    assert [(table, new[0]) for table, _, _, new in armed.wrote()] == [("events", "1"), ("events", "4")]


def test_a_large_value_that_stays_is_there_on_both_sides(armed: Armed) -> None:
    large = "ä" * 100_000
    armed.application.execute("UPDATE orders SET body = %s WHERE id = 1", [large])
    armed.migration.execute("UPDATE orders SET note = 'x' WHERE id = 1")
    armed.migration.execute("UPDATE orders SET body = 'short' WHERE id = 1")
    armed.capture()
    assert armed.wrote() == [
        ("orders", "U", ["1", "n", large], ["1", "x", large]),
        ("orders", "U", ["1", "x", large], ["1", "x", "short"]),
    ]


def test_values_are_spelled_the_same_however_the_database_is_set(armed: Armed) -> None:
    for name, value in {"DateStyle": "German", "TimeZone": "Asia/Kathmandu", "bytea_output": "escape"}.items():
        armed.application.execute(f"ALTER DATABASE {armed.db.info.dbname} SET {name} = '{value}'")
    armed.migration.execute("INSERT INTO events VALUES (1, '2026-11-23 10:00+00', 'a\\001')")
    armed.capture()
    assert armed.wrote() == [("events", "I", None, ["1", "2026-11-23 10:00:00+00", "\\x6101"])]


def test_tables_that_change_in_between_have_a_version_each(armed: Armed) -> None:
    armed.migration.execute("INSERT INTO orders VALUES (10)")
    armed.application.execute("ALTER TABLE orders ADD COLUMN more int DEFAULT 7")
    armed.migration.execute("UPDATE orders SET note = 'x' WHERE id IN (1, 10)")
    armed.application.execute("ALTER TABLE orders RENAME TO purchases")
    armed.migration.execute("DELETE FROM purchases WHERE id = 1")
    armed.capture()
    assert armed.wrote() == [
        ("orders", "I", None, ["10", None, None]),
        ("orders", "U", ["1", "n", "b", "7"], ["1", "x", "b", "7"]),
        ("orders", "U", ["10", None, None, "7"], ["10", "x", None, "7"]),
        ("purchases", "D", ["1", "x", "b", "7"], None),
    ]
    names = "SELECT version, jsonb_path_query_array(columns, '$[*].name') FROM holdfast_recovery.relation ORDER BY 1"
    before, after = ["id", "note", "body"], ["id", "note", "body", "more"]
    assert armed.db.execute(names).fetchall() == [(1, before), (2, after), (3, after)]


def test_a_key_of_which_a_column_came_later_finds_no_row_of_before(armed: Armed) -> None:
    armed.migration.execute("UPDATE orders SET note = 'x' WHERE id = 1")
    armed.application.execute("ALTER TABLE orders ADD COLUMN tenant int DEFAULT 1, DROP CONSTRAINT orders_pkey")
    armed.application.execute("ALTER TABLE orders ADD PRIMARY KEY (id, tenant)")
    armed.application.execute("INSERT INTO orders VALUES (1, 'x', 'b', 2)")  # all but the tenant is the same
    armed.capture()
    assert plan(armed.db, "m").refusals == ("public.orders got a key since, of tenant, which earlier rows do not have",)


def test_how_a_table_looked_before_the_migration_wrote_it_hinders_nothing(armed: Armed) -> None:
    armed.application.execute("UPDATE orders SET note = 'theirs'")
    armed.application.execute("ALTER TABLE orders DROP COLUMN body, DROP CONSTRAINT orders_pkey, ADD COLUMN tenant int")
    armed.application.execute("UPDATE orders SET tenant = 1")
    armed.application.execute("ALTER TABLE orders ADD PRIMARY KEY (id, tenant)")
    armed.migration.execute("UPDATE orders SET note = 'ours' WHERE id = 1")
    armed.capture()
    assert armed.wrote() == [("orders", "U", ["1", "theirs", "1"], ["1", "ours", "1"])]
    assert plan(armed.db, "m").refusals == ()


def test_what_no_row_undo_takes_back(armed: Armed) -> None:
    armed.migration.execute("TRUNCATE orders, events")
    armed.application.execute("ALTER TABLE events REPLICA IDENTITY DEFAULT")
    armed.migration.execute("INSERT INTO events VALUES (1)")
    armed.application.execute("ALTER TABLE orders REPLICA IDENTITY DEFAULT")
    armed.application.execute("INSERT INTO orders VALUES (1, 'theirs')")
    armed.migration.execute("UPDATE orders SET note = 'ours'")
    assert armed.capture().hazards == 3
    assert armed.hazards() == [
        ("truncate", "public.orders"),
        ("truncate", "public.events"),
        ("no_old_row", "public.orders"),
    ]
    assert armed.wrote() == [("events", "I", None, ["1", None, None])]


def test_what_the_role_wrote_without_joining_is_named_and_not_taken_for_its_own(armed: Armed) -> None:
    with psycopg.connect(armed.migrator, autocommit=True) as careless:
        for number in range(3):
            with careless.transaction():
                careless.execute("INSERT INTO events VALUES (%s)", [number])
                careless.execute("UPDATE orders SET note = 'x'")
                careless.execute("UPDATE orders SET note = 'y'")
    forged = 'SELECT pg_logical_emit_message(true, \'holdfast\', \'{"nonce": "?", "table": "public.orders"}\')'
    armed.application.execute(forged)
    armed.migration.execute("INSERT INTO events VALUES (9)")
    captured = armed.capture()
    assert armed.hazards() == [("untagged", "public.events"), ("untagged", "public.orders")] * 3
    assert [new[0] for *_, new in armed.wrote()] == ["9"]
    assert (captured.foreign_rows, captured.hazards) == (3 + 3 * 10, 6)


def test_a_prepared_transaction_that_another_session_committed_is_named(armed: Armed) -> None:
    armed.migration.execute("BEGIN")
    armed.migration.execute("INSERT INTO events VALUES (1)")
    armed.migration.execute(f"PREPARE TRANSACTION '{armed.recovery.slot}'")
    armed.application.execute(f"COMMIT PREPARED '{armed.recovery.slot}'")  # its origin is that session's: none
    assert armed.capture().rows == 0
    assert armed.hazards() == [("untagged", "public.events")]


def test_what_was_written_under_an_origin_that_was_dropped_since_is_still_the_migration_s(armed: Armed) -> None:
    armed.migration.execute("INSERT INTO events VALUES (1)")
    armed.migration.close()
    drop = sql.SQL("SELECT pg_replication_origin_drop({})").format(armed.recovery.origins[0])
    with_bounded_lock_waits(armed.application, drop, statement_seconds=10)  # the session may not be quite gone yet
    captured = armed.capture()
    assert (captured.rows, captured.hazards, captured.foreign_rows) == (1, 0, 0)


def test_what_commits_behind_the_fence_is_out_even_with_an_origin_of_the_migration(armed: Armed) -> None:
    armed.migration.execute("INSERT INTO events VALUES (1)")
    armed.migration.close()
    with psycopg.connect(armed.target) as late:
        late.execute("SELECT pg_replication_origin_session_setup(%s)", [armed.recovery.origins[1]])
        late.commit()
        late.execute("INSERT INTO events VALUES (2)")
        token = armed.fence()
        late.commit()
    captured = capture(armed.db, "app", armed.target, "m", token)
    assert (captured.rows, captured.foreign_rows) == (1, 0)
    assert [new[0] for *_, new in armed.wrote()] == ["1"]


def test_a_migration_that_wrote_nothing(armed: Armed) -> None:
    captured = armed.capture()
    assert (captured.rows, captured.chunks, captured.hazards) == (0, 0, 0)
    assert journal.expect(armed.db, "m", "captured").next_chunk == 0


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DROP PUBLICATION {publication}", "publication hf_.* was dropped since"),
        ("ALTER PUBLICATION {publication} DROP TABLE events", "public.events was taken out of publication"),
        ("ALTER PUBLICATION {publication} SET (publish = 'insert')", "publication hf_.* was altered since"),
        ("DROP TABLE events", "public.events was dropped since"),
        (
            "DROP PUBLICATION {publication}; INSERT INTO events VALUES (1);"
            " CREATE PUBLICATION {publication} FOR TABLE orders, events",
            "publication hf_.* was altered, or dropped and made again, since",
        ),
        (
            "ALTER PUBLICATION {publication} DROP TABLE events; ALTER PUBLICATION {publication} ADD TABLE events",
            "publication hf_.* was altered, or dropped and made again, since",
        ),
        (
            "ALTER PUBLICATION {publication} SET (publish = 'insert');"
            " ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete, truncate')",
            "publication hf_.* was altered, or dropped and made again, since",
        ),
    ],
)
def test_where_the_log_cannot_hold_all_of_it(armed: Armed, statement: str, says: str) -> None:
    armed.migration.execute("INSERT INTO orders VALUES (10)")
    publication = sql.Identifier(armed.recovery.publication)
    armed.application.execute(sql.SQL(statement).format(publication=publication))
    armed.migration.execute("INSERT INTO orders VALUES (11)")
    with pytest.raises(UndoRefused, match=says):
        preview(armed.db, "app", armed.target, "m")
    with pytest.raises(UndoRefused, match=says):
        armed.capture()
    assert journal.expect(armed.db, "m", "fenced").chunks is None


def test_one_that_an_earlier_release_armed_is_captured(armed: Armed) -> None:
    armed.db.execute("DROP TABLE holdfast_recovery.published")
    armed.migration.execute("INSERT INTO orders VALUES (10)")
    assert armed.capture().rows == 1


def test_another_one_s_token_is_refused(armed: Armed) -> None:
    token = armed.fence()
    journal.take(armed.db, "m")
    with pytest.raises(RecoveryTaken):
        capture(armed.db, "app", armed.target, "m", token)
