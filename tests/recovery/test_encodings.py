"""A capture of databases that are not UTF-8: the log's bytes go into the journal as they come, so both must mean the same."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.errors import SlotUnreadable
from tests.conftest import PostgresServer
from tests.recovery.captures import Armed
from tests.recovery.captures import armed as armed

pytestmark = pytest.mark.postgres
NOTE = "SELECT note::bytea FROM public.orders WHERE id = 1"


@pytest.fixture
def database(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of the encoding that the test is parametrised with."""
    name = f"t{uuid.uuid4().hex[:12]}"
    create = "CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL(create).format(sql.Identifier(name), request.param))
    yield postgres.dsn(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("database", ["LATIN1"], indirect=True)
def test_what_is_not_ascii_comes_back_byte_for_byte(armed: Armed) -> None:
    armed.application.execute(r"UPDATE orders SET note = convert_from('\x4772f6df65', 'LATIN1') WHERE id = 1")
    armed.migration.execute(r"UPDATE orders SET note = convert_from('\xfc', 'LATIN1'), body = NULL")
    done = LogRollback("app", armed.target, "m").run()
    assert (done.rows, done.conflicts) == (5, 0)
    assert armed.application.execute(NOTE).fetchone() == (b"Gr\xf6\xdfe",)


@pytest.mark.parametrize("database", ["SQL_ASCII"], indirect=True)
def test_bytes_that_are_no_text_are_refused_before_anything_is_touched(armed: Armed) -> None:
    armed.migration.execute(rb"UPDATE orders SET note = E'\xff' WHERE id = 1")
    with pytest.raises(SlotUnreadable, match="invalid byte sequence for encoding"):
        LogRollback("app", armed.target, "m").run()
    assert journal.expect(armed.db, "m", "armed").fence_lsn is None
    assert armed.application.execute(NOTE).fetchone() == (b"\xff",)
