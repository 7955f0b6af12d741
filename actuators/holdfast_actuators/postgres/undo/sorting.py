"""Whose each change is, and into which chunk it goes. Pure: the log's messages in, the journal's rows out.

A transaction is the migration's when its session had set up one of the migration's origins. The role's trigger reports each
statement in the log itself: such a report without the origin is a write that nobody tagged, which blocks an undo.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, cast

from psycopg.types.json import Jsonb

from holdfast_schemas.errors import MalformedMessage

from .decode import Begin, Commit, LogicalMessage, Message, Origin, Relation, Truncate, decode
from .row_messages import ROW_KINDS, Delete, Insert, RowMessage, Update, decode_row

MESSAGE_PREFIX = "holdfast"
MAX_ROWS = 50_000
"""Of a chunk: what one transaction of the undo takes back, and holds locks for."""
MAX_ROWS_WITHOUT_KEY = 1_000
"""The same where each row is searched by all its values, one after the other."""
MAX_HAZARDS = 10_000
"""So many are told apart; of what comes after, only the number is known."""
Row = tuple[object, ...]
Change = tuple[int, int, int, int, str, list[bytes] | None, list[bytes] | None]
"""A row of the journal: seq, chunk, version of its table, xid, operation (I, U, D), old, new. A plain tuple: one with
names costs 0.5 µs more, an eighth of what Python does for a row."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """What the log holds of the migration and no row undo takes back; ``kind`` as in the journal."""

    kind: str
    xid: int
    committed_at: datetime
    table: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Version:
    number: int
    relation: Relation
    identity: Callable[[list[bytes]], object] | None
    """Of a row, its key; None where the table has no key, or one with a column that came later."""

    @property
    def table(self) -> str:
        return f"{self.relation.schema_name}.{self.relation.table_name}"


class Sorting:
    """Feed it a slot's messages in order. ``keys``: each table's key columns, as the undo will find rows by.

    A chunk is one version of one table and one operation, and no key stands in it twice: the undo takes it back at once.
    A table without a key is taken back row by row, so that its rows may come twice.
    ``logged``: tables whose rows all show. A statement that was reported of one, in a transaction that wrote none, wrote none.
    """

    def __init__(
        self,
        origins: Sequence[str],
        nonce: str,
        keys: Mapping[int, tuple[str, ...]],
        logged: Collection[str] = frozenset(),
    ) -> None:
        self.rows = 0
        self.chunk = 0
        self.foreign_rows = 0
        self.unchanged_rows = 0
        self.further_hazards = 0
        self.hazards: dict[tuple[str, int, str], Hazard] = {}
        self._origins = frozenset(origins)
        self._nonce = nonce
        self._keys = keys
        self._logged = frozenset(logged)
        self._reports: dict[tuple[str, str], None] = {}
        self._foreign_rows_before = 0
        self._versions: list[_Version] = []
        self._newest: dict[int, _Version] = {}
        self._used: set[int] = set()
        self._begin: Begin | None = None
        self._own = False
        self._filling: tuple[int, str] | None = None
        self._rows_in_chunk = 0
        self._identities: set[object] = set()

    def read(self, data: bytes) -> Sequence[Change]:
        """:meth:`feed` from bytes. Others' rows are only counted: most of a log may be theirs."""
        if data[0] not in ROW_KINDS:
            return self.feed(decode(data))
        if self._own:
            return self._change(decode_row(data))
        self.foreign_rows += 1
        return ()

    def feed(self, message: Message) -> Sequence[Change]:
        """The change's row, where the message is one of the migration's."""
        match message:
            case Insert() | Update() | Delete():
                if self._own:
                    return self._change(message)
                self.foreign_rows += 1
            case Begin():
                self._begin, self._own = message, False
                self._foreign_rows_before = self.foreign_rows
            case Commit():
                self._judge_reports()
            case Origin(name):
                self._own = name in self._origins
            case Relation():
                self._version(message)
            case LogicalMessage(True, prefix, content) if prefix == MESSAGE_PREFIX and not self._own:
                self._reported(content)
            case Truncate(oids) if self._own:
                for oid in oids:
                    self._hazard("truncate", self._known(oid).table, "its rows are not in the log")
        return ()

    def table_named(self, version: int) -> str:
        """The table that a change's version is of, as it was called then."""
        return self._versions[version - 1].table

    def key_of(self, change: Change) -> tuple[int, bytes] | None:
        """The table's oid and the key of a change's row; None where it has none, or got another by the change."""
        version, old, new = self._versions[change[2] - 1], change[5], change[6]
        if version.identity is None:
            return None
        before, after = (None if values is None else version.identity(values) for values in (old, new))
        if old is not None and new is not None and before != after:
            return None
        key = before if after is None else after
        return version.relation.table_oid, key if isinstance(key, bytes) else b"".join(cast(tuple[bytes, ...], key))

    def relation_rows(self) -> Iterator[Row]:
        """(version, table_oid, schema_name, table_name, replica_identity, columns) of each version that a change is of."""
        for version in self._versions:
            if version.number not in self._used:
                continue  # how a table looked when only others wrote it hinders no undo
            found = version.relation
            columns = [
                {"name": c.name, "type_oid": c.type_oid, "type_modifier": c.type_modifier} for c in found.columns
            ]
            yield (
                version.number,
                found.table_oid,
                found.schema_name,
                found.table_name,
                found.replica_identity,
                Jsonb(columns),
            )

    def hazard_rows(self) -> Iterator[Row]:
        """(number, kind, xid, committed_at, table_name, detail) of each hazard."""
        for number, one in enumerate(self.hazards.values(), 1):
            yield (number, one.kind, one.xid, one.committed_at, one.table, one.detail)

    def _version(self, relation: Relation) -> None:
        known = self._newest.get(relation.table_oid)
        if known is not None and known.relation == relation:
            return
        names = self._keys.get(relation.table_oid, ())
        places = tuple(i for i, column in enumerate(relation.columns) if column.name in names)
        identity = itemgetter(*places) if places and len(places) == len(names) else None
        version = _Version(len(self._versions) + 1, relation, identity)
        self._versions.append(version)
        self._newest[relation.table_oid] = version

    def _known(self, table_oid: int) -> _Version:
        version = self._newest.get(table_oid)
        if version is None:
            raise MalformedMessage(1, f"it is of table {table_oid}, which was not described before")
        return version

    def _change(self, message: RowMessage) -> Sequence[Change]:
        version = self._known(message.table_oid)
        old: list[bytes] | None
        new: list[bytes] | None
        if isinstance(message, Update):
            operation, old, new = "U", message.old, message.new
        elif isinstance(message, Insert):
            operation, old, new = "I", None, message.new
        else:
            operation, old, new = "D", message.old, None
        if old is None and operation != "I":
            identity = version.relation.replica_identity
            self._hazard("no_old_row", version.table, f"replica identity {identity}: the old row is not in the log")
            return ()
        columns = len(new or old or ())
        if columns != len(version.relation.columns):
            raise MalformedMessage(1, f"{columns} values of {version.table}, described otherwise")
        if new == old:
            self.unchanged_rows += 1
            return ()
        self.rows += 1
        chunk = self._chunk(version, operation, old, new)
        assert self._begin is not None
        return ((self.rows, chunk, version.number, self._begin.xid, operation, old, new),)

    def _chunk(self, version: _Version, operation: str, old: list[bytes] | None, new: list[bytes] | None) -> int:
        identity, rekeyed = None, False
        if version.identity is not None:
            before = None if old is None else version.identity(old)
            identity = before if new is None else version.identity(new)
            # Alone: the key that it leaves, or takes, may be that of another row in the same chunk.
            rekeyed = operation == "U" and before != identity
        twice = identity is not None and identity in self._identities
        full = self._rows_in_chunk >= (MAX_ROWS if version.identity else MAX_ROWS_WITHOUT_KEY)
        if twice or full or rekeyed or self._filling != (version.number, operation):
            self.chunk += 1
            self._rows_in_chunk = 0
            self._identities.clear()
            self._filling = None if rekeyed else (version.number, operation)
            self._used.add(version.number)
        self._rows_in_chunk += 1
        if identity is not None:
            self._identities.add(identity)
        return self.chunk

    def _reported(self, content: bytes) -> None:
        try:
            # Names are in the encoding of the database; a name that reads a bit wrong is better than none.
            report: Any = json.loads(content.decode(errors="replace"))
        except (ValueError, RecursionError):
            return  # whoever may emit messages may write any
        if isinstance(report, dict) and report.get("nonce") == self._nonce:
            self._reports[str(report.get("table")), str(report.get("operation"))] = None

    def _judge_reports(self) -> None:
        """At the commit, when all rows of the transaction were seen: which of its untagged statements may have written."""
        wrote = self.foreign_rows > self._foreign_rows_before
        for table, operation in self._reports:
            if wrote or operation == "TRUNCATE" or table not in self._logged:
                self._hazard("untagged", table, f"{operation} by the role, without holdfast.join")
        self._reports.clear()

    def _hazard(self, kind: str, table: str, detail: str) -> None:
        assert self._begin is not None
        key = (kind, self._begin.xid, table)
        if len(self.hazards) >= MAX_HAZARDS and key not in self.hazards:
            self.further_hazards += 1
            return
        self.hazards.setdefault(key, Hazard(kind, self._begin.xid, self._begin.committed_at, table, detail))
