"""``python -m tests.recovery.programs.roll_back DSN``: rolls migration `m` back from the log; exit 0 when it is done."""

import sys

from holdfast_actuators.postgres.undo import applying, sorting
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.errors import HoldfastError

if __name__ == "__main__":
    sorting.MAX_ROWS = 200  # more steps to die between
    applying.ATTEMPTS = 2
    try:
        print(LogRollback("app", sys.argv[1], "m").run(lambda says: print(says, flush=True)))
    except HoldfastError as refusal:
        print(refusal)
        sys.exit(refusal.exit_code)
