"""docs/metrics.md and /metrics: the same figures, in a format that the official parser reads, named as Prometheus asks."""

import re
from collections import Counter

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from holdfast_actuators.figures import Figures as ActuatorFigures
from holdfast_actuators.lease import REASONS
from holdfast_actuators.ledger import Load
from holdfast_actuators.postgres.slots import SlotsSeen
from holdfast_processors.engine.state import PartitionState
from holdfast_processors.runtime.figures import Figures as ProcessorFigures
from holdfast_processors.runtime.partitions import Owned, Partitions
from holdfast_schemas import exposition
from holdfast_schemas.exposition import Figure
from holdfast_schemas.settings import ActuatorSettings, ProcessorSettings

from .test_protocol_page import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text()
ROWS = {
    name: (kind, set(re.findall(r"`(\w+)`", labels)))
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (counter|gauge) \| (.*?) ?\| .+ \|$", PAGE, re.M)
}
UNITS = ("_seconds", "_bytes", "_rows", "_info", "_total")
COUNTS_OF_THINGS = (
    "partitions",
    "loaded",
    "migrations",
    "renewed",
    "withheld",
    "writable",
    "actions",
    "runs",
    "slots",
    "endangered",
    "transactions",
)


def processor() -> str:
    figures, partitions = ProcessorFigures(), Partitions()
    for number in (0, 7):
        partitions.owned[number] = Owned(PartitionState(number))
        figures.watched(number, 0.25)
    return figures.text(partitions)


def actuator() -> str:
    figures = ActuatorFigures()
    figures.taken("decisions")
    figures.beat(12, Counter({"rules": 2}), None)
    figures.load(Load(3, 17, 1, {"held": 2}, {"live": 4}))
    figures.slots("app", SlotsSeen(1, 4_096, 8_192, 7, [], 1_000))
    figures.slot_given_up("app")
    return figures.text()


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def told(text: str) -> dict[str, tuple[str, set[str]]]:
    """name -> (kind, labels), as the official parser understands it; it takes ``_total`` off a counter's name."""
    return {
        family.name + "_total" * (family.type == "counter"): (
            family.type,
            set().union(*(s.labels for s in family.samples)),
        )
        for family in families(text)
    }


def value(text: str, name: str, **labels: str) -> float | None:
    found = [s.value for family in families(text) for s in family.samples if s.name == name and s.labels == labels]
    return found[0] if found else None


def test_the_page_names_every_figure_with_its_kind_and_labels() -> None:
    assert told(processor()) | told(actuator()) == ROWS
    for port in (ProcessorSettings().web_port, ActuatorSettings().web_port):
        assert f"({port})" in PAGE
    assert set(REASONS) == set(re.findall(r"`(\w+)`", PAGE.split("(`reason`):")[1].split("\n")[0].split(" A few")[0]))


@pytest.mark.parametrize("text", [processor(), actuator()], ids=["processor", "actuator"])
def test_names_follow_the_conventions(text: str) -> None:
    for family in families(text):
        shown = family.name + "_total" * (family.type == "counter")
        assert family.documentation
        assert family.type in ("counter", "gauge"), shown
        assert shown.startswith(("holdfast_", "process_")), shown
        assert shown.endswith(UNITS) or shown.rpartition("_")[2] in COUNTS_OF_THINGS, shown
        assert not any("migration" in label or "run" in label for sample in family.samples for label in sample.labels)
    assert text.count("# TYPE ") == text.count("# HELP ") == len(families(text))


def test_expressions_of_the_page_use_figures_that_are_there() -> None:
    alerts = PAGE.split("## What to be woken for")[1]
    assert set(re.findall(r"holdfast_\w+", alerts)) <= set(ROWS)


def test_what_is_not_known_is_left_out() -> None:
    bare = ProcessorFigures().text(Partitions())
    assert value(bare, "holdfast_processor_lag_seconds") is None
    assert value(bare, "holdfast_processor_partitions") == 0
    started = ActuatorFigures().text()
    assert value(started, "holdfast_ledger_outbox_rows") is None
    assert value(started, "holdfast_actuator_last_beat_timestamp_seconds") is None
    assert value(started, "holdfast_actuator_ledger_writable") == 0


def test_a_beat_says_how_many_leases_it_withheld_and_why() -> None:
    text = actuator()
    assert value(text, "holdfast_actuator_leases_renewed") == 10
    assert value(text, "holdfast_actuator_leases_withheld", reason="rules") == 2
    assert value(text, "holdfast_actuator_leases_withheld_total", reason="rules") == 2
    assert value(text, "holdfast_actuator_leases_withheld", reason="ledger") == 0


def test_the_oldest_that_is_owed_ages_while_it_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1_000.0
    monkeypatch.setattr("holdfast_actuators.figures.time.monotonic", lambda: clock)
    figures, age = ActuatorFigures(), "holdfast_ledger_outbox_oldest_age_seconds"
    figures.load(Load(2, 17))
    clock += 5
    figures.load(Load(9, 17))
    assert value(figures.text(), age) == 5
    figures.load(Load(8, 18))
    assert value(figures.text(), age) == 0
    clock += 4
    figures.load(Load(0, None))
    assert value(figures.text(), age) == 0
    clock += 31
    assert value(figures.text(), age) is None, "what was read long ago is not shown"


def test_labels_are_escaped() -> None:
    text = exposition.text([Figure("holdfast_x", "gauge", 'a "b" \\ \n c', [({"topic": 'q"u\\o\nte'}, 1.5)])])
    [family] = families(text)
    assert family.samples[0].labels == {"topic": 'q"u\\o\nte'}
    assert family.samples[0].value == 1.5
