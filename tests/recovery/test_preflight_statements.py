"""What could be taken back of a statement: a table, a statement a line."""

import pytest

from holdfast_actuators.postgres.preflight.statements import judge_plan
from holdfast_schemas.errors import PlanUnreadable

STATEMENTS = [
    ("ROW_UNDO", "UPDATE t SET v = 1"),
    ("ROW_UNDO", "UPDATE s.t SET v = x.v FROM x WHERE x.id = t.id"),
    ("ROW_UNDO", "DELETE FROM t USING x WHERE x.id = t.id"),
    ("ROW_UNDO", "INSERT INTO t SELECT * FROM x ON CONFLICT (id) DO UPDATE SET v = 2"),
    ("ROW_UNDO", "MERGE INTO t USING x ON t.id = x.id WHEN MATCHED THEN UPDATE SET v = 1"),
    ("ROW_UNDO", "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM gone"),
    ("ROW_UNDO", "WITH gone AS (DELETE FROM t RETURNING *) SELECT count(*) FROM gone"),
    ("ROW_UNDO", "COPY t FROM STDIN"),
    ("HARMLESS", "SELECT 1"),
    ("HARMLESS", "COPY t TO STDOUT"),
    ("HARMLESS", "BEGIN"),
    ("HARMLESS", "COMMIT"),
    ("HARMLESS", "SET lock_timeout = '1s'"),
    ("HARMLESS", "LOCK TABLE t"),
    ("HARMLESS", "EXPLAIN SELECT 1"),
    ("IMAGE_NEEDED", "TRUNCATE t"),
    ("IMAGE_NEEDED", "DROP TABLE t"),
    ("IMAGE_NEEDED", "DROP SCHEMA s CASCADE"),
    ("IMAGE_NEEDED", "DROP MATERIALIZED VIEW m"),
    ("IMAGE_NEEDED", "DROP SEQUENCE q"),
    ("IMAGE_NEEDED", "ALTER TABLE t DROP COLUMN v"),
    ("IMAGE_NEEDED", "ALTER TABLE t ADD COLUMN a int, DROP COLUMN v, ADD COLUMN b int"),
    ("IMAGE_NEEDED", "ALTER TABLE t ALTER COLUMN v TYPE bigint"),
    ("IMAGE_NEEDED", "ALTER TABLE t SET UNLOGGED"),
    ("IMAGE_NEEDED", "ALTER TABLE t REPLICA IDENTITY DEFAULT"),
    ("DOWN_HOOK", "ALTER TABLE t ADD COLUMN v int DEFAULT 1"),
    ("DOWN_HOOK", "ALTER TABLE t ADD CONSTRAINT c CHECK (v > 0) NOT VALID"),
    ("DOWN_HOOK", "ALTER TABLE t DROP CONSTRAINT c"),
    ("DOWN_HOOK", "ALTER TABLE t ALTER COLUMN v SET NOT NULL"),
    ("DOWN_HOOK", "ALTER TABLE t RENAME COLUMN v TO w"),
    ("DOWN_HOOK", "ALTER TABLE t RENAME TO u"),
    ("DOWN_HOOK", "ALTER TABLE t SET SCHEMA s"),
    ("DOWN_HOOK", "ALTER TABLE t OWNER TO r"),
    ("DOWN_HOOK", "ALTER TABLE t ATTACH PARTITION p DEFAULT"),
    ("DOWN_HOOK", "ALTER TABLE t DETACH PARTITION p"),
    ("DOWN_HOOK", "CREATE TABLE u (id int)"),
    ("DOWN_HOOK", "CREATE TABLE u AS SELECT 1"),
    ("DOWN_HOOK", "SELECT * INTO u FROM t"),
    ("DOWN_HOOK", "CREATE INDEX i ON t (v)"),
    ("DOWN_HOOK", "DROP INDEX i"),
    ("DOWN_HOOK", "CREATE VIEW w AS SELECT 1"),
    ("DOWN_HOOK", "DROP VIEW w"),
    ("DOWN_HOOK", "CREATE TYPE e AS ENUM ('a')"),
    ("DOWN_HOOK", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ("DOWN_HOOK", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"),
    ("DOWN_HOOK", "CREATE SCHEMA s"),
    ("DOWN_HOOK", "GRANT SELECT ON t TO r"),
    ("DOWN_HOOK", "COMMENT ON TABLE t IS 'x'"),
    ("NOT_TRANSACTIONAL", "CREATE INDEX CONCURRENTLY i ON t (v)"),
    ("NOT_TRANSACTIONAL", "DROP INDEX CONCURRENTLY i"),
    ("NOT_TRANSACTIONAL", "REINDEX INDEX CONCURRENTLY i"),
    ("NOT_TRANSACTIONAL", "VACUUM FULL t"),
    ("NOT_TRANSACTIONAL", "CREATE DATABASE d"),
    ("NOT_TRANSACTIONAL", "ALTER SYSTEM SET work_mem = '1MB'"),
    ("IRREVERSIBLE", "SELECT setval('q', 7)"),
    ("IRREVERSIBLE", "UPDATE t SET v = nextval('q')"),
    ("IRREVERSIBLE", "ALTER SEQUENCE q RESTART"),
    ("IRREVERSIBLE", "ALTER TYPE e ADD VALUE 'b'"),
    ("IRREVERSIBLE", "SELECT lo_unlink(7)"),
    ("EXTERNAL", "SELECT dblink_exec('c', 'DELETE FROM t')"),
    ("EXTERNAL", "COPY t TO PROGRAM 'cat'"),
    ("EXTERNAL", "COPY t FROM PROGRAM 'cat'"),
    ("EXTERNAL", "SELECT pg_notify('c', 'x')"),
    ("EXTERNAL", "NOTIFY c"),
    ("UNKNOWN", "DO $$ BEGIN DELETE FROM t; END $$"),
    ("UNKNOWN", "CALL p()"),
    ("UNKNOWN", "CREATE ACCESS METHOD a TYPE INDEX HANDLER h"),
]


@pytest.mark.parametrize(("verdict", "statement"), STATEMENTS, ids=[statement for _, statement in STATEMENTS])
def test_each_statement(verdict: str, statement: str) -> None:
    [found] = judge_plan(statement)
    assert (found.verdict, found.line, found.text) == (verdict, 1, statement)
    assert found.why


def test_lines_texts_and_what_is_written() -> None:
    plan = "-- ä comment\n\nUPDATE a.t\n   SET v = 'ä';\n-- another\n  TRUNCATE b, c.d; WITH x AS (DELETE FROM e) SELECT 1\n"
    found = [(one.line, one.text, one.writes) for one in judge_plan(plan)]
    assert found == [
        (3, "UPDATE a.t SET v = 'ä'", ("a.t",)),
        (6, "TRUNCATE b, c.d", ("b", "c.d")),
        (6, "WITH x AS (DELETE FROM e) SELECT 1", ("e",)),
    ]


@pytest.mark.parametrize("plan", ["", "  -- nothing\n", ";;"])
def test_an_empty_plan_is_none(plan: str) -> None:
    assert judge_plan(plan) == []


def test_a_plan_that_does_not_parse_says_where() -> None:
    with pytest.raises(PlanUnreadable, match=r"line 3.*syntax error"):
        judge_plan("UPDATE t SET v = 1;\n\nUPDATE t SETT v = 1;\n")


@pytest.mark.parametrize(
    ("loses", "statement"),
    [
        (True, "DELETE FROM t"),
        (True, "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM gone"),
        (True, "MERGE INTO t USING x ON t.id = x.id WHEN MATCHED THEN DELETE"),
        (False, "MERGE INTO t USING x ON t.id = x.id WHEN MATCHED THEN UPDATE SET v = 1"),
        (True, "TRUNCATE t"),
        (True, "ALTER TABLE t DROP COLUMN v"),
        (True, "DROP TABLE t"),
        (True, "DO 'BEGIN END'"),
        (True, "SELECT setval('q', 1)"),
        (False, "UPDATE t SET v = 1"),
        (False, "INSERT INTO t VALUES (1)"),
        (False, "ALTER TABLE t ADD COLUMN v int"),
        (False, "SELECT 1"),
    ],
)
def test_what_loses_data(loses: bool, statement: str) -> None:
    [found] = judge_plan(statement)
    assert found.loses_data is loses
