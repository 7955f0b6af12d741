"""A clone from the request to a server that answers: what fails is stopped, and its files are removed."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast_schemas.errors import CloneNotReady, HoldfastError, RestorePointNotReached, WalMissing

from ..connecting import canonical_dsn
from .checking import CheckedTable, check_tables
from .filling import fill
from .request import CloneRequest

LOG_NAME = "holdfast_clone.log"
POLL_SECONDS = 0.1
TOLD_SECONDS = 10.0
LOG_LINES = 2
"""Before the first FATAL one of a server that ended: what is wrong often stands there."""
NOT_REACHED = "recovery ended before configured recovery target was reached"
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Clone:
    """A server that answers at ``dsn``, as it was at the restore point; ``bindir`` has the pg_ctl that stops it."""

    folder: str
    bindir: str
    dsn: str
    pid: int
    restore_point: str
    lsn: str
    timeline: int
    seconds: float
    tables: tuple[CheckedTable, ...]


def make(request: CloneRequest, dsn: str, tables: Sequence[str], told: Told) -> Clone:
    """Fill the folder, start a server in it, wait for the point, read the tables.

    ``dsn`` is the live target's: its user and database are the clone's too; nothing is asked of it. The server goes on after
    us. Raises what ``CloneRequest.check`` raises, and WalMissing, RestorePointNotReached, CloneNotReady.
    """
    began = time.monotonic()
    postgres = request.check()
    existed = request.folder.exists()
    server: subprocess.Popen[bytes] | None = None
    try:
        told(f"copying the base backup to {request.folder}")
        fill(request)
        told(f"recovering up to restore point {request.point.name}")
        server = _start(request, postgres)
        with _promoted(request, server, _own_dsn(request.folder, dsn), told) as db:
            lsn, timeline = _where(db)
            if request.point.lsn not in (None, lsn):
                raise RestorePointNotReached(
                    request.point.name, f"it stopped at {lsn}, and the point is at {request.point.lsn}"
                )
            told("reading the migration's tables")
            found = check_tables(db, tables)
            return Clone(
                folder=str(request.folder),
                bindir=str(postgres.parent),
                dsn=_own_dsn(request.folder, dsn),
                pid=server.pid,
                restore_point=request.point.name,
                lsn=lsn,
                timeline=timeline,
                seconds=time.monotonic() - began,
                tables=found,
            )
    except BaseException as error:
        if server is not None:
            stop(server)
        _empty(request.folder, existed)
        if isinstance(error, HoldfastError) or not isinstance(error, OSError | psycopg.Error):
            raise
        raise CloneNotReady(request.folder, " ".join(str(error).split())) from None


def stop(server: "subprocess.Popen[bytes]") -> None:
    """As ``pg_ctl stop -m fast`` does."""
    server.send_signal(signal.SIGINT)
    server.wait()


def _start(request: CloneRequest, postgres: Path) -> "subprocess.Popen[bytes]":
    with (request.folder / LOG_NAME).open("wb") as log:
        return subprocess.Popen(
            [postgres, "-D", request.folder],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=None if request.user is None else request.user.uid,
            group=None if request.user is None else request.user.gid,
            extra_groups=None if request.user is None else [],
        )


def _promoted(
    request: CloneRequest, server: "subprocess.Popen[bytes]", dsn: str, told: Told
) -> "psycopg.Connection[Any]":
    """A session, once the server has left recovery: it lets nobody in before. Replaying may take as long as it takes."""
    began = last_told = time.monotonic()
    while True:
        if server.poll() is not None:
            raise _why_it_ended(request)
        try:
            db = psycopg.connect(canonical_dsn(dsn), autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() - last_told >= TOLD_SECONDS:
                last_told = time.monotonic()
                told(f"replaying for {last_told - began:.0f} s: {_replayed(_log(request))[0] or 'no file yet'}")
            time.sleep(POLL_SECONDS)
            continue
        if db.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,):
            return db
        db.close()


def _why_it_ended(request: CloneRequest) -> HoldfastError:
    log, point = _log(request), request.point
    if NOT_REACHED not in log:
        lines = log.strip().splitlines()
        fatal = next(
            (number for number, line in enumerate(lines) if "FATAL" in line or "PANIC" in line), len(lines) - 1
        )
        return CloneNotReady(request.folder, " / ".join(lines[max(0, fatal - LOG_LINES) : fatal + 1]))
    last_file, last_lsn = _replayed(log)
    said = f"the last file that it gave is {last_file or 'none'}, and replay ended at {last_lsn or 'its beginning'}"
    if point.lsn is not None and (last_lsn is None or _position(last_lsn) < _position(point.lsn)):
        return WalMissing(f"after {last_file or 'the base backup'}", request.restore_command, said)
    return RestorePointNotReached(point.name, said)


def _replayed(log: str) -> tuple[str | None, str | None]:
    """The last file that the archive gave, and where replay ended, as the log says it."""
    files = [line.split('"')[1] for line in log.splitlines() if 'restored log file "' in line]
    ends = [line.partition("redo done at ")[2].split()[0] for line in log.splitlines() if "redo done at " in line]
    return files[-1] if files else None, ends[-1] if ends else None


def _position(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def _log(request: CloneRequest) -> str:
    return (request.folder / LOG_NAME).read_text(errors="replace")


def _where(db: "psycopg.Connection[Any]") -> tuple[str, int]:
    row = db.execute(
        "SELECT pg_last_wal_replay_lsn()::text, (SELECT timeline_id FROM pg_control_checkpoint())"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _own_dsn(folder: Path, dsn: str) -> str:
    live = conninfo_to_dict(dsn)
    kept = {name: live[name] for name in ("user", "dbname") if name in live}
    return make_conninfo(host=str(folder), port=5432, **kept)  # type: ignore[arg-type]


def _empty(folder: Path, existed: bool) -> None:
    """As it was: what is in it is ours, for it was empty."""
    if folder.exists():
        shutil.rmtree(folder)
    if existed:
        folder.mkdir()
