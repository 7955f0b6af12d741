"""Tables of every kind, and what a migration (``M``) and an application (``A``) write to each, in turn."""

from dataclasses import dataclass

M, A = "M", "A"


@dataclass(frozen=True)
class Kind:
    """``steps`` are (who, SQL); one SQL is one transaction. ``tables`` are compared and protected."""

    name: str
    ddl: str
    steps: tuple[tuple[str, str], ...]
    tables: tuple[str, ...] = ("public.t",)


BIG = "(SELECT string_agg(md5(i::text || 'x'), '') FROM generate_series(1, 400) i)"

TYPES = (
    ("public.mood", "'sad'", "'ok'"),
    ("public.mood[]", "'{sad}'", "'{ok,NULL}'"),
    ("int[]", "'{1,2}'", "'{{1,2},{3,4}}'", "'[0:1]={5,6}'", "'{}'"),
    ("text[]", "'{a,\"b,c\"}'", '\'{NULL,"NULL",""}\'', 'E\'{"a\\\\\\\\b","q\\\\""}\''),
    ("jsonb", "'{\"a\": 1}'", "'[1, null, \"ä\"]'", "'\"text\"'"),
    ("json", "'{\"a\":   1}'", "'{\"a\": 1}'"),
    ("bytea", "'\\x00ff'", "'\\x'", "decode(repeat('00', 5000), 'hex')"),
    ("numeric", "1.0", "1.00", "'NaN'", "'Infinity'", "1e-300", "123456789012345678901234567890.5"),
    ("numeric(10,2)", "1.005", "99999999.99", "-0.01"),
    ("float8", "0.1", "'NaN'", "'-Infinity'", "'-0'", "1e308", "5e-324"),
    ("float4", "0.1", "'NaN'", "16777217"),
    ("int4range", "'[1,5)'", "'empty'", "'(,5)'"),
    ("datemultirange", "'{[2026-01-01,2026-02-01)}'", "'{}'"),
    ("public.pair", "ROW(1, 'a,b')", "ROW(NULL, '')"),
    ("public.positive", "1", "2"),
    ("char(5)", "'ab'", "'ab   '", "''"),
    ("varchar(5)", "'ab '", "''", "'äöüß€'"),
    ("bit(8)", "B'10101010'", "B'00000001'"),
    ("varbit", "B'1'", "B'101'"),
    ("timestamptz", "'2026-01-01 12:00:00.123456+02'", "'infinity'", "'0044-03-15 12:00 BC'", "'294276-12-31'"),
    ("date", "'2026-01-01'", "'infinity'", "'4713-01-01 BC'"),
    ("interval", "'1 mon -2 days 03:04:05.6'", "'-1 year'", "'0'"),
    ("timetz", "'12:00:00.5+02'", "'24:00:00-03'"),
    ("uuid", "'0198c0de-0000-7000-8000-000000000004'", "'ffffffff-0000-7000-8000-000000000004'"),
    ("inet", "'10.0.0.1/8'", "'::1'"),
    ("money", "1.5", "-1000000"),
    ("tsvector", "'a:1 b:2A'", "to_tsvector('simple', 'x y')"),
    ("text", "E'tab\\there'", "E'\\\\N'", "''", "'NULL'", "E'line\\nfeed'", "'€ 😀'"),
    ("text", BIG, f"{BIG} || 'more'"),
    ("boolean", "true", "false"),
    ("public.yes", "true", "false"),
    ('"char"', "'a'", "'b'"),
    ("cidr", "'10.0.0.0/8'", "'::/0'"),
    ("name", "'a'", "'b'"),
)
"""A type, and values that the migration gives it one after the other."""


def _all_types() -> Kind:
    """One table with a column of each type; every statement of the migration changes every column."""
    columns = ", ".join(f"v{number} {name}" for number, (name, *_) in enumerate(TYPES))
    longest = max(len(values) for _, *values in TYPES)
    rows = [[values[turn % len(values)] for _, *values in TYPES] for turn in range(longest)]
    seeds = ", ".join(f"({number}, {', '.join(row)}, 'n')" for number, row in enumerate(rows, 1))
    sets = [", ".join(f"v{number} = {value}" for number, value in enumerate(row)) for row in rows]
    nulls = ", ".join(f"v{number} = NULL" for number in range(len(TYPES)))
    return Kind(
        "every type",
        "CREATE TYPE public.mood AS ENUM ('sad', 'ok'); CREATE TYPE public.pair AS (a int, b text);"
        " CREATE DOMAIN public.positive AS int CHECK (VALUE > 0); CREATE DOMAIN public.yes AS boolean;"
        f" CREATE TABLE public.t (id int PRIMARY KEY, {columns}, note text); INSERT INTO public.t VALUES {seeds};",
        (
            *((M, f"UPDATE t SET {one}") for one in sets),
            (A, "UPDATE t SET note = 'theirs' WHERE id = 2"),
            (M, f"UPDATE t SET {nulls} WHERE id > 1"),
            (A, f"INSERT INTO t VALUES (100, {', '.join(rows[0])}, 'theirs')"),
            (M, f"INSERT INTO t VALUES (200, {', '.join(rows[-1])}, 'ours')"),
            (M, "DELETE FROM t WHERE id = 1"),
            (M, f"UPDATE t SET {sets[-1]} WHERE id > 1 AND id < 100"),
        ),
    )


SHAPES = (
    _all_types(),
    Kind(
        "unchanged toast",
        f"CREATE TABLE public.t (id int PRIMARY KEY, big text, v int); INSERT INTO t SELECT i, {BIG}, 0 FROM generate_series(1, 4) i;",
        ((M, "UPDATE t SET v = 1"), (A, f"UPDATE t SET big = {BIG} || 'a' WHERE id = 2"), (M, "UPDATE t SET v = 2"), (M, "DELETE FROM t WHERE id = 3")),
    ),
    Kind(
        "stored generated column",
        "CREATE TABLE public.t (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, note text); INSERT INTO t SELECT i, i FROM generate_series(1, 5) i;",
        ((M, "UPDATE t SET v = v + 1"), (A, "UPDATE t SET note = 'theirs' WHERE id < 3"), (A, "INSERT INTO t VALUES (6, 6)"), (A, "UPDATE t SET v = 60 WHERE id = 6"), (M, "UPDATE t SET v = v * 3 WHERE id < 5"), (M, "DELETE FROM t WHERE id = 2"), (M, "INSERT INTO t VALUES (7, 7)")),
    ),
    Kind(
        "identity always",
        "CREATE TABLE public.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, note text); INSERT INTO t (v) SELECT i FROM generate_series(1, 5) i;",
        ((M, "UPDATE t SET v = 0"), (M, "DELETE FROM t WHERE id = 3"), (A, "UPDATE t SET note = 'theirs' WHERE id IN (1, 2)"), (A, "INSERT INTO t (v, note) VALUES (7, 'theirs')"), (M, "UPDATE t SET v = 1 WHERE id = 2"), (M, "INSERT INTO t (v) VALUES (9)")),
    ),
    Kind(
        "composite key",
        "CREATE TABLE public.t (b text, a int, v int, PRIMARY KEY (a, b)); INSERT INTO t SELECT 'k' || i % 3, i, 0 FROM generate_series(1, 9) i;",
        ((M, "UPDATE t SET v = 1"), (A, "INSERT INTO t VALUES ('k', 100, 5)"), (A, "UPDATE t SET v = 6 WHERE a = 100"), (M, "UPDATE t SET a = a + 1000 WHERE b = 'k1'"), (M, "DELETE FROM t WHERE b = 'k2'")),
    ),
    Kind(
        "a key that is a unique index",
        "CREATE TABLE public.t (code text NOT NULL UNIQUE, v int); INSERT INTO t SELECT 'c' || i, 0 FROM generate_series(1, 5) i;",
        ((M, "UPDATE t SET v = 1"), (A, "INSERT INTO t VALUES ('theirs', 1)"), (M, "DELETE FROM t WHERE code = 'c2'"), (M, "UPDATE t SET code = 'x' WHERE code = 'c3'")),
    ),
    Kind(
        "no key, with twins among its rows",
        "CREATE TABLE public.t (v int, note text); INSERT INTO t SELECT i / 2, 'n' FROM generate_series(1, 8) i;",
        ((M, "UPDATE t SET v = v + 10 WHERE v < 3"), (A, "INSERT INTO t VALUES (77, 'theirs')"), (M, "DELETE FROM t WHERE v = 3"), (M, "INSERT INTO t VALUES (5, 'ours'), (5, 'ours')")),
    ),
    Kind(
        "partitions, with row movement and one added meanwhile",
        "CREATE TABLE public.t (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
        " CREATE TABLE public.t1 PARTITION OF public.t FOR VALUES IN (1); CREATE TABLE public.t2 PARTITION OF public.t FOR VALUES IN (2);"
        " INSERT INTO public.t SELECT i, 1 + i % 2, 'v' FROM generate_series(1, 10) i;",
        (
            (M, "UPDATE t SET v = 'ours'"), (M, "UPDATE t SET k = 2 WHERE id IN (2, 4)"), (A, "INSERT INTO t VALUES (50, 1, 'theirs')"),
            (A, "CREATE TABLE public.t3 PARTITION OF public.t FOR VALUES IN (3); ALTER TABLE public.t3 REPLICA IDENTITY FULL"),
            (A, "INSERT INTO t VALUES (60, 3, 'theirs')"), (M, "INSERT INTO t VALUES (61, 3, 'ours')"), (M, "DELETE FROM t WHERE id = 1"),
        ),
    ),
    Kind(
        "cascades",
        "CREATE TABLE public.p (id int PRIMARY KEY, v int); CREATE TABLE public.c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);"
        " CREATE TABLE public.g (id int PRIMARY KEY, c int REFERENCES c ON DELETE CASCADE);"
        " INSERT INTO p SELECT i, 0 FROM generate_series(1, 5) i; INSERT INTO c SELECT i, (i + 1) / 2 FROM generate_series(1, 10) i; INSERT INTO g SELECT i, i FROM generate_series(1, 10) i;",
        ((M, "DELETE FROM p WHERE id = 2"), (A, "UPDATE p SET v = 7 WHERE id = 1"), (M, "UPDATE p SET id = 100 WHERE id = 3"), (A, "INSERT INTO g VALUES (77, 1)"), (M, "INSERT INTO p VALUES (9, 9)"), (M, "INSERT INTO c VALUES (99, 9)")),
        ("public.p", "public.c", "public.g"),
    ),
    Kind(
        "set null and a table that refers to itself",
        "CREATE TABLE public.t (id int PRIMARY KEY, boss int REFERENCES t ON DELETE SET NULL, v int);"
        " INSERT INTO t SELECT i, nullif(i / 2, 0), 0 FROM generate_series(1, 15) i;",
        ((M, "DELETE FROM t WHERE id IN (2, 3)"), (A, "UPDATE t SET v = 1 WHERE id = 12"), (M, "INSERT INTO t VALUES (30, NULL, 0), (31, 30, 0), (32, 31, 0)"), (M, "DELETE FROM t WHERE id = 1")),
    ),
    Kind(
        "deferrable constraints",
        "CREATE TABLE public.t (id int PRIMARY KEY, pos int UNIQUE DEFERRABLE INITIALLY DEFERRED, mate int REFERENCES t DEFERRABLE INITIALLY DEFERRED, note text);"
        " INSERT INTO t SELECT i, i, i FROM generate_series(1, 6) i;",
        ((M, "UPDATE t SET pos = 7 - pos"), (A, "INSERT INTO t VALUES (50, 50, 50)"), (A, "UPDATE t SET note = 'theirs' WHERE id IN (2, 50)"), (M, "INSERT INTO t VALUES (60, 60, 61), (61, 61, 60)"), (M, "UPDATE t SET mate = 7 - id WHERE id <= 6")),
    ),
    Kind(
        "triggers of the table",
        "CREATE TABLE public.t (id int PRIMARY KEY, v int, stamp text, note text); CREATE TABLE public.log (said text, row_id int);"
        " CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP <> 'DELETE' THEN NEW.stamp := 'v' || NEW.v; END IF; INSERT INTO public.log VALUES (TG_OP, coalesce(NEW.id, OLD.id)); RETURN coalesce(NEW, OLD); END $$;"
        " INSERT INTO t SELECT i, 0, 'v0' FROM generate_series(1, 4) i; CREATE TRIGGER f BEFORE INSERT OR UPDATE OR DELETE ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();",
        ((M, "UPDATE t SET v = 1"), (A, "UPDATE t SET note = 'theirs' WHERE id IN (3, 4)"), (M, "DELETE FROM t WHERE id = 2"), (A, "INSERT INTO t VALUES (8, 8)"), (M, "INSERT INTO t VALUES (9, 9, 'x')"), (A, "DELETE FROM t WHERE id = 8"), (M, "UPDATE t SET v = 2 WHERE id = 3")),
        ("public.t", "public.log"),
    ),
    Kind(
        "exclusion",
        "CREATE TABLE public.t (id int PRIMARY KEY, span int4range, note text, EXCLUDE USING gist (span WITH &&)); INSERT INTO t VALUES (1, '[1,5)'), (2, '[5,9)');",
        ((M, "UPDATE t SET span = '[100,105)' WHERE id = 1"), (M, "UPDATE t SET span = '[1,5)' WHERE id = 2"), (A, "INSERT INTO t VALUES (3, '[50,60)')"), (A, "UPDATE t SET note = 'theirs' WHERE id < 3"), (A, "UPDATE t SET span = '[60,70)' WHERE id = 3"), (M, "UPDATE t SET span = '[5,9)' WHERE id = 1")),
    ),
    Kind(
        "unique swaps and shifts",
        "CREATE TABLE public.t (id int PRIMARY KEY, pos int UNIQUE, note text); INSERT INTO t SELECT i, i * 10 FROM generate_series(1, 6) i;",
        ((M, "UPDATE t SET pos = -1 WHERE id = 1; UPDATE t SET pos = 10 WHERE id = 2; UPDATE t SET pos = 20 WHERE id = 1"), (A, "INSERT INTO t VALUES (9, 900)"), (A, "UPDATE t SET note = 'theirs' WHERE id IN (1, 3)"), (M, "UPDATE t SET pos = pos + 1"), (A, "UPDATE t SET note = 'again' WHERE id IN (2, 9)"), (M, "UPDATE t SET id = id + 100")),
    ),
    Kind(
        "savepoints",
        "CREATE TABLE public.t (id int PRIMARY KEY, v int, note text); INSERT INTO t SELECT i, 0 FROM generate_series(1, 5) i;",
        ((M, "UPDATE t SET v = 1; SAVEPOINT a; DELETE FROM t; ROLLBACK TO a; SAVEPOINT b; UPDATE t SET v = v + 1 WHERE id > 2; RELEASE b; INSERT INTO t VALUES (9, 9)"), (A, "INSERT INTO t VALUES (50, 1)"), (A, "UPDATE t SET note = 'theirs' WHERE id IN (2, 4)"), (M, "SAVEPOINT a; UPDATE t SET v = 7 WHERE id = 4; ROLLBACK TO a; UPDATE t SET v = 8 WHERE id = 2")),
    ),
    Kind(
        "quoted names in another schema",
        'CREATE SCHEMA "My ""S"; GRANT USAGE ON SCHEMA "My ""S" TO PUBLIC; CREATE TABLE "My ""S"."Or%der" ("Id" int PRIMARY KEY, "se""lect" text, "%s" int); INSERT INTO "My ""S"."Or%der" SELECT i, \'a\', 0 FROM generate_series(1, 3) i;',
        ((M, 'UPDATE "My ""S"."Or%der" SET "se""lect" = \'b\', "%s" = 1'), (A, 'INSERT INTO "My ""S"."Or%der" VALUES (9, \'t\', 9)'), (M, 'DELETE FROM "My ""S"."Or%der" WHERE "Id" = 2'), (M, 'INSERT INTO "My ""S"."Or%der" VALUES (8, \'o\', 8)')),
        ('"My ""S"."Or%der"',),
    ),
    Kind(
        "row level security",
        "CREATE TABLE public.t (id int PRIMARY KEY, owner text, v int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true); INSERT INTO t SELECT i, 'o', 0 FROM generate_series(1, 4) i;",
        ((M, "UPDATE t SET v = 1"), (A, "INSERT INTO t VALUES (9, 'x', 1)"), (A, "UPDATE t SET owner = 'theirs' WHERE id IN (2, 9)"), (M, "UPDATE t SET v = 2 WHERE id = 2"), (M, "DELETE FROM t WHERE id = 1")),
    ),
    Kind(
        "many writes to one row",
        "CREATE TABLE public.t (id int PRIMARY KEY, v int, note text); INSERT INTO t VALUES (1, 0, 'n'), (2, 0, 'n');",
        (
            (M, "UPDATE t SET v = 1"), (M, "UPDATE t SET v = 2; UPDATE t SET v = 3; UPDATE t SET v = v"), (A, "UPDATE t SET note = 'theirs'"),
            (M, "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 5, 'ours')"), (M, "UPDATE t SET id = 3 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 3"),
            (M, "DELETE FROM t WHERE id = 1"), (M, "INSERT INTO t VALUES (1, 8, 'theirs')"), (M, "UPDATE t SET v = 3 WHERE id = 2; UPDATE t SET id = 4 WHERE id = 2; DELETE FROM t WHERE id = 4"),
        ),
    ),
    Kind(
        "partial unique index and nulls",
        "CREATE TABLE public.t (id int PRIMARY KEY, code text, live boolean); CREATE UNIQUE INDEX u ON public.t (code) WHERE live; INSERT INTO t VALUES (1, 'a', true), (2, 'a', false), (3, NULL, true);",
        ((M, "UPDATE t SET live = false WHERE id = 1; UPDATE t SET live = true WHERE id = 2"), (M, "UPDATE t SET code = 'z' WHERE id = 3"), (A, "INSERT INTO t VALUES (9, NULL, true)")),
    ),
)  # fmt: skip
