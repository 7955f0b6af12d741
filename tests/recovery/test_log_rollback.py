"""The rollback from the log on a real server: what the migration committed goes, what the application wrote stays."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.rolling_back import ANY, LogRollback
from holdfast_schemas.errors import RecoveryMoved, UndoRefused
from tests.recovery.test_arming import arming_of

pytestmark = pytest.mark.postgres
TABLES = """
    CREATE TABLE public.orders (id int PRIMARY KEY, cents int, note text, sku text UNIQUE);
    CREATE TABLE public.lines (id int PRIMARY KEY,
        order_id int REFERENCES public.orders ON DELETE CASCADE ON UPDATE CASCADE, note text,
        amount numeric(10,2) DEFAULT 1, code char(5) DEFAULT 'c', short varchar(20) DEFAULT 's');
    INSERT INTO public.orders SELECT i, 0, 'n', 's' || i FROM generate_series(1, 20) i;
    INSERT INTO public.lines (id, order_id, note) SELECT i, (i + 1) / 2, 'l' FROM generate_series(1, 40) i;
"""
NAMES = ("public.orders", "public.lines")
COLUMNS = "id, order_id, note, amount, code, short"


class Loop:
    """An armed migration: its session, which joined, the application's, and the rollback."""

    def __init__(self, target: str, migrator: str, environment: str, migration_id: str = "m") -> None:
        self.target, self.migration_id = target, migration_id
        with psycopg.connect(target) as db:
            db.execute(TABLES)
        self.db = connect("app", target)
        role = sql.Identifier(str(conninfo_to_dict(migrator)["user"]))
        self.db.execute(sql.SQL("GRANT TRUNCATE ON public.lines TO {}").format(role))
        self.arming = arming_of(environment, migrator, *NAMES, migration_id=migration_id)
        self.arming.arm(self.db)
        self.migration = psycopg.connect(migrator, autocommit=True)
        self.migration.execute("SELECT holdfast.join(%s)", [migration_id])
        self.application = psycopg.connect(target, autocommit=True)
        self.before = self.rows()

    def rows(self) -> dict[str, list[Any]]:
        return {n.split(".")[1]: self.db.execute(f"SELECT * FROM {n} ORDER BY id").fetchall() for n in NAMES}

    def conflicts(self) -> list[tuple[str, Any, list[str]]]:
        return self.db.execute(
            "SELECT table_name, key, columns FROM holdfast_recovery.conflict ORDER BY table_name, key::text"
        ).fetchall()

    def roll_back(self, **options: Any) -> Any:
        return LogRollback("app", self.target, "m", **options).run()

    def close(self) -> None:
        self.application.close()
        self.migration.close()
        found = journal.expect(self.db, self.migration_id, *ANY)
        if found.state in ("fencing", "fenced", "captured"):
            journal.move(self.db, self.migration_id, "armed")
        if found.state != "undoing":
            disarm(self.db, self.migration_id)
        self.db.close()


@pytest.fixture
def loop(target: str, migrator: str, environment: str) -> Iterator[Loop]:
    loop = Loop(target, migrator, environment)
    yield loop
    loop.close()


def test_every_operation_comes_back_and_the_application_s_rows_stay(loop: Loop) -> None:
    loop.migration.execute("UPDATE orders SET cents = 100 * id")
    loop.application.execute("UPDATE orders SET note = 'theirs' WHERE id = 3")  # another column of the same row
    loop.migration.execute("INSERT INTO orders VALUES (100, 1, 'ours', 'new')")
    loop.application.execute("INSERT INTO orders VALUES (200, 1, 'theirs', 'app')")
    loop.migration.execute("DELETE FROM orders WHERE id = 5")  # and its two lines, by cascade
    loop.migration.execute("UPDATE orders SET id = 1000 + id WHERE id = 20")
    done = loop.roll_back()
    expected = loop.before
    expected["orders"][2] = (3, 0, "theirs", "s3")
    expected["orders"].append((200, 1, "theirs", "app"))
    assert loop.rows() == expected
    assert (done.rows, done.conflicts) == (20 + 1 + 3 + 3, 0)
    assert journal.expect(loop.db, "m", "undone").next_chunk == 0


@pytest.mark.parametrize(("on_conflict", "cents", "note"), [("keep", 7, "n"), ("force", 0, "n"), ("cascade", 0, "n")])
def test_a_value_that_the_application_wrote_since(loop: Loop, on_conflict: str, cents: int, note: str) -> None:
    loop.migration.execute("UPDATE orders SET cents = 100, note = 'ours' WHERE id <= 3")
    loop.application.execute("UPDATE orders SET cents = 7 WHERE id = 2")
    done = loop.roll_back(on_conflict=on_conflict)
    assert loop.rows()["orders"][1] == (2, cents, note, "s2")
    assert (loop.rows()["orders"][0], loop.rows()["orders"][2]) == (loop.before["orders"][0], loop.before["orders"][2])
    assert (done.rows, done.conflicts) == (2, 1)
    (table, key, columns) = loop.conflicts()[0]
    assert (table, key) == ("public.orders", {"id": "2"})
    assert "cents" in columns


def test_a_parent_that_the_application_uses_meanwhile_stays(loop: Loop) -> None:
    loop.migration.execute("INSERT INTO orders VALUES (100, 1, 'ours', 'a'), (101, 1, 'ours', 'b')")
    loop.application.execute("INSERT INTO lines VALUES (500, 100, 'theirs')")
    done = loop.roll_back()
    assert [row[0] for row in loop.rows()["orders"] if row[0] >= 100] == [100]
    assert (done.rows, done.conflicts) == (1, 1)
    reason = loop.db.execute("SELECT reason FROM holdfast_recovery.conflict").fetchone()
    assert reason == ("lines_order_id_fkey: public.lines refers to it",)


def test_a_child_whose_parent_the_application_deleted_stays_away(loop: Loop) -> None:
    loop.migration.execute("DELETE FROM lines WHERE id IN (9, 11)")
    loop.application.execute("DELETE FROM orders WHERE id = 5")  # the parent of 9 and 10
    done = loop.roll_back()
    assert {row[0] for row in loop.rows()["lines"]} == set(range(1, 41)) - {9, 10}
    assert (done.rows, done.conflicts) == (1, 1)


def test_unique_values_that_were_swapped_and_shifted_come_back(loop: Loop) -> None:
    for old, new in (("s1", "x"), ("s2", "s1"), ("x", "s2")):
        loop.migration.execute("UPDATE orders SET sku = %s WHERE sku = %s", [new, old])
    loop.migration.execute("UPDATE orders SET id = id + 100 WHERE id = 20")
    loop.migration.execute("UPDATE orders SET id = id - 1 WHERE id IN (120)")
    assert (loop.roll_back().conflicts, loop.rows()) == (0, loop.before)


def test_what_was_rolled_back_to_a_savepoint_is_not_there(loop: Loop) -> None:
    with loop.migration.transaction():
        loop.migration.execute("UPDATE orders SET cents = 1")
        with loop.migration.transaction() as inner:
            loop.migration.execute("DELETE FROM lines")
            raise_rollback(inner)
        loop.migration.execute("UPDATE orders SET cents = 2 WHERE id = 1")
    done = loop.roll_back()
    assert (done.rows, loop.rows()) == (21, loop.before)


def raise_rollback(transaction: psycopg.Transaction) -> None:
    raise psycopg.Rollback(transaction)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("TRUNCATE lines", "truncated public.lines"),
        ("ALTER TABLE lines DROP COLUMN note", r"public\.lines\.note was dropped or renamed"),
        ("ALTER TABLE lines ALTER note TYPE int USING 1", r"public\.lines\.note has another type since: integer"),
        ("DROP TABLE lines", r"public\.lines was dropped"),
        (
            "ALTER TABLE lines ALTER note TYPE varchar(4)",
            r"public\.lines\.note has another type since: character varying\(4\)",
        ),
        (
            "ALTER TABLE lines ALTER amount TYPE numeric(10,4)",
            r"public\.lines\.amount has another type since: numeric\(10,4\)",
        ),
        ("ALTER TABLE lines ALTER code TYPE text", r"public\.lines\.code has another type since: text"),
    ],
)
def test_what_cannot_be_undone_is_refused_by_name_before_anything_is_touched(
    loop: Loop, statement: str, says: str
) -> None:
    loop.migration.execute("UPDATE lines SET note = 'ours'")
    loop.migration.execute("UPDATE orders SET cents = 1")
    (loop.migration if statement.startswith("TRUNCATE") else loop.application).execute(statement)
    with pytest.raises(UndoRefused, match=says):
        loop.roll_back()
    assert {row[1] for row in loop.db.execute("SELECT * FROM public.orders")} == {1}
    assert journal.expect(loop.db, "m", "armed").fenced_login is False


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE lines ADD COLUMN more int DEFAULT 3",
        "ALTER TABLE lines RENAME TO renamed",
        "ALTER TABLE lines ALTER id TYPE bigint",
        "ALTER TABLE lines DROP CONSTRAINT lines_pkey",
        "ALTER TABLE lines ALTER short TYPE varchar(30)",
        "ALTER TABLE lines ALTER short TYPE text",
    ],
)
def test_what_can_be_undone_over_a_schema_change_is(loop: Loop, statement: str) -> None:
    loop.migration.execute("UPDATE lines SET note = 'ours' WHERE id > 20")
    loop.migration.execute("DELETE FROM lines WHERE id = 1")
    loop.application.execute(statement)
    assert loop.roll_back().conflicts == 0
    table = "renamed" if "RENAME" in statement else "lines"
    assert loop.db.execute(f"SELECT {COLUMNS} FROM public.{table} ORDER BY 1").fetchall() == loop.before["lines"]


def test_untagged_writes_of_the_role_block_with_a_list(loop: Loop, migrator: str) -> None:
    loop.migration.execute("UPDATE orders SET cents = 1")
    with psycopg.connect(migrator, autocommit=True) as untagged:
        untagged.execute("UPDATE lines SET note = 'whose?'")
    with pytest.raises(UndoRefused, match=r"UPDATE by the role, without holdfast.join wrote public\.lines"):
        loop.roll_back()


def test_an_untagged_statement_that_touched_no_row_does_not_block(loop: Loop, migrator: str) -> None:
    loop.migration.execute("UPDATE orders SET cents = 1")
    with psycopg.connect(migrator, autocommit=True) as untagged:
        for statement in ("UPDATE lines SET note = 'x' WHERE false", "DELETE FROM orders WHERE id = -1"):
            untagged.execute(statement)
        with untagged.transaction(force_rollback=True):
            untagged.execute("UPDATE lines SET note = 'whose?'")
        untagged.execute("INSERT INTO lines (id, order_id) SELECT 1, 1 WHERE false")
    assert loop.roll_back().conflicts == 0
    assert loop.rows() == loop.before


def test_twice_is_once(loop: Loop) -> None:
    loop.migration.execute("UPDATE orders SET cents = 1")
    assert loop.roll_back() == loop.roll_back()
    assert loop.rows() == loop.before


def test_nothing_to_take_back(loop: Loop) -> None:
    loop.application.execute("UPDATE orders SET cents = 9")
    done = loop.roll_back()
    assert (done.rows, done.conflicts) == (0, 0)
    assert {row[1] for row in loop.rows()["orders"]} == {9}


def test_one_that_was_never_armed(target: str, environment: str) -> None:
    with pytest.raises(RecoveryMoved, match="not armed"):
        LogRollback("app", target, "m").run()


def test_the_arming_s_names_are_the_recovery_s(loop: Loop) -> None:
    found = journal.expect(loop.db, "m", "armed")
    assert isinstance(loop.arming, Arming)
    assert (found.slot, tuple(found.origins)) == (loop.arming.names.name, loop.arming.names.origins)
