"""Sessions on a target: values read and written in one spelling, names taken from the catalog alone."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from holdfast_schemas.errors import TargetUnreachable
from holdfast_schemas.identity import TargetName

Connection = psycopg.Connection[Any]
Statement = sql.SQL | sql.Composed
APPLICATION_NAME = "holdfast-recovery"
CONNECT_TIMEOUT_SECONDS = 10
CANONICAL = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "timezone": "UTC",
    "xmloption": "content",
}
"""What decides how PostgreSQL spells a value. The log's reader and the undo compare texts: unpinned, every row differs."""


IN_TRANSACTION = {"idle_in_transaction_session_timeout": "60s"}
"""A process that freezes in a transaction must not keep the recovery's row for good."""


def options(settings: dict[str, str]) -> str:
    """``settings`` as libpq's ``options``."""
    return " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items())


def canonical_dsn(dsn: str, **more: str) -> str:
    """``dsn`` with the canonical spelling; ``more`` are further settings, or overrule these."""
    return make_conninfo(
        dsn,
        application_name=APPLICATION_NAME,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        client_encoding="UTF8",  # whatever the database's: the log's bytes go into the journal as they are
        options=options(CANONICAL | {"search_path": "pg_catalog"} | more),
    )


def connect(target: TargetName, dsn: str, **more: str) -> Connection:
    """An autocommit session with the canonical spelling and ``search_path = pg_catalog``. Raises TargetUnreachable."""
    try:
        return psycopg.connect(canonical_dsn(dsn, **IN_TRANSACTION, **more), autocommit=True)
    except psycopg.OperationalError as error:
        raise TargetUnreachable(target, " ".join(str(error).split())) from None
    except psycopg.ProgrammingError:  # its words quote the dsn, perhaps a password
        raise TargetUnreachable(target, "its dsn is no libpq connection string") from None
