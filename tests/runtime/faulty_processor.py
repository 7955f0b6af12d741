"""Our processor with a fault planted outside of it: a slow broker (slow_broker), an engine with a bug (BUG_FILE)."""

import os
import sys
from pathlib import Path

from holdfast_processors import service
from holdfast_processors.runtime import app
from holdfast_schemas.settings import Settings
from tests.runtime.slow_broker import hold

hold()
BUG = Path(os.environ.get("BUG_FILE", "/nonexistent"))
step = app.step


def step_with_a_bug(state, record):  # type: ignore[no-untyped-def]
    if record.key == b"boom" and BUG.exists():
        raise RuntimeError("a bug in the engine")
    return step(state, record)


app.step = step_with_a_bug
sys.exit(service.run(Settings.load()))
