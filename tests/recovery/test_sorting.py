"""Whose a change is and which chunk it goes into, from messages alone; and what holds for the chunks of any log."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_actuators.postgres.undo import sorting as module
from holdfast_actuators.postgres.undo.decode import (
    Begin,
    Commit,
    LogicalMessage,
    Message,
    Origin,
    Relation,
    RelationColumn,
    Truncate,
)
from holdfast_actuators.postgres.undo.row_messages import NULL, Delete, Insert, Update
from holdfast_actuators.postgres.undo.sorting import Sorting
from holdfast_schemas.errors import MalformedMessage

AT = datetime(2026, 11, 23, tzinfo=UTC)
KEYED, KEYLESS = 1, 2


def relation(oid: int = KEYED, *names: str, identity: str = "f") -> Relation:
    columns = tuple(RelationColumn(name, 25, -1) for name in names or ("id", "note"))
    return Relation(oid, "public", f"t{oid}", identity, columns)


def report(nonce: str = "secret", table: str = "public.t1", operation: str = "UPDATE") -> LogicalMessage:
    content = json.dumps({"nonce": nonce, "table": table, "operation": operation})
    return LogicalMessage(True, "holdfast", content.encode())


def sort(*messages: Message, own: bool = True) -> tuple[Sorting, list[Any]]:
    """The rows that come of one transaction's messages, of the migration by default."""
    sorting = Sorting(["hf_1", "hf_2"], "secret", {KEYED: ("id",)}, {"public.t1", "public.t2"})
    started: list[Message] = [Begin(1, AT, 7), *([Origin("hf_2")] if own else [])]
    described = [relation(KEYED), relation(KEYLESS)]
    return sorting, [row for message in [*started, *described, *messages, Commit(9)] for row in sorting.feed(message)]


def chunks(*messages: Message) -> list[int]:
    return [row[1] for row in sort(*messages)[1]]


def test_a_row_of_the_journal() -> None:
    sorting, rows = sort(
        Insert(KEYED, [b"1", NULL]), Update(KEYED, [b"1", NULL], [b"1", b"a"]), Delete(KEYED, [b"1", b"a"])
    )
    assert rows == [
        (1, 1, 1, 7, "I", None, [b"1", NULL]),
        (2, 2, 1, 7, "U", [b"1", NULL], [b"1", b"a"]),
        (3, 3, 1, 7, "D", [b"1", b"a"], None),
    ]
    assert (sorting.rows, sorting.chunk, sorting.foreign_rows, sorting.table_named(rows[0][2])) == (
        3,
        3,
        0,
        "public.t1",
    )


def test_only_an_origin_of_the_migration_makes_a_transaction_its_own() -> None:
    sorting, rows = sort(Insert(KEYED, [b"1", b"a"]), own=False)
    rows += sorting.feed(Begin(2, AT, 8))
    rows += [row for m in (Origin("hf_10"), Insert(KEYED, [b"2", b"a"])) for row in sorting.feed(m)]
    rows += [row for m in (Begin(3, AT, 9), Origin("hf_1"), Insert(KEYED, [b"3", b"a"])) for row in sorting.feed(m)]
    rows += [row for m in (Begin(4, AT, 10), Insert(KEYED, [b"4", b"a"])) for row in sorting.feed(m)]
    assert [row[6] for row in rows] == [[b"3", b"a"]]
    assert sorting.foreign_rows == 3


def test_what_stays_the_same_stays_out() -> None:
    sorting, rows = sort(
        Update(KEYED, [b"1", b"long"], [b"1", b"long"]),
        Update(KEYED, [b"2", b"long"], [b"3", b"long"]),
    )
    assert [row[5:] for row in rows] == [([b"2", b"long"], [b"3", b"long"])]
    assert (sorting.rows, sorting.unchanged_rows) == (1, 1)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([Insert(KEYED, [b"1", b"a"]), Insert(KEYED, [b"2", b"a"])], [1, 1]),
        ([Insert(KEYED, [b"1", b"a"]), Insert(KEYED, [b"1", b"b"])], [1, 2]),  # the application deleted it in between
        ([Insert(KEYED, [b"1", b"a"]), Insert(KEYLESS, [b"2", b"a"])], [1, 2]),
        ([Insert(KEYED, [b"1", b"a"]), Delete(KEYED, [b"2", b"a"]), Insert(KEYED, [b"3", b"a"])], [1, 2, 3]),
        ([Update(KEYED, [b"1", b"a"], [b"1", b"b"]), Update(KEYED, [b"1", b"b"], [b"1", b"c"])], [1, 2]),
        ([Update(KEYED, [b"1", b"a"], [b"1", b"b"]), Update(KEYED, [b"2", b"a"], [b"2", b"b"])], [1, 1]),
        (
            [
                Update(KEYED, [b"1", b"a"], [b"1", b"b"]),
                Update(KEYED, [b"2", b"a"], [b"9", b"a"]),
                Update(KEYED, [b"3", b"a"], [b"3", b"b"]),
            ],
            [1, 2, 3],
        ),
        (
            [Insert(KEYLESS, [b"1", b"a"]), Insert(KEYLESS, [b"1", b"a"])],
            [1, 1],
        ),  # taken back one by one: twice is no harm
        ([Update(KEYLESS, [b"1", b"a"], [b"1", b"b"]), Update(KEYLESS, [b"1", b"b"], [b"1", b"c"])], [1, 1]),
        ([Insert(KEYED, [b"1", b"a"]), relation(KEYED), Insert(KEYED, [b"2", b"a"])], [1, 1]),  # said again, the same
        (
            [Insert(KEYED, [b"1", b"a"]), relation(KEYED, "id", "note", "more"), Insert(KEYED, [b"2", b"a", b"b"])],
            [1, 2],
        ),
    ],
)
def test_where_a_chunk_ends(messages: list[Message], expected: list[int]) -> None:
    assert chunks(*messages) == expected


def test_a_chunk_is_bounded_and_so_is_what_is_remembered_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 3)
    monkeypatch.setattr(module, "MAX_ROWS_WITHOUT_KEY", 2)
    assert chunks(*(Insert(KEYED, [str(i).encode(), b""]) for i in range(7))) == [1, 1, 1, 2, 2, 2, 3]
    assert chunks(*(Insert(KEYLESS, [b"1", b""]) for i in range(5))) == [1, 1, 2, 2, 3]


def test_each_shape_of_a_table_that_the_migration_wrote_is_a_version() -> None:
    more = relation(KEYED, "id", "note", "more")
    default = relation(KEYED, "id", "note", "more", identity="d")
    insert = Insert(KEYED, [b"1", b"a", b"b"])
    sorting, rows = sort(Insert(KEYED, [b"1", b"a"]), more, relation(KEYLESS), more, insert, default, insert)
    versions: list[Any] = list(sorting.relation_rows())
    assert [(row[0], row[1], row[4], len(row[5].obj)) for row in versions] == [
        (1, KEYED, "f", 2),
        (3, KEYED, "f", 3),
        (4, KEYED, "d", 3),
    ]
    assert versions[0][5].obj[0] == {"name": "id", "type_oid": 25, "type_modifier": -1}
    assert [row[2] for row in rows] == [1, 3, 4]


def test_a_key_with_a_column_that_came_later_is_none_yet() -> None:
    sorting = Sorting(["hf_1"], "secret", {KEYED: ("id", "tenant")})
    messages: list[Message] = [
        Begin(1, AT, 7),
        Origin("hf_1"),
        relation(KEYED),
        *(Insert(KEYED, [b"1", b""]) for _ in range(2)),
    ]
    assert [row[1] for message in messages for row in sorting.feed(message)] == [1, 1]  # else id alone ended the chunk


def hazards(*messages: Message, own: bool = True) -> list[tuple[Any, ...]]:
    sorting, rows = sort(*messages, own=own)
    assert rows == []
    return list(sorting.hazard_rows())


def test_what_no_row_undo_takes_back() -> None:
    assert hazards(Truncate((KEYED, KEYLESS))) == [
        (1, "truncate", 7, AT, "public.t1", "its rows are not in the log"),
        (2, "truncate", 7, AT, "public.t2", "its rows are not in the log"),
    ]
    without: list[Message] = [
        relation(KEYED, identity="d"),
        Update(KEYED, None, [b"1", b"a"]),
        Delete(KEYED, None),
        Delete(KEYED, None),
    ]
    assert hazards(*without) == [
        (1, "no_old_row", 7, AT, "public.t1", "replica identity d: the old row is not in the log")
    ]
    assert hazards(Insert(KEYED, [b"1", b"a"]), report(), report(), report(table="public.t2"), own=False) == [
        (1, "untagged", 7, AT, "public.t1", "UPDATE by the role, without holdfast.join"),
        (2, "untagged", 7, AT, "public.t2", "UPDATE by the role, without holdfast.join"),
    ]


@pytest.mark.parametrize(
    "message",
    [
        report(nonce="guessed"),
        LogicalMessage(False, "holdfast", report().content),
        LogicalMessage(True, "holdfast2", report().content),
        LogicalMessage(True, "holdfast", b"secret"),
        LogicalMessage(True, "holdfast", b"\xff\x00"),
        LogicalMessage(True, "holdfast", b'["secret"]'),
        LogicalMessage(True, "holdfast", b"[" * 200_000),
        LogicalMessage(True, "holdfast", b"9" * 200_000),
        Truncate((KEYED,)),
        Update(KEYED, None, [b"1", b"a"]),
    ],
)
def test_what_others_write_is_no_hazard(message: Message) -> None:
    assert hazards(message, own=False) == []


@pytest.mark.parametrize(
    ("messages", "tables"),
    [
        ([report()], []),
        ([report(), report(table="public.t2")], []),
        ([report(), Insert(KEYED, [b"1", b"a"])], ["public.t1"]),  # wherever the report stands
        ([Insert(KEYLESS, [b"1", b"a"]), report()], ["public.t1"]),  # a partition's row: which statement's is not known
        ([report(operation="TRUNCATE")], ["public.t1"]),
        ([report(table="public.detached")], ["public.detached"]),  # the log does not hold its rows
    ],
)
def test_a_statement_that_touched_no_row_is_no_hazard_where_the_log_would_show_it(
    messages: list[Message], tables: list[str]
) -> None:
    assert [row[4] for row in hazards(*messages, own=False)] == tables


def test_rows_of_one_transaction_say_nothing_of_the_next() -> None:
    sorting = Sorting(["hf_1"], "secret", {KEYED: ("id",)}, {"public.t1"})
    first = [Begin(1, AT, 7), relation(), Insert(KEYED, [b"1", b"a"]), Commit(1)]
    for message in [*first, Begin(2, AT, 8), report(), Commit(2)]:
        list(sorting.feed(message))
    assert list(sorting.hazard_rows()) == []


def test_a_report_from_the_migration_s_own_transaction_is_none() -> None:
    assert hazards(report()) == []


def test_a_table_s_name_in_another_encoding_is_a_hazard_all_the_same() -> None:
    content = b'{"nonce": "secret", "table": "public.gr\xf6\xdfe", "operation": "INSERT"}'
    ((_, kind, _, _, table, _),) = hazards(LogicalMessage(True, "holdfast", content), own=False)
    assert (kind, table) == ("untagged", "public.gr��e")


def test_hazards_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HAZARDS", 3)
    sorting, _ = sort(own=False)
    for xid in range(10, 20):
        for message in (Begin(1, AT, xid), Insert(KEYED, [b"1", b"a"]), report(), report(), Commit(1)):
            list(sorting.feed(message))
    assert [row[2] for row in sorting.hazard_rows()] == [10, 11, 12]
    assert sorting.further_hazards == 7


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Insert(99, [b"1"]), "table 99, which was not described before"),
        (Truncate((99,)), "table 99, which was not described before"),
        (Insert(KEYED, [b"1"]), "1 values of public.t1, described otherwise"),
        (Delete(KEYED, [b"1", b"a", b"b"]), "3 values of public.t1, described otherwise"),
    ],
)
def test_a_stream_that_contradicts_itself_is_malformed(message: Message, says: str) -> None:
    with pytest.raises(MalformedMessage, match=says):
        sort(message)


ids = st.sampled_from([b"1", b"2", b"3", b"4", b"5", b"6"])
events = st.one_of(
    st.tuples(st.just("I"), st.sampled_from((KEYED, KEYLESS)), ids, ids),
    st.tuples(st.just("U"), st.sampled_from((KEYED, KEYLESS)), ids, ids),
    st.tuples(st.just("D"), st.sampled_from((KEYED, KEYLESS)), ids, ids),
)


@given(st.lists(events, max_size=60))
def test_whatever_was_written_a_chunk_is_one_kind_and_its_keys_are_distinct(
    log: list[tuple[str, int, bytes, bytes]],
) -> None:
    messages: list[Message] = []
    for kind, table, one, other in log:
        if kind == "I":
            messages.append(Insert(table, [one, other]))
        elif kind == "D":
            messages.append(Delete(table, [one, other]))
        else:
            messages.append(Update(table, [one, b"old"], [other, b"new"]))
    _, rows = sort(*messages)
    assert [row[0] for row in rows] == list(range(1, len(log) + 1))  # nothing is left out, in the log's order
    numbers = [row[1] for row in rows]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, max(numbers, default=0) + 1))
    by_chunk = defaultdict(list)
    for row in rows:
        by_chunk[row[1]].append(row)
    for chunk in by_chunk.values():
        assert len({(row[2], row[4]) for row in chunk}) == 1
        if chunk[0][2] != 1:
            continue
        keys = [side[0] for row in chunk for side in {tuple(s) for s in row[5:] if s}]
        if any(row[5] and row[6] and row[5][0] != row[6][0] for row in chunk):
            assert len(chunk) == 1  # a row that leaves its key is alone
        else:
            assert all(len([r for r in chunk if (r[6] or r[5])[0] == key]) == 1 for key in keys)
