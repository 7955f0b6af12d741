"""Whether a migration is armed before its first row: settings, triggers in force and what is at stake, as a table."""

import pytest

from holdfast_actuators.protection import Major, judge_major, judge_protection

MAJOR, MINOR = Major(True, "its plan loses data: line 1"), Major(False, "it is small")
WANTED = [
    ("always", [], None, True, "protect = always"),
    ("always", [], MINOR, True, "protect = always"),
    ("never", ["t"], MAJOR, False, "protect = never"),
    ("auto", ["t"], None, True, "trigger t may roll it back"),
    ("auto", ["t"], MINOR, True, "trigger t may roll it back"),
    ("auto", [], MAJOR, True, "its plan loses data: line 1"),
    ("auto", [], None, None, "its plan and its tables were not looked at yet"),
    ("auto", [], MINOR, False, "no trigger in force may roll it back, it is small"),
]


@pytest.mark.parametrize(("protect", "triggers", "major", "armed", "why"), WANTED)
def test_protection(protect: str, triggers: list[str], major: Major | None, armed: bool | None, why: str) -> None:
    found = judge_protection(protect, triggers, major)
    assert (found.armed, found.why) == (armed, why)


@pytest.mark.parametrize(
    ("losing", "table_bytes", "is_major", "why"),
    [
        (
            [],
            0,
            False,
            "its tables hold 0.0 MB of at most 1.0 MB (major_bytes), and no statement of its plan loses data",
        ),
        ([], 1_000_000, False, "its tables hold 1.0 MB of at most"),
        ([], 1_500_000, True, "its tables hold 1.5 MB, more than 1.0 MB (major_bytes)"),
        (["line 1: DROP TABLE t"], 0, True, "its plan loses data: line 1: DROP TABLE t"),
        (["a", "b", "c", "d", "e"], 0, True, "its plan loses data: a; b; c and 2 more"),
    ],
)
def test_major(losing: list[str], table_bytes: int, is_major: bool, why: str) -> None:
    found = judge_major(losing, table_bytes, 1_000_000)
    assert found.is_major is is_major
    assert found.why.startswith(why)
