"""On a managed server nobody types ALTER SYSTEM: its own cure in place of ours, and what it has not. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..managed import Managed
from .findings import Finding

SETTING = re.compile(r"ALTER SYSTEM SET (\w+ ?=? ?\S*)")


def on_a_managed_server(kind: Managed | None, findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings, with the vendor's way where a setting is the cure, and a note of which server it is."""
    if kind is None:
        yield from findings
        return
    yield Finding(
        "note",
        "managed-server",
        f"this is {kind.name}: its files and its archive are out of reach, so no clone can be made by us",
        "restore to a time before the run by its own means (docs/managed-servers.md)",
    )
    for finding in findings:
        if finding.code == "wal-level":
            yield replace(finding, cure=kind.logical)
        elif (found := SETTING.search(finding.cure)) is not None:
            yield replace(finding, cure=f"set {found[1].rstrip(',;')} {kind.setting}")
        else:
            yield finding
