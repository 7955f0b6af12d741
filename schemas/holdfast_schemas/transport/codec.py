"""Records to bytes and back. Pure: no client, no clock.

The value is the record's JSON; the headers are CloudEvents 1.0 in Kafka's binary mode, with ``traceparent`` passed on.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from ..errors import ContractViolated, Garbage, Undecodable, UnknownMajor, UnknownType, WrongKey
from ..problems import problems
from ..record import MAJOR, Record
from .topics import Topic

T = TypeVar("T", bound=Record)
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as Kafka carries it."""

    key: bytes
    value: bytes
    headers: Headers


def encode(record: Record, *, source: str = "holdfast", traceparent: str | None = None) -> Encoded:
    """The record's key, value and headers. ``source`` is the CloudEvents source: who sends it."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", record.identity().encode()),
        ("ce_source", source.encode()),
        ("ce_type", f"holdfast.{type(record).__name__}".encode()),
        ("ce_time", record.time().isoformat().replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
    ]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return Encoded(record.key().encode(), record.model_dump_json().encode(), headers)


def decode(topic: Topic[T], value: bytes | None, key: bytes | None = None, *, check_key: bool = True) -> T:
    """The record in these bytes.

    Raises an ``Undecodable`` that says why: Garbage, UnknownType, UnknownMajor, ContractViolated or WrongKey.
    """
    if value is None:
        raise Garbage("no value (a tombstone)")
    try:
        record = topic.contract.validate_json(value)
    except ValidationError as error:
        raise _why(topic, value, error) from None
    if check_key and key != (expected := record.key()).encode():
        raise WrongKey(None if key is None else key.decode(errors="replace"), expected)
    return record


def _why(topic: Topic[Any], value: bytes, error: ValidationError) -> Undecodable:
    """Name what is wrong, the coarsest first: a record of another major is not judged by this one's fields."""
    try:
        raw = from_json(value)  # which reads NaN and infinity too, so that the field that holds one is named
    except ValueError as why:
        return Garbage(f"{why} ({len(value)} bytes)")
    if not isinstance(raw, dict):
        return Garbage(f"a {type(raw).__name__}")
    version, kind = raw.get("schema_version"), raw.get("type")
    # Compared as text: int() refuses what a stranger may write (thousands of digits, a superscript).
    if isinstance(version, str) and (major := version.split(".")[0]).isdigit() and major.lstrip("0") != str(MAJOR):
        return UnknownMajor(version, MAJOR)
    if not isinstance(kind, str) or kind not in topic.types:
        return UnknownType(topic.name, repr(kind))
    return ContractViolated(kind, problems(error))
