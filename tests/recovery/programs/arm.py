"""``python -m tests.recovery.programs.arm DSN ENVIRONMENT TABLE...``: arms migration `m` of role `migrator`."""

import sys

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_schemas.errors import HoldfastError
from holdfast_schemas.settings import MigrationSettings

if __name__ == "__main__":
    dsn, environment, *tables = sys.argv[1:]
    arming = Arming.of(environment, "m", MigrationSettings(target="app", tables=tuple(tables), role="migrator"))
    try:
        with connect("app", dsn) as db:
            arming.arm(db, lambda says: print(says, flush=True))
    except HoldfastError as refusal:
        print(refusal)
        sys.exit(refusal.exit_code)
