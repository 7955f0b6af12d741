"""What the demo plays on: a broker, two PostgreSQL servers, the two services, all as processes that end with it."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from confluent_kafka.admin import AdminClient

from holdfast_schemas.errors import DemoFailed
from holdfast_schemas.identity import new_id
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import all_topics

from ..embedded.broker import LIMITS, InProcessBroker
from ..embedded.child import ChildProcess
from ..embedded.kafka import EmbeddedKafka
from ..embedded.postgres import EmbeddedPostgres

Say = Callable[[str], None]
HOLDFAST = (sys.executable, "-m", "holdfast_consoles")
STOP_SECONDS = 15.0


@dataclass
class Stage:
    """The running parts; ``config`` is the holdfast.toml that every process of the demo reads."""

    folder: Path
    config: Path
    kafka: KafkaSettings
    app_dsn: str
    ledger_dsn: str
    ledger: EmbeddedPostgres
    children: contextlib.ExitStack
    processes: dict[str, ChildProcess] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The environment of every process: ours, without settings that are not the demo's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        return {**kept, "HOLDFAST_CONFIG": str(self.config), "PYTHONUNBUFFERED": "1"}

    def start_processor(self) -> ChildProcess:
        """`holdfast processor`, or the same again after its end."""
        return self.start("processor", [*HOLDFAST, "processor"])

    def start_actuator(self, name: str = "actuator") -> ChildProcess:
        """`holdfast actuator` under this name, or the same again after its end."""
        return self.start(name, [*HOLDFAST, "actuator"], HOLDFAST_ACTUATOR__NAME=f"demo-{name}")

    def start(self, name: str, argv: Sequence[str], **variables: str) -> ChildProcess:
        """Start a process whose log is ``NAME.log`` in the demo's folder; it ends with the stage."""
        child = ChildProcess(
            argv,
            log_path=self.folder / f"{name}.log",
            env={**self.environment(), **variables},
            grace_seconds=STOP_SECONDS,
        )
        self.processes[name] = self.children.enter_context(child)
        return child

    def start_module(self, name: str, *arguments: str) -> ChildProcess:
        """Start one of the demo's own programs."""
        return self.start(name, [sys.executable, "-m", f"holdfast_consoles.demo.{name}", *arguments])

    def run(self, name: str, argv: Sequence[str], seconds: float) -> str:
        """Run a process to its end and return what it printed. Raises DemoFailed when it does not exit 0."""
        child = self.start(name, argv)
        if (code := child.wait(seconds)) != 0:
            raise DemoFailed(f"{name} ended with exit code {code}", child.log_tail())
        return child.log_path.read_text()


@contextlib.contextmanager
def stage(
    broker: str,
    folder: Path,
    say: Say,
    *,
    actuators: int = 1,
    settings: Mapping[str, Mapping[str, float]] | None = None,
    migrations: Mapping[str, Mapping[str, object]] | None = None,
) -> Iterator[Stage]:
    """Everything up, until the with statement ends; then everything down again, whatever happened.

    ``settings`` are sections of holdfast.toml laid over the demo's own; ``migrations`` its sections ``[migrations.ID]``.
    """
    with contextlib.ExitStack() as servers:
        with ThreadPoolExecutor() as starting:
            say("starting two PostgreSQL 18 servers, `app` and `ledger`")
            databases = [starting.submit(_postgres, folder / name) for name in ("app", "ledger")]
            kafka_ready = starting.submit(_broker, broker, folder, servers, say)
            failed: BaseException | None = None
            for future in databases:
                try:
                    servers.callback(future.result().close)
                except BaseException as error:  # noqa: BLE001 - what did start must be stopped first
                    failed = error
            kafka = kafka_ready.result()
            if failed is not None:
                raise failed
        app, ledger = (
            _database(future.result(), name) for future, name in zip(databases, ("app", "ledger"), strict=True)
        )
        config = folder / "holdfast.toml"
        config.write_text(_toml(kafka, app, ledger, settings or {}, migrations or {}))
        config.chmod(0o600)
        children = servers.enter_context(contextlib.ExitStack())
        built = Stage(folder, config, kafka, app, ledger, databases[1].result(), children)
        if broker != "inprocess":
            if broker != "kafka":
                servers.callback(_delete_topics, kafka)
            built.run("topics-create", [*HOLDFAST, "topics", "create"], 60)
        say("starting `holdfast processor` and `holdfast actuator`" + (f", {actuators} of these" * (actuators > 1)))
        built.start_processor()
        for number in range(1, actuators + 1):
            built.start_actuator("actuator" if actuators == 1 else f"actuator-{number}")
        yield built


def _postgres(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder).start()


def _database(server: EmbeddedPostgres, name: str) -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(f'CREATE DATABASE "{name}"')
    return server.dsn(name)


def _broker(broker: str, folder: Path, servers: contextlib.ExitStack, say: Say) -> KafkaSettings:
    if broker == "inprocess":
        say(LIMITS)
        started = servers.enter_context(InProcessBroker())
        started.touch(all_topics())
        return KafkaSettings(bootstrap_servers=started.bootstrap_servers, allow_unstamped=True)
    if broker == "kafka":
        kafka = servers.enter_context(EmbeddedKafka(folder / "kafka", progress=say))
        return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    prefix = f"holdfast-demo-{new_id()[-12:]}"
    say(f"using the Kafka at {broker}, with topics of its own ({prefix}.*), deleted afterwards")
    return KafkaSettings(bootstrap_servers=broker, topic_prefix=prefix)


def _delete_topics(kafka: KafkaSettings) -> None:
    admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
    for deleted in admin.delete_topics(list(all_topics(kafka.topic_prefix)), operation_timeout=10).values():
        deleted.result(15)


def _toml(
    kafka: KafkaSettings,
    app_dsn: str,
    ledger_dsn: str,
    shortened: Mapping[str, Mapping[str, float]],
    migrations: Mapping[str, Mapping[str, object]],
) -> str:
    sections: dict[str, dict[str, object]] = {
        "kafka": {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topic_prefix": kafka.topic_prefix,
            "allow_unstamped": kafka.allow_unstamped,
        },
        "reporter": {"start_timeout_seconds": 60},
        "processor": {"name": "demo-processor", "web_port": 0},
        "actuator": {"name": "demo-actuator", "web_port": 0},
        "ledger": {"dsn": ledger_dsn},
        "targets.app": {"dsn": app_dsn},
        **{f"migrations.{name}": dict(migration) for name, migration in migrations.items()},
    }
    lines = ["# The demo's settings: the file that every process of it reads.", 'environment = "demo"']
    for name in sections | dict(shortened):
        lines += ["", f"[{name}]"]
        # A JSON string, number, boolean or array of these is one of TOML too.
        lines += [
            f"{key} = {json.dumps(value)}"
            for key, value in {**sections.get(name, {}), **shortened.get(name, {})}.items()
        ]
    return "\n".join(lines) + "\n"
