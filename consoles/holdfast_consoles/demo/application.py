"""The demo's application: a process of its own that goes on writing the migrated table and keeps its own journal.

``python -m holdfast_consoles.demo.application DSN JOURNAL SEED``: inserts, updates (also ``amount_cents``) and deletes, one
row a transaction, about 100 a second. Each write stands in the journal, a JSON line, once its transaction is committed, with
the seconds that it took; the same seconds go to Holdfast, as any application reports its health.
SIGTERM ends it after the write at hand.
"""

import random
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson
import psycopg

from holdfast import HealthReporter

from .orders import TARGET

APPLICATION_NAME = "demo-application"
PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Write:
    """One committed write. ``amount_cents`` counts only where ``wrote_cents`` says that this write set it."""

    at: datetime
    op: Literal["insert", "update", "delete"]
    id: int
    amount_text: str | None = None
    amount_cents: int | None = None
    wrote_cents: bool = False
    note: str | None = None
    seconds: float = 0.0


def read_journal(path: Path) -> list[Write]:
    """The application's journal, in the order of its commits."""
    writes = []
    whole, _, _ = path.read_bytes().rpartition(b"\n")  # the last line may be half written
    for line in whole.splitlines():
        raw = orjson.loads(line)
        raw["at"] = datetime.fromisoformat(raw["at"])
        writes.append(Write(**raw))
    return writes


class Application:
    """The writer: which row it touches and how is the seed's."""

    def __init__(self, db: psycopg.Connection, seed: int) -> None:
        self._db = db
        self._dice = random.Random(seed)
        row = db.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()
        self._highest = row[0] if row else 0
        self._unique = 0

    def write(self) -> Write | None:
        """One write in one transaction; None when the row that it picked is gone already."""
        self._unique += 1
        # Negative and unique: no other writer sets such a value, so a lost write cannot look like a kept one.
        cents = -self._unique
        roll, picked = self._dice.random(), self._dice.randint(1, self._highest)
        if roll < 0.15:
            return self._insert(cents if self._dice.random() < 0.5 else None)
        if roll < 0.25:
            found = self._db.execute("DELETE FROM orders WHERE id = %s RETURNING id", (picked,)).fetchone()
            return Write(datetime.now(UTC), "delete", picked) if found else None
        if roll < 0.65:
            sql = "UPDATE orders SET amount_cents = %s, note = %s WHERE id = %s RETURNING id"
            found = self._db.execute(sql, (cents, f"n{self._unique}", picked)).fetchone()
            wrote = Write(datetime.now(UTC), "update", picked, None, cents, True, f"n{self._unique}")
            return wrote if found else None
        sql = "UPDATE orders SET note = %s WHERE id = %s RETURNING id"
        found = self._db.execute(sql, (f"n{self._unique}", picked)).fetchone()
        return Write(datetime.now(UTC), "update", picked, note=f"n{self._unique}") if found else None

    def _insert(self, cents: int | None) -> Write:
        self._highest += 1
        text = f"{self._dice.randrange(100, 100_000) / 100:.2f}"
        self._db.execute(
            "INSERT INTO orders (id, amount_text, amount_cents) VALUES (%s, %s, %s)", (self._highest, text, cents)
        )
        return Write(datetime.now(UTC), "insert", self._highest, text, cents, True, "")


def main(dsn: str, journal: str, seed: int) -> int:
    """Write until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        psycopg.connect(dsn, autocommit=True, application_name=APPLICATION_NAME) as db,
        Path(journal).open("ab", buffering=0) as lines,
        HealthReporter(TARGET) as health,
    ):
        application = Application(db, seed)
        while not stop.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            write = application.write()
            seconds = time.perf_counter() - began
            health.observe(seconds)
            if write is not None:
                lines.write(orjson.dumps(replace(write, seconds=seconds)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
