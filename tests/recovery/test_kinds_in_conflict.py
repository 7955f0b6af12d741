"""The application wrote the migration's own column, in tables of every kind: listed and kept, or, where asked, taken back."""

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.settings import MigrationSettings
from tests.recovery.kinds import SHAPES, M
from tests.recovery.test_kinds import contents, run
from tests.recovery.test_kinds import twin as twin

pytestmark = [pytest.mark.postgres, pytest.mark.long]
KINDS = {kind.name: kind for kind in SHAPES}
PARTITIONS, QUOTED = "partitions, with row movement and one added meanwhile", "quoted names in another schema"
CLASHES: tuple[tuple[str, str, str, Any], ...] = (
    ("every type", "UPDATE t SET v7 = 77.5, v4 = '\"theirs\"' WHERE id = 3", "public.t", {"id": "3"}),
    ("unchanged toast", "UPDATE t SET v = 70 WHERE id = 1", "public.t", {"id": "1"}),
    ("stored generated column", "UPDATE t SET v = 70 WHERE id = 3", "public.t", {"id": "3"}),
    ("identity always", "UPDATE t SET v = 70 WHERE id = 2", "public.t", {"id": "2"}),
    ("composite key", "UPDATE t SET v = 70 WHERE b = 'k0' AND a = 3", "public.t", {"a": "3", "b": "k0"}),
    ("a key that is a unique index", "UPDATE t SET v = 70 WHERE code = 'c4'", "public.t", {"code": "c4"}),
    (PARTITIONS, "UPDATE t SET v = 'theirs' WHERE id = 3", "public.t2", {"id": "3", "k": "2"}),
    ("deferrable constraints", "UPDATE t SET mate = 50 WHERE id = 3", "public.t", {"id": "3"}),
    ("exclusion", "UPDATE t SET span = '[300,305)' WHERE id = 1", "public.t", {"id": "1"}),
    ("savepoints", "UPDATE t SET v = 70 WHERE id = 1", "public.t", {"id": "1"}),
    (QUOTED, 'UPDATE "My ""S"."Or%der" SET "se""lect" = \'theirs\' WHERE "Id" = 1', '"My ""S"."Or%der"', {"Id": "1"}),
    ("row level security", "UPDATE t SET v = 70 WHERE id = 3", "public.t", {"id": "3"}),
    ("partial unique index and nulls", "UPDATE t SET code = 'theirs' WHERE id = 3", "public.t", {"id": "3"}),
)  # fmt: skip
"""A kind, what the application writes last, the table and the key that are then listed."""


@pytest.mark.parametrize("on_conflict", ["keep", "cascade", "force"])
@pytest.mark.parametrize(("name", "clash", "table", "key"), CLASHES, ids=[name for name, *_ in CLASHES])
def test_it_is_listed(
    target: str, twin: str, migrator: str, environment: str, name: str, clash: str, table: str, key: Any, on_conflict: Any
) -> None:  # fmt: skip
    kind = KINDS[name]
    for dsn in (target, twin):
        run(dsn, kind.ddl)
    role = str(conninfo_to_dict(migrator)["user"])
    with connect("app", target) as db:
        Arming.of(environment, "m", MigrationSettings(target="app", tables=kind.tables, role=role)).arm(db)
        with psycopg.connect(make_conninfo(migrator, options="-c search_path=public"), autocommit=True) as joined:
            joined.execute("SELECT holdfast.join('m')")
            for who, statements in kind.steps:
                if who == M:
                    with joined.transaction():
                        joined.execute(statements)
                else:
                    run(target, statements)
                    run(twin, statements)
        run(target, clash)
        if on_conflict == "keep":
            run(twin, clash)
        done = LogRollback("app", target, "m", on_conflict=on_conflict).run()
        listed = db.execute("SELECT DISTINCT table_name, key FROM holdfast_recovery.conflict").fetchall()
        assert listed == [(table, key)]
        assert contents(target, kind) == contents(twin, kind)
        assert done.conflicts > 0
        disarm(db, "m")
