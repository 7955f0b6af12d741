"""Which managed server this is, by the settings and functions that only it has, and how things are done there instead.

From the vendors' documentation: none of them was run by us. docs/managed-servers.md has the whole table and the sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .connecting import Connection

MARKS = """
    SELECT CASE
        WHEN EXISTS (SELECT FROM pg_proc WHERE proname = 'aurora_version') THEN 'aurora'
        WHEN current_setting('rds.extensions', true) IS NOT NULL THEN 'rds'
        WHEN current_setting('cloudsql.logical_decoding', true) IS NOT NULL THEN 'cloudsql'
        WHEN current_setting('azure.extensions', true) IS NOT NULL THEN 'azure' END
"""


@dataclass(frozen=True, slots=True)
class Managed:
    """``logical``: how wal_level becomes logical; ``setting``: how any other setting is changed. ``replication_role``: whose
    members may read slots, where nobody may give the attribute REPLICATION."""

    name: str
    logical: str
    setting: str
    replication_role: str | None = None


AMAZON = "in the parameter group, and reboot"
KINDS: Mapping[str, Managed] = {
    "rds": Managed("Amazon RDS", f"rds.logical_replication = 1 {AMAZON}", AMAZON, "rds_replication"),
    "aurora": Managed("Amazon Aurora", f"rds.logical_replication = 1 {AMAZON}", AMAZON, "rds_replication"),
    "cloudsql": Managed(
        "Google Cloud SQL",
        "the flag cloudsql.logical_decoding = on, and restart",
        "as a flag of the instance, and restart",
    ),
    "azure": Managed(
        "Azure Database for PostgreSQL",
        "wal_level = logical among the server parameters, and restart",
        "among the server parameters, and restart",
    ),
}


def detect(db: Connection) -> Managed | None:
    """None: an own server, or one whose marks we do not know."""
    row = db.execute(MARKS).fetchone()
    return KINDS[row[0]] if row and row[0] else None
