"""Roles of a test's own on the shared PostgreSQL, and connections as one of them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo


def as_role(dsn: str, role: str) -> str:
    """The same database, connected to as this role."""
    return make_conninfo(dsn, user=role)


@contextmanager
def new_role(superuser_dsn: str) -> Iterator[str]:
    """A role that may log in and nothing else; dropped with what it owns and was granted in this database."""
    role = f"r{uuid.uuid4().hex[:12]}"
    with psycopg.connect(superuser_dsn, autocommit=True) as db:
        db.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    try:
        yield role
    finally:
        with psycopg.connect(superuser_dsn, autocommit=True) as db:
            db.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
            db.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
