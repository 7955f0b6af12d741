"""A record of a newer minor version: acted on as usual, and kept in the audit with the fields that we do not know."""

import json

import pytest

from holdfast_schemas.decisions import Decision
from holdfast_schemas.record import now, to_milliseconds

from .conftest import Bench, decision_of

pytestmark = pytest.mark.postgres


def test_a_decision_keeps_fields_that_we_do_not_know(bench: Bench) -> None:
    run = bench.start()
    value = json.loads(decision_of(run.run_id, "pause", 1).model_dump_json())
    newer = Decision.model_validate_json(json.dumps(value | {"schema_version": "1.9", "confidence": {"of": 0.93}}))
    bench.ledger.decide(newer, to_milliseconds(now()))
    assert bench.desired().desired == "pause"
    [[body]] = bench.execute("SELECT body FROM action WHERE cause_id = %s", newer.decision_id)
    kept = body if isinstance(body, dict) else json.loads(body)
    assert (kept["schema_version"], kept["confidence"]) == ("1.9", {"of": 0.93})
