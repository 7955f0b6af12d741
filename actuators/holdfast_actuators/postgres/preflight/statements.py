"""What could be taken back of each statement of a plan. By PostgreSQL's own parser, never by regular expressions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from holdfast_schemas.errors import ExtraMissing, PlanUnreadable

Class = Literal[
    "ROW_UNDO", "IMAGE_NEEDED", "DOWN_HOOK", "NOT_TRANSACTIONAL", "IRREVERSIBLE", "EXTERNAL", "HARMLESS", "UNKNOWN"
]
"""ROW_UNDO: the log takes its rows back. IMAGE_NEEDED: rows are lost that the log does not hold. DOWN_HOOK: a migration of
its own takes it back. NOT_TRANSACTIONAL: half done when it fails. IRREVERSIBLE, EXTERNAL: nothing takes it back. UNKNOWN:
nobody can tell before it runs."""
LOSES_DATA: frozenset[Class] = frozenset(("IMAGE_NEEDED", "IRREVERSIBLE", "EXTERNAL", "UNKNOWN"))


@dataclass(frozen=True, slots=True)
class Judged:
    """One statement; ``line`` counts from 1 in the plan, ``writes`` are the tables whose rows it writes, as it names them.

    ``loses_data``: rows are gone after it, or may be. An UPDATE's old values do not count: no parser knows a new column's.
    """

    line: int
    text: str
    verdict: Class
    why: str
    writes: tuple[str, ...] = ()
    loses_data: bool = False


def judge_plan(plan: str) -> list[Judged]:
    """Each statement of a plan, in order. Raises PlanUnreadable, ExtraMissing (pglast)."""
    try:
        import pglast
    except ModuleNotFoundError:
        raise ExtraMissing("actuator", "pglast", "reading a plan's SQL") from None
    try:
        found = pglast.parse_sql(plan)
    except pglast.parser.ParseError as error:
        at = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0
        raise PlanUnreadable(plan.count("\n", 0, at) + 1, str(error.args[0])) from None
    return [
        _judge(raw.stmt(skip_none=True), *_place(plan, raw.stmt_location or 0, raw.stmt_len or 0))  # type: ignore[misc]
        for raw in found
    ]


def _place(plan: str, at: int, length: int) -> tuple[int, str]:
    """The line on which a statement begins, behind its comments and blanks, and its text on one line."""
    lines = plan[at : at + length if length else len(plan)].split("\n")
    blank = next((n for n, line in enumerate(lines) if line.strip() and not line.strip().startswith("--")), 0)
    text = " ".join(" ".join(lines[blank:]).split())
    return plan.count("\n", 0, at) + blank + 1, text


def _judge(statement: Mapping[str, Any], line: int, text: str) -> Judged:
    kind = str(statement["@"])
    writes = tuple(dict.fromkeys(_writes(statement)))
    functions = set(_functions(statement))
    for names, verdict, why in FUNCTIONS:
        if found := sorted(functions & names):
            return Judged(line, text, verdict, f"{found[0]}(): {why}", writes, verdict in LOSES_DATA)
    verdict, why = _KINDS.get(kind, _unknown)(statement)
    return Judged(line, text, verdict, why, writes, verdict in LOSES_DATA or _deletes(statement))


FUNCTIONS: tuple[tuple[frozenset[str], Class, str], ...] = (
    (frozenset(("setval", "nextval")), "IRREVERSIBLE", "sequences are in no transaction and not in the log"),
    (
        frozenset(("lo_create", "lo_creat", "lo_import", "lo_unlink", "lowrite", "lo_put", "lo_from_bytea")),
        "IRREVERSIBLE",
        "large objects are not in the log",
    ),
    (
        frozenset(("dblink", "dblink_exec", "dblink_send_query", "pg_notify", "pg_read_file", "http_post", "http_get")),
        "EXTERNAL",
        "what it does outside this database stays",
    ),
)


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, tuple | list):
        for value in node:
            yield from _nodes(value)


def _functions(statement: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(statement):
        if node.get("@") == "FuncCall":
            yield str(node["funcname"][-1]["sval"]).lower()


def _writes(statement: Mapping[str, Any]) -> Iterator[str]:
    """Tables whose rows are written, also inside a WITH."""
    for node in _nodes(statement):
        kind = node.get("@")
        if kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt") or (
            kind == "CopyStmt" and node.get("is_from")
        ):
            if "relation" in node:
                yield _name(node["relation"])
        elif kind == "TruncateStmt":
            yield from (_name(relation) for relation in node["relations"])


def _deletes(statement: Mapping[str, Any]) -> bool:
    """Whether rows go, also inside a WITH or by a MERGE."""
    return any(
        node.get("@") == "DeleteStmt"
        or (node.get("@") == "MergeWhenClause" and _called(node["commandType"]) == "CMD_DELETE")
        for node in _nodes(statement)
    )


def _called(enum: Any) -> str:
    return str(enum.get("name", enum)) if isinstance(enum, Mapping) else str(enum)


def _name(relation: Mapping[str, Any]) -> str:
    return ".".join([str(relation[part]) for part in ("schemaname", "relname") if relation.get(part)])


Answer = tuple[Class, str]
_Judge = Callable[[Mapping[str, Any]], Answer]


def _says(verdict: Class, why: str) -> _Judge:
    return lambda _: (verdict, why)


def _unknown(statement: Mapping[str, Any]) -> Answer:
    return "UNKNOWN", f"{statement['@']}: nobody can tell what takes it back"


def _select(statement: Mapping[str, Any]) -> Answer:
    if "intoClause" in statement:
        return "DOWN_HOOK", "a new table: DROP TABLE takes it back"
    if any(_writes(statement)):
        return "ROW_UNDO", "its WITH writes rows, which the log holds"
    return "HARMLESS", "it reads"


def _copy(statement: Mapping[str, Any]) -> Answer:
    if statement.get("is_program"):
        return "EXTERNAL", "a program on the server"
    if statement.get("is_from"):
        return "ROW_UNDO", "the log holds its rows"
    return "HARMLESS", "it reads"


def _index(statement: Mapping[str, Any]) -> Answer:
    if statement.get("concurrent"):
        return (
            "NOT_TRANSACTIONAL",
            "CONCURRENTLY: when it fails an invalid index stays behind; DROP INDEX takes it back",
        )
    return "DOWN_HOOK", "DROP INDEX takes it back"


def _drop(statement: Mapping[str, Any]) -> Answer:
    kind = str(statement["removeType"].get("name", statement["removeType"]))
    if "TABLE" in kind or "SCHEMA" in kind or "MATVIEW" in kind or "SEQUENCE" in kind:
        return "IMAGE_NEEDED", "what is dropped is not in the log: only a clone has it"
    if statement.get("concurrent"):
        return "NOT_TRANSACTIONAL", "CONCURRENTLY: when it fails the index may stay invalid"
    return "DOWN_HOOK", "creating it again takes it back"


ALTERS: Mapping[str, Answer] = {
    "AT_DropColumn": ("IMAGE_NEEDED", "the column's values are not in the log: only a clone has them"),
    "AT_AlterColumnType": ("IMAGE_NEEDED", "the rewrite is not in the log, and the way back may lose digits"),
    "AT_SetUnLogged": ("IMAGE_NEEDED", "an unlogged table's rows are in no log"),
    "AT_ReplicaIdentity": ("IMAGE_NEEDED", "without FULL old rows are no longer logged"),
    "AT_DetachPartition": ("DOWN_HOOK", "ATTACH PARTITION takes it back"),
}
SEVERITY: tuple[Class, ...] = ("HARMLESS", "ROW_UNDO", "DOWN_HOOK", "NOT_TRANSACTIONAL", "IMAGE_NEEDED")


def _alter(statement: Mapping[str, Any]) -> Answer:
    worst: Answer = ("DOWN_HOOK", "the opposite ALTER takes it back; the rows' undo goes first")
    for command in statement.get("cmds", ()):
        kind = command["subtype"]
        answer = ALTERS.get(_called(kind), worst)
        if SEVERITY.index(answer[0]) > SEVERITY.index(worst[0]):
            worst = answer
    return worst


_KINDS: Mapping[str, _Judge] = {
    "SelectStmt": _select,
    "CopyStmt": _copy,
    "IndexStmt": _index,
    "DropStmt": _drop,
    "AlterTableStmt": _alter,
    **dict.fromkeys(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"), _says("ROW_UNDO", "the log holds its rows")),
    **dict.fromkeys(
        ("CreateStmt", "ViewStmt", "CreateSchemaStmt", "CreateTableAsStmt", "CreateSeqStmt", "CreateEnumStmt", "RenameStmt",
         "CreateTrigStmt", "CreateFunctionStmt", "CommentStmt", "CompositeTypeStmt", "CreateDomainStmt", "AlterObjectSchemaStmt",
         "GrantStmt", "AlterOwnerStmt", "CreatePolicyStmt", "CreateExtensionStmt", "RuleStmt", "CreateStatsStmt"),
        _says("DOWN_HOOK", "its opposite takes it back; the rows' undo goes first"),
    ),
    **dict.fromkeys(
        ("VacuumStmt", "ReindexStmt", "ClusterStmt", "CreatedbStmt", "DropdbStmt", "AlterSystemStmt"),
        _says("NOT_TRANSACTIONAL", "it cannot run in a transaction, or not be rolled back as one"),
    ),
    "TruncateStmt": _says("IMAGE_NEEDED", "the rows are not in the log: DELETE them, or rely on a clone"),
    "AlterEnumStmt": _says("IRREVERSIBLE", "a value of an enum cannot be removed"),
    "AlterSeqStmt": _says("IRREVERSIBLE", "sequences are in no transaction and not in the log"),
    "DoStmt": _says("UNKNOWN", "what a DO block does shows when it runs"),
    "CallStmt": _says("UNKNOWN", "what a procedure does shows when it runs"),
    "NotifyStmt": _says("EXTERNAL", "who was notified stays notified"),
    **dict.fromkeys(
        ("TransactionStmt", "VariableSetStmt", "VariableShowStmt", "ExplainStmt", "LockStmt", "DiscardStmt", "FetchStmt",
         "ListenStmt", "CheckPointStmt", "ConstraintsSetStmt"),
        _says("HARMLESS", "it changes no row"),
    ),
}  # fmt: skip
