"""``python -m tests.runners.programs.counting_until_told BROKER FILE``; counts until FILE is there, prints rows and batches.

In observe mode: nothing ever holds it, so it counts on at full speed while the broker is away.
"""

import sys
import time
from pathlib import Path

from holdfast import Reporter
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.settings import quick

if __name__ == "__main__":
    broker, told = sys.argv[1], Path(sys.argv[2])
    batches = 0
    with Reporter(quick(KafkaSettings(bootstrap_servers=broker), mode="observe")).run("m", target="t") as run:
        while not told.exists():
            run.checkpoint()
            with run.batch(rows=3) as batch:
                time.sleep(0.002)
                batch.failed(rows=batches % 2)
            batches += 1
            print(batches, flush=True)
