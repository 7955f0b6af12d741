"""PURE: the judgement. No Kafka, no clock, no I/O: `step(state, record) -> output`, the same for the same log.

The way of a record: engine.step reads it → clock (time is in the log) → events of runs (runs.py), rules (rules.py),
health (health.py) → judging (triggers, deadlines) → decisions and metrics in the output.
"""

ENGINE_VERSION = "2"
STATE_VERSION = 2
