"""The raw bytes of every place where Holdfast keeps or sends something."""

import subprocess
from collections.abc import Iterator

from psycopg.conninfo import conninfo_to_dict

from holdfast_consoles.demo.stage import Stage
from holdfast_consoles.embedded.postgres_binaries import programs
from holdfast_schemas.transport.reading import message_headers, messages_to_end
from holdfast_schemas.transport.topics import all_topics
from tests.actuators.receiver import Receiver


def topics_of(on: Stage) -> Iterator[tuple[str, bytes]]:
    """(topic, all keys, values and headers on it), dead letters and changelog too."""
    prefix = on.kafka.topic_prefix
    for topic in all_topics(prefix):
        parts: list[bytes] = []
        for message in messages_to_end(on.kafka, topic):
            parts += [_bytes(message.key()), _bytes(message.value())]
            parts += [name.encode() + b"=" + value for name, value in message_headers(message)]
        yield topic.removeprefix(f"{prefix}."), b" ".join(parts)


def ledger_of(on: Stage) -> bytes:
    """The ledger's database as pg_dump writes it."""
    parts = conninfo_to_dict(on.ledger_dsn)
    words = [
        f"--{name}={parts[key]}"
        for name, key in (("host", "host"), ("port", "port"), ("username", "user"))
        if key in parts
    ]
    dump = subprocess.run(
        [str(programs() / "pg_dump"), *words, "--inserts", str(parts["dbname"])],
        capture_output=True, check=True, timeout=60,
        env={"PGPASSWORD": str(parts.get("password", ""))},
    )  # fmt: skip
    return dump.stdout


def logs_of(on: Stage) -> Iterator[tuple[str, bytes]]:
    """(process, its log): services, runners, commands and the ledger's server; the application's server is its own."""
    for path in sorted([*on.folder.rglob("*.log"), on.folder / "ledger" / "log"]):
        if on.folder / "app" not in path.parents:
            yield str(path.relative_to(on.folder)), path.read_bytes()


def webhook_of(hook: Receiver) -> bytes:
    """All that was sent to the webhook."""
    return b"\n".join(content for _, content in hook.signed)


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
