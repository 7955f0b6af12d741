"""Runners that put personal data into every text that they can: ``python -m tests.privacy.careless RUNNER DSN``."""

import logging
import sys
import time
from collections.abc import Callable

import psycopg

from holdfast import Reporter
from holdfast_producers.backfill import Backfill
from holdfast_schemas.errors import HoldfastError

from .canary import ACCOUNT, CARD, MAIL, NAME, PHONE

ROW = f"{NAME} <{MAIL}>, card {CARD}, phone {PHONE}, account {ACCOUNT}"
TABLE = """
CREATE TABLE customer (
    id bigint PRIMARY KEY, name text, mail text, card text, phone text, amount_text text, amount numeric, mail_key text UNIQUE
);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'customer % (%) with card % and phone % is refused', NEW.name, NEW.mail, NEW.card, NEW.phone; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON customer FOR EACH ROW WHEN (NEW.id % 10 = 3) EXECUTE FUNCTION refuse();
"""
ROWS = """
INSERT INTO customer SELECT n, %(name)s, %(mail)s, %(card)s, %(phone)s, CASE n %% 10 WHEN 5 THEN %(row)s ELSE '1' END
FROM generate_series(1, 400) n
"""
VALUES = {"name": NAME, "mail": MAIL, "card": CARD, "phone": PHONE, "row": ROW}


class CustomerRefused(Exception):
    """An application's own error, whose text is a row."""


def errors_of(db: psycopg.Connection) -> list[Callable[[], object]]:
    """What raises an error with the row in its text, in the driver, in Python, and in the application's own words."""
    queries: tuple[tuple[str, list[str]], ...] = (
        ("SELECT %s::numeric", [ROW]),
        ("SELECT %s::timestamptz", [NAME]),
        (f"SELECT '{ROW}' FROM no_such_table", []),
        ("INSERT INTO customer (id, name, mail) VALUES (1, %s, %s)", [NAME, MAIL]),
        ("SELECT nothing_that_is WHERE %s = ''", [CARD]),
        ("DO $$ BEGIN RAISE EXCEPTION E'" + ROW + "\\n" + ROW + "' USING DETAIL = '" + ROW + "'; END $$", []),
    )

    def asked(query: str, values: list[str]) -> Callable[[], object]:
        return lambda: db.execute(query.encode(), values or None)

    def raised(error: Exception) -> Callable[[], object]:
        def fail() -> None:
            raise error

        return fail

    return [
        *(asked(query, values) for query, values in queries),
        lambda: int(ROW),
        lambda: VALUES[MAIL],
        lambda: getattr(db, NAME.replace(" ", "_")),
        raised(CustomerRefused(f"no address of {ROW}")),
        raised(CustomerRefused({"name": NAME, "card": CARD.replace(" ", ""), "phone": PHONE})),
        raised(ExceptionGroup(f"two of {NAME}", [ValueError(ROW)])),
        raised(OSError(2, f"cannot mail {MAIL}", f"/letters/{NAME}.pdf")),
    ]


def loop(dsn: str, migration_id: str = "careless-loop") -> str:
    """A loop of one's own: each batch fails. It cannot take itself back, so a person is told over the webhook."""
    reporter = Reporter.from_env()
    try:
        with psycopg.connect(dsn, autocommit=True) as db, reporter.run(migration_id, target="app") as run:
            failing = errors_of(db)
            for number in range(2_000):
                run.checkpoint()
                try:
                    with run.batch(rows=10):
                        failing[number % len(failing)]()
                except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                    run.error(error)
                try:
                    run.metric(MAIL, 1.0)
                except ValueError as refused:
                    run.error(refused)
                time.sleep(0.02)
    except HoldfastError as refusal:
        return type(refusal).__name__
    return "completed"


def crash(dsn: str) -> str:
    """A run that ends with an error of the database, which goes up through the ``with``."""
    try:
        with (
            psycopg.connect(dsn, autocommit=True) as db,
            Reporter.from_env().run("careless-crash", target="app") as run,
            run.batch(rows=1),
        ):
            db.execute("SELECT %s::numeric", [ROW])
    except psycopg.Error as error:
        return type(error).__name__
    return "completed"


def backfill(dsn: str) -> str:
    """Our own runner over rows that fail in three ways, by an expression that names a customer."""
    try:
        result = Backfill(
            dsn=dsn, migration_id="careless-backfill", target="app", table="public.customer", key="id", batch_rows=20,
            set={"amount": f"CASE name WHEN 'not {NAME}' THEN 0 ELSE amount_text::numeric END", "mail_key": "mail"},
        ).run(Reporter.from_env())  # fmt: skip
    except HoldfastError as refusal:
        return type(refusal).__name__
    return result.outcome


def watched(dsn: str) -> str:
    """The loop as a migration that is only watched."""
    return loop(dsn, "careless-watched")


def lay_out(dsn: str) -> None:
    """The table, with the same person in every row."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(TABLE)
        db.execute(ROWS, VALUES)


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("psycopg").setLevel(logging.WARNING)
    runner = {"loop": loop, "watched": watched, "crash": crash, "backfill": backfill}[sys.argv[1]]
    print(runner(sys.argv[2]), flush=True)
