"""Random schedules of a migration and an application on the same rows: what differs from the twin is listed, one by one.

The twin gets the application's statements that found a row, and none of the migration's. So a row may differ only where the
application wrote to a row that the migration had inserted, which stays and is a conflict.
"""

import random
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.settings import MigrationSettings
from tests.recovery.test_kinds import twin as twin

pytestmark = pytest.mark.postgres
ROWS, OURS, THEIRS, STEPS = 8, 100, 200, 60
TABLE = f"""
    CREATE TABLE public.t (id int PRIMARY KEY, a text, b text, c text);
    INSERT INTO public.t SELECT i, 'a', 'b', 'c' FROM generate_series(1, {ROWS}) i;
"""
MIXED = f"UPDATE t SET a = %(v)s, b = %(v)s WHERE id IN (%(id)s, {OURS}, {OURS + 1})"


def statement(dice: random.Random, by: str) -> str:
    """One statement over the few rows that both use; ``%(id)s`` is a row, ``%(v)s`` a value that nobody else writes."""
    roll = dice.random()
    if roll < 0.6:
        return f"UPDATE t SET {dice.choice('abc')} = %(v)s WHERE id = %(id)s"
    if roll < 0.7:
        return MIXED
    if roll < 0.8:
        return "DELETE FROM t WHERE id = %(id)s"
    first = OURS if by == "M" else THEIRS
    return f"INSERT INTO t VALUES ({first} + %(id)s %% 3, %(v)s, %(v)s, %(v)s) ON CONFLICT DO NOTHING"


def rows(dsn: str) -> dict[int, tuple[Any, ...]]:
    with psycopg.connect(dsn) as db:
        return {row[0]: row[1:] for row in db.execute("SELECT * FROM public.t")}


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(n, marks=pytest.mark.long) for n in range(6, 60))])
def test_every_difference_from_the_twin_is_listed(
    target: str, twin: str, migrator: str, environment: str, seed: int
) -> None:
    dice = random.Random(seed)
    for dsn in (target, twin):
        with psycopg.connect(dsn) as db:
            db.execute(TABLE)
    settings = MigrationSettings(target="app", tables=("public.t",), role=str(conninfo_to_dict(migrator)["user"]))
    path = "-c search_path=public"
    with (
        connect("app", target) as db,
        psycopg.connect(make_conninfo(migrator, options=path), autocommit=True) as migration,
        psycopg.connect(make_conninfo(target, options=path), autocommit=True) as application,
        psycopg.connect(make_conninfo(twin, options=path), autocommit=True) as alone,
    ):
        Arming.of(environment, "m", settings).arm(db)
        migration.execute("SELECT holdfast.join('m')")
        touched: set[int] = set()
        for step in range(STEPS):
            by = dice.choice("MA")
            what, values = (
                statement(dice, by),
                {"v": f"{by}{step}", "id": dice.choice([*range(1, ROWS + 1), OURS, THEIRS])},
            )
            if by == "M":
                migration.execute(what, values)
                continue
            found = application.execute(what + " RETURNING id", values).fetchall()
            touched |= {number for (number,) in found}
            if found:
                alone.execute(
                    what.replace("WHERE", "WHERE id = ANY(%(found)s) AND"), values | {"found": [n for (n,) in found]}
                )
        done = LogRollback("app", target, "m").run()
        listed = db.execute("SELECT (key->>'id')::int, reason, columns FROM holdfast_recovery.conflict").fetchall()
        now, expected = rows(target), rows(twin)
        differing = {number for number in now.keys() | expected.keys() if now.get(number) != expected.get(number)}
        assert differing <= {number for number, *_ in listed}, (differing, listed)
        assert all(OURS <= number < THEIRS for number in differing), (
            "only a row that the migration inserted may be left"
        )
        assert {number for number, *_ in listed} <= touched, "a conflict on a row that the application never wrote"
        assert done.conflicts == len(listed)
        disarm(db, "m")
