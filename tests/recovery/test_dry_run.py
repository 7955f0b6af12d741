"""What a dry run says of a rollback, held against the rollback: its seconds, its conflicts, what is in the way."""

import time
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.preview import Preview, preview
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_actuators.postgres.undo.sample import Sample
from holdfast_schemas.settings import MigrationSettings

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]
ORDERS = "CREATE TABLE public.t (id int PRIMARY KEY, cents int, note text)"
WIDE = "CREATE TABLE public.t (id int PRIMARY KEY, cents int, note text, a text, b text, c text, d jsonb, e numeric)"
INDEXED = ORDERS + "; CREATE INDEX ON public.t (cents); CREATE INDEX ON public.t (note, cents)"
KEYS = ORDERS + "; CREATE TABLE public.u (id int PRIMARY KEY, t int REFERENCES public.t)"


@dataclass(frozen=True)
class Case:
    """``migrate`` is run statement by statement, each a transaction; ``others`` by the application afterwards."""

    name: str
    ddl: str
    fill: str
    migrate: tuple[str, ...]
    others: str = ""


def filled(rows: int, more: str = "") -> str:
    return f"INSERT INTO public.t SELECT g, g, 'note ' || g{more} FROM generate_series(1, {rows}) g"


WIDE_VALUES = ", repeat('a', 400), repeat('b', 400), md5(g::text), jsonb_build_object('g', g), g / 7.0"
CASES = [
    Case("one update", ORDERS, filled(50_000), ("UPDATE public.t SET cents = 0",)),
    Case("one large update", ORDERS, filled(200_000), ("UPDATE public.t SET cents = 0",)),
    Case("one delete", ORDERS, filled(80_000), ("DELETE FROM public.t WHERE id % 2 = 0",)),
    Case("one insert", ORDERS, filled(1_000), (filled(60_000).replace("generate_series(1", "generate_series(1001"),)),
    Case("wide rows", WIDE, filled(20_000, WIDE_VALUES), ("UPDATE public.t SET note = 'n'",)),
    Case("indexes", INDEXED, filled(40_000), ("UPDATE public.t SET cents = cents + 1",)),
    Case("batches", ORDERS, filled(60_000), tuple(
        f"UPDATE public.t SET cents = 0 WHERE id BETWEEN {n * 1000 + 1} AND {n * 1000 + 1000}" for n in range(60)
    )),
    Case("foreign keys", KEYS, filled(30_000) + "; INSERT INTO public.u SELECT g, g FROM generate_series(1, 5000) g",
         ("UPDATE public.t SET cents = 0", "DELETE FROM public.t WHERE id > 10000")),
    Case("twice the same rows", ORDERS, filled(40_000), ("UPDATE public.t SET cents = 0", "UPDATE public.t SET note = 'x'")),
    Case("conflicts", ORDERS, filled(40_000), ("UPDATE public.t SET cents = 0",),
         "UPDATE public.t SET cents = 7 WHERE id % 100 = 0"),
]  # fmt: skip


def dry_run_and_rollback(case: Case, target: str, migrator: str, environment: str) -> tuple[Preview, float, int]:
    """The preview, and of the rollback its seconds and its conflicts."""
    tables = ("public.t", "public.u") if "public.u" in case.ddl else ("public.t",)
    settings = MigrationSettings(target="app", tables=tables, role=str(conninfo_to_dict(migrator)["user"]))
    with psycopg.connect(target, autocommit=True) as db:
        for statement in (*case.ddl.split("; "), *case.fill.split("; "), "ANALYZE"):
            db.execute(statement)  # type: ignore[call-overload]
    with connect("app", target) as db:
        Arming.of(environment, "m", settings).arm(db)
        with psycopg.connect(migrator, autocommit=True) as migration:
            migration.execute("SELECT holdfast.join('m')")
            for statement in case.migrate:
                migration.execute(statement)  # type: ignore[call-overload]
        if case.others:
            with psycopg.connect(target, autocommit=True) as application:
                application.execute(case.others)  # type: ignore[call-overload]
        found = preview(db, "app", target, "m")
        began = time.monotonic()
        done = LogRollback("app", target, "m").run()
        took = time.monotonic() - began
        disarm(db, "m")
        db.execute("DROP TABLE IF EXISTS public.u, public.t")
    return found, took, done.conflicts


@pytest.mark.long
def test_its_seconds_are_within_twice_the_truth_in_nine_of_ten(target: str, migrator: str, environment: str) -> None:
    within = 0
    for case in CASES:
        found, took, conflicts = dry_run_and_rollback(case, target, migrator, environment)
        assert found.seconds is not None
        assert found.conflicts is not None
        ratio = found.seconds.total / took
        within += 0.5 <= ratio <= 2
        print(f"{case.name:20} {took:6.2f} s, said {found.seconds.total:6.2f} ({found.seconds}), ratio {ratio:.2f};"
              f" {conflicts} conflicts, said {found.conflicts} from one row in {found.one_in}")  # fmt: skip
        assert conflicts * 0.5 <= found.conflicts <= conflicts * 2
    assert within >= 9


def test_it_changes_nothing_and_counts_conflicts_exactly_where_rows_are_few(
    target: str, migrator: str, environment: str
) -> None:
    case = Case("few", ORDERS, filled(300), ("UPDATE public.t SET cents = 0", "UPDATE public.t SET cents = -1 WHERE id < 50"),
                "UPDATE public.t SET cents = 7 WHERE id % 10 = 0")  # fmt: skip
    found, _, conflicts = dry_run_and_rollback(case, target, migrator, environment)
    assert (found.conflicts, found.one_in) == (conflicts, 1)
    assert conflicts == 34, "30 rows, 4 of them written twice by the migration"
    assert found.slot is not None
    assert found.slot.free_disk_bytes is not None or found.slot.seconds_left is None


def test_what_changed_of_the_schema_is_in_the_way_by_name(target: str, migrator: str, environment: str) -> None:
    settings = MigrationSettings(target="app", tables=("public.t",), role=str(conninfo_to_dict(migrator)["user"]))
    with psycopg.connect(target, autocommit=True) as db:
        db.execute(ORDERS)
        db.execute(filled(10))  # type: ignore[call-overload]
    with connect("app", target) as db:
        Arming.of(environment, "m", settings).arm(db)
        with psycopg.connect(migrator, autocommit=True) as migration:
            migration.execute("SELECT holdfast.join('m')")
            migration.execute("UPDATE public.t SET note = 'x'")
        db.execute("ALTER TABLE public.t DROP COLUMN note")
        found = preview(db, "app", target, "m")
        left = db.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'rehearsal%'").fetchone()
        kept = db.execute("SELECT count(*) FROM holdfast_recovery.change").fetchone()
        disarm(db, "m")
    assert found.refusals == ("public.t.note was dropped or renamed since",)
    assert found.seconds is None
    assert (left, kept) == ((0,), (0,))


def test_a_sample_is_bounded_and_keeps_rows_whole() -> None:
    sample = Sample(changes_max=100)
    for number in range(10_000):
        for version in (1, 2):
            sample.add(1, str(number).encode(), (number, 1, version, 1, "U", [b"1"], [b"2"]))
    assert 25 <= sum(map(len, sample.rows.values())) <= 100
    assert {len(changes) for changes in sample.rows.values()} == {2}
    assert 10_000 / sample.one_in == pytest.approx(len(sample.rows), rel=0.5)


def test_a_row_that_was_written_without_end_does_not_fill_the_sample() -> None:
    sample = Sample(changes_max=100)
    for number in range(10_000):
        sample.add(1, b"the one", (number, 1, 1, 1, "U", [b"1"], [b"2"]))
    assert sum(map(len, sample.rows.values())) <= 100
