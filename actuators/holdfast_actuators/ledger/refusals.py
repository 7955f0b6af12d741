"""What a database says when it refuses, in one line that may be shown."""

import psycopg


def in_one_line(error: psycopg.Error) -> str:
    """The first line (DETAIL quotes rows). Of a connection string that libpq cannot read none: it quotes passwords."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "its connection string cannot be read (it is not shown, as it may hold a password)"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
