"""join: tag what a session writes from now on as a migration's, so that the actuator can take it back from the log.

What ``SELECT holdfast.join('ID')`` does for any client, with the check that no SQL can make: that the session is ours alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast_schemas.errors import JoinRefused, PoolerBetween
from holdfast_schemas.identity import MigrationId

if TYPE_CHECKING:
    import psycopg

NOT_ARMED, ANOTHER_ROLE = "ZH001", "ZH002"
SERVER_PID = "SELECT pg_backend_pid()"


def join(connection: psycopg.Connection[Any], migration_id: MigrationId) -> str:
    """Join the migration with this psycopg connection, once after connecting; returns the replication origin.

    Raises JoinRefused (not armed, another role, no origin left) and PoolerBetween: behind a pooler that changes sessions
    between transactions the tag would stay on somebody else's session.
    """
    import psycopg

    _refuse_transaction_pooling(connection)
    try:
        with connection.transaction():  # a refusal leaves the caller's transaction as it was
            row = connection.execute("SELECT holdfast.join(%s)", [migration_id]).fetchone()
    except psycopg.errors.InvalidSchemaName:
        raise JoinRefused(migration_id, NOT_ARMED, "nothing was ever armed in this database") from None
    except psycopg.Error as error:
        if error.sqlstate is None or not error.sqlstate.startswith("ZH"):
            raise
        detail = error.diag.message_primary or str(error)
        hint = f"; {error.diag.message_hint}" if error.diag.message_hint else ""
        raise JoinRefused(migration_id, error.sqlstate, detail + hint) from None
    assert row is not None
    return str(row[0])


def join_if_armed(connection: psycopg.Connection[Any], migration_id: MigrationId) -> str | None:
    """The same; None where the migration is not armed, or for another role: then nothing is protected by the log."""
    try:
        return join(connection, migration_id)
    except JoinRefused as refusal:
        if refusal.sqlstate in (NOT_ARMED, ANOTHER_ROLE):
            return None
        raise


def _refuse_transaction_pooling(connection: psycopg.Connection[Any]) -> None:
    """A pooler gives out process ids of its own. Behind one: is our server session lent to another client while we idle?"""
    ours = _server_pid(connection)
    if ours == connection.info.backend_pid:
        return
    connection.rollback()  # idle: only then would a pooler lend it
    info = connection.info
    with type(connection).connect(info.dsn, password=info.password or None) as other:
        theirs = _server_pid(other)  # in a transaction that stays open, so it keeps what it was lent
        if theirs == ours or _server_pid(connection) != ours:
            raise PoolerBetween(info.host, info.port)


def _server_pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(SERVER_PID).fetchone()
    assert row is not None
    return int(row[0])
