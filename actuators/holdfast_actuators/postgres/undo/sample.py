"""Some rows of a log and all that the migration did to them: bounded, whatever the log's length. Pure."""

from zlib import crc32

from .sorting import Change

CHANGES_MAX = 2_000
BYTES_MAX = 32_000_000


class Sample:
    """Every change of each row whose key falls into the share; one key in ``one_in`` does.

    The share is halved whenever the sample is full, so what is kept is always whole: a row's changes are there from the first to
    the last, or not at all. Rows without a key, or whose key the migration changed, are left out.
    """

    def __init__(self, changes_max: int = CHANGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.one_in = 1
        self.rows: dict[tuple[int, bytes], list[Change]] = {}
        self._changes_max = changes_max
        self._bytes_max = bytes_max
        self._changes = 0
        self._bytes = 0

    def add(self, table_oid: int, key: bytes, change: Change) -> None:
        """The next change of the log, of the row with this key."""
        if crc32(key) % self.one_in:
            return
        self.rows.setdefault((table_oid, key), []).append(change)
        self._changes += 1
        self._bytes += _bytes_of(change)
        while self._changes > self._changes_max or self._bytes > self._bytes_max:
            self._halve()

    def _halve(self) -> None:
        self.one_in *= 2
        for row in [row for row in self.rows if crc32(row[1]) % self.one_in]:
            for change in self.rows.pop(row):
                self._changes -= 1
                self._bytes -= _bytes_of(change)
        if len(self.rows) <= 1:  # one row that was changed more often than all may be: its last changes tell enough
            for changes in self.rows.values():
                self._bytes -= sum(map(_bytes_of, changes[: -self._changes_max // 2]))
                self._changes -= len(changes[: -self._changes_max // 2])
                del changes[: -self._changes_max // 2]
            return


def _bytes_of(change: Change) -> int:
    return sum(len(value) for values in change[5:7] for value in values or ())
