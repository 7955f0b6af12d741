"""A PostgreSQL target from outside: a probe's latency, blocked sessions, the longest transaction, replicas' lag, dead tuples."""

import logging
import time
from collections.abc import Sequence
from typing import Any, LiteralString

from holdfast_schemas.errors import ExtraMissing, SampleFailed
from holdfast_schemas.redaction import redacted

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ImportError:
    raise ExtraMissing("postgres", "psycopg", "the PostgreSQL sampler") from None

from .sampling import Sample

log = logging.getLogger("holdfast.sampler")
# A sampler must not become the load that it looks for: each statement is bounded, and it waits for no lock.
BOUNDS = "-c statement_timeout=5s -c lock_timeout=1s -c idle_session_timeout=0 -c default_transaction_read_only=on"
CONNECTION: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,  # a server that vanishes without a word is noticed in seconds, not in hours
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "holdfast-sampler",
}
"""Unless the dsn says otherwise."""
OF_OTHERS = ("blocked_sessions", "longest_transaction_seconds", "replication_lag_seconds")
"""What only a role that may see other sessions can know: to any other role they would look like zeros."""
SEES_OTHERS = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), current_user"
SESSIONS = """
SELECT count(*) FILTER (WHERE wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0),
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE pid <> pg_backend_pid()), 0)
FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
"""
# Without a replay_lag a replica is idle where it has replayed all that there is; where it has not, nobody knows its lag yet.
REPLICAS = """
SELECT CASE WHEN NOT bool_or(replay_lag IS NULL AND replay_lsn IS DISTINCT FROM written.lsn)
            THEN max(coalesce(extract(epoch FROM replay_lag), 0)) END
FROM pg_stat_replication,
     (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) AS written
WHERE state = 'streaming'
"""
DEAD_TUPLES = """
SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables
WHERE %(tables)s::text[] = '{}' OR relid = ANY (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)
"""


class PostgresSampler:
    """Figures: probe_seconds, blocked_sessions, longest_transaction_seconds, replication_lag_seconds, dead_tuples.

    Of the database that ``dsn`` names, and of ``tables`` (all of its own unless given). Without a replica, or where one's
    lag is not known, there is no replication_lag_seconds. With ``response_time`` the probe's latency is also a response time
    of the target: for a target whose application tells none, because a quick probe would dilute them.
    """

    def __init__(
        self, dsn: str, *, probe: str = "SELECT 1", tables: Sequence[str] = (), response_time: bool = False
    ) -> None:
        self._dsn = dsn
        self._probe = probe
        self._tables = list(tables)
        self._response_time = response_time
        self._db: psycopg.Connection | None = None
        self._sees_others = True

    def sample(self) -> Sample:
        """See Sampler. A connection that broke is made anew by the next sample."""
        try:
            return self._sample(self._connected())
        except psycopg.Error as error:
            self.close()
            raise SampleFailed(redacted(str(error)) or type(error).__name__) from None

    def stop(self) -> None:
        """See Sampler. Each statement is bounded by the server."""

    def close(self) -> None:
        """See Sampler."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _connected(self) -> psycopg.Connection:
        if self._db is None:
            given = conninfo_to_dict(self._dsn)
            bounded: dict[str, Any] = CONNECTION | given | {"options": f"{given.get('options', '')} {BOUNDS}"}
            self._db = psycopg.connect(make_conninfo(**bounded), autocommit=True)
            missing = [t for t in self._tables if self._one("SELECT to_regclass(%s)", (t,)) is None]
            if missing:
                raise SampleFailed(f"no table {', '.join(missing)} in this database")
        return self._db

    def _may_see_others(self, db: psycopg.Connection) -> bool:
        """Asked each time: a right that is taken away would turn into zeros. Logged when it changes."""
        before = self._sees_others
        self._sees_others, role = db.execute(SEES_OTHERS).fetchone() or (False, "")
        if before and not self._sees_others:
            log.warning("not sampled: %s: role %s may not see other sessions; GRANT pg_monitor TO %s",
                        ", ".join(OF_OTHERS), role, role)  # fmt: skip
        return self._sees_others

    def _sample(self, db: psycopg.Connection) -> Sample:
        began = time.perf_counter()
        db.execute(self._probe.encode())
        seconds = time.perf_counter() - began
        metrics = {"probe_seconds": seconds}
        if self._may_see_others(db):
            blocked, longest = db.execute(SESSIONS).fetchone() or (0, 0)
            metrics |= {"blocked_sessions": float(blocked), "longest_transaction_seconds": float(longest)}
            if (lag := self._one(REPLICAS)) is not None:
                metrics["replication_lag_seconds"] = float(lag)
        metrics["dead_tuples"] = float(self._one(DEAD_TUPLES, {"tables": self._tables}))
        return Sample(metrics, seconds if self._response_time else None)

    def _one(self, sql: LiteralString, parameters: Any = None) -> Any:
        assert self._db is not None
        row = self._db.execute(sql, parameters).fetchone()
        return None if row is None else row[0]
