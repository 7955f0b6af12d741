"""The clone's whole configuration, in place of the live server's: whatever that says is not meant for it. Pure.

It recovers up to the point, listens in its own folder alone, lets nobody in before, and archives nothing.
"""

from collections.abc import Mapping
from pathlib import Path

from ..restore_point import RestorePoint

HBA = "local all all trust\n"
"""Whoever may enter its folder, which only its owner may."""
PREPARED_TRANSACTIONS_MAX = 1000
"""Room for those of the live server that are open at the point: recovery ends where there is less. A kilobyte each."""


def settings(point: RestorePoint, folder: Path, restore_command: str, more: Mapping[str, str]) -> dict[str, str]:
    """All of them, by name; ``more`` come after ours, and overrule them.

    Without hot_standby a server that does not reach its point dies before it accepts a connection, not after.
    """
    return {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "unix_socket_permissions": "0700",
        "archive_mode": "off",
        "hot_standby": "off",
        "max_prepared_transactions": str(PREPARED_TRANSACTIONS_MAX),
        "max_logical_replication_workers": "0",
        "cluster_name": "holdfast_clone",
        "restore_command": restore_command,
        "recovery_target_name": point.name,
        "recovery_target_timeline": "latest" if point.timeline is None else str(point.timeline),
        "recovery_target_action": "promote",
        **more,
    }


def as_text(found: Mapping[str, str]) -> str:
    """``postgresql.conf``."""
    return "".join(f"{name} = '{_quoted(value)}'\n" for name, value in found.items())


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
