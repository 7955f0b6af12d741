"""The journal's tables in a target: numbered scripts, never changed once released; each applied once, all or none."""

from importlib.resources import files

from psycopg import sql

from .connecting import Connection

SCHEMA = "holdfast_recovery"
JOINING_SCHEMA = "holdfast"
"""Where ``holdfast.join(migration_id)`` stands, which any SQL client may call."""
LAY_OUT_LOCK = 0x484F5244
"""Any constant: two that arm at once must not create the schema twice."""
LIST = "CREATE TABLE {schema}.script (number int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
NAMES = {"schema": sql.Identifier(SCHEMA), "joining": sql.Identifier(JOINING_SCHEMA)}


def laid_out(db: Connection, table: str = "conflict") -> bool:
    """Whether the target has the journal, or a table of it that an earlier release did not have."""
    row = db.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.{table}"]).fetchone()
    return bool(row and row[0])


def lay_out(db: Connection) -> None:
    """Create the journal where it is missing, and bring an earlier release's up to date: all of it or nothing."""
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", [LAY_OUT_LOCK])
        newest = _newest(db)
        for number, script in _scripts():
            if number > newest:
                db.execute(sql.SQL(script).format(**NAMES))
                db.execute(sql.SQL("INSERT INTO {schema}.script VALUES ({number})").format(number=number, **NAMES))


def _scripts() -> list[tuple[int, str]]:
    found = sorted((entry.name, entry) for entry in files(__package__).joinpath("sql").iterdir())
    return [(int(name.partition("_")[0]), entry.read_text()) for name, entry in found]


def _newest(db: Connection) -> int:
    """The newest script applied. The first release's journal keeps no list of them: it gets one here."""
    if laid_out(db, "script"):
        row = db.execute(sql.SQL("SELECT max(number) FROM {schema}.script").format(**NAMES)).fetchone()
        return int(row[0]) if row else 0
    newest = 1 if laid_out(db) else 0
    db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**NAMES))
    db.execute(sql.SQL(LIST).format(**NAMES))
    db.execute(sql.SQL("INSERT INTO {schema}.script SELECT 1 WHERE {newest} = 1").format(newest=newest, **NAMES))
    return newest
