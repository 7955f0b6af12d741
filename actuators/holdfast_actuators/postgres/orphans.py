"""What nobody disarmed: slots, publications, origins and triggers that bear our names and belong to no recovery.

Slots and origins are the server's, their journals each database's. A slot says which database it is of; an origin does not, and
one without a slot may be another database's that is being armed, or undone. So an origin is an orphan only beside an orphaned
slot or publication of its name here, or where the journal here says that it was disarmed.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdfast_schemas.errors import DisarmRefused

from . import journal
from .connecting import Connection, Statement
from .laying_out import laid_out
from .steps import TRIGGER

NAME = "^hf_[0-9a-f]{20}$"
FOUND = """
    SELECT 'trigger', format('%%I.%%I', n.nspname, c.relname), '' FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgname = %(trigger)s AND NOT t.tgisinternal
    UNION ALL SELECT 'origin', roname, regexp_replace(roname, '_[0-9]+$', '') FROM pg_replication_origin
    WHERE regexp_replace(roname, '_[0-9]+$', '') ~ %(name)s
    UNION ALL SELECT 'publication', pubname::text, pubname::text FROM pg_publication WHERE pubname ~ %(name)s
    UNION ALL SELECT 'slot', slot_name::text, slot_name::text FROM pg_replication_slots
    WHERE database = current_database() AND slot_name ~ %(name)s
"""


@dataclass(frozen=True, slots=True)
class Orphan:
    """``kind`` is slot, publication, origin or trigger; ``name`` the object, of a trigger its table."""

    kind: str
    name: str

    def drop(self) -> Statement:
        """What takes it away."""
        if self.kind == "slot":
            return sql.SQL("SELECT pg_drop_replication_slot({})").format(self.name)
        if self.kind == "publication":
            return sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(self.name))
        if self.kind == "origin":
            return sql.SQL("SELECT pg_replication_origin_drop({})").format(self.name)
        return sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(TRIGGER), sql.SQL(self.name))


def find_orphans(db: Connection) -> list[Orphan]:
    """Those of this database, the slot, by which the others are known, last. Replica identities cannot be told from an
    owner's own choice."""
    owned: set[str] = set()
    disarmed: set[str] = set()
    tables: set[str] = set()
    if laid_out(db):
        for name, state in db.execute(sql.SQL("SELECT slot, state FROM {}").format(journal.table("recovery"))):
            (disarmed if state == "disarmed" else owned).add(name)
        protected = (
            "SELECT format('%%I.%%I', n.nspname, c.relname) FROM {} p JOIN pg_class c ON c.oid = p.table_oid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
        )
        tables = {name for (name,) in db.execute(sql.SQL(protected).format(journal.table("protected")), [])}
    found = db.execute(FOUND, {"name": NAME, "trigger": TRIGGER}).fetchall()
    here = disarmed | {base for kind, _, base in found if kind in ("slot", "publication") and base not in owned}
    return [
        Orphan(kind, name) for kind, name, base in found if (name not in tables if kind == "trigger" else base in here)
    ]


def drop(db: Connection, orphan: Orphan) -> None:
    """Take it away. Raises DisarmRefused."""
    try:
        db.execute(orphan.drop())
    except psycopg.Error as error:
        raise DisarmRefused("an orphan", f"{orphan.kind} {orphan.name}", " ".join(str(error).split())) from None
