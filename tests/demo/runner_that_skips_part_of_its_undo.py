"""Planted: takes its run back, says that it is done, and has left out every tenth step."""

import sys
from typing import Any

from holdfast_consoles.demo.runner import main
from holdfast_producers.backfill import Backfill


class Skipping(Backfill):
    def _step_back(self, db: Any, shape: Any, journal: Any, undo: Any) -> bool:
        with db.transaction():
            position = journal.hold(db, "undoing", undo.token)
            if position is not None and position.steps_left % 10 == 1:
                journal.undone(db, position.shard, 0, 0)
                undo.step(position.steps_left - 1, 0)
                return True
        return super()._step_back(db, shape, journal, undo)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Skipping))
