"""``python -m tests.recovery.programs.disarm DSN``: disarms migration `m`."""

import sys

from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_schemas.errors import HoldfastError

if __name__ == "__main__":
    try:
        with connect("app", sys.argv[1]) as db:
            disarm(db, "m", lambda says: print(says, flush=True))
    except HoldfastError as refusal:
        print(refusal)
        sys.exit(refusal.exit_code)
