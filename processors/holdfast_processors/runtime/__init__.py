"""The only Faust code: how a record reaches the engine, and how what it led to becomes durable.

The way of a record: delivery (a fetch of one partition) → app (the engine, record by record) → durability.decide
(decisions, metrics, dead letters; then the Watched of a Tick) → durability.keep (states, the partition's record last,
then the position). recovery reads states back at an assignment; fencing ends a worker that lost its partitions.
"""
