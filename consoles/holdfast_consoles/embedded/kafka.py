"""An embedded Apache Kafka: a real broker (KRaft, one node) on loopback, from Python packages alone."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from holdfast_consoles.embedded.child import ChildProcess
from holdfast_consoles.embedded.kafka_jars import TITLE, Progress, jars, java
from holdfast_consoles.embedded.ports import LOOPBACK, free_ports
from holdfast_schemas.errors import ServerNotReady

START_TIMEOUT_SECONDS = 90.0
PORT_ATTEMPTS = 5
LOG4J = """rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m%n
"""


def say(line: str) -> None:
    """One line of progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def server_properties(folder: Path, port: int, controller_port: int) -> str:
    """A broker and controller in one, for one machine: every internal topic has one replica, nothing is auto-created."""
    return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{controller_port}
listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder / "log"}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
"""


class EmbeddedKafka:
    """A broker that lives as long as its owner, and is stopped, killed and started again on the same port and data.

    ``folder`` (made when absent) holds data, settings and log and is kept; without it a temporary one is used and
    removed by :meth:`close`. ``progress`` is told each line of what a start waits for. Everyone on loopback may connect.
    """

    def __init__(self, folder: Path | None = None, *, heap_megabytes: int = 512, progress: Progress = say) -> None:
        self.folder = folder
        self.heap_megabytes = heap_megabytes
        self.progress = progress
        self.port = 0
        self.child: ChildProcess | None = None
        self._controller_port = 0
        self._temporary: Path | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def log_path(self) -> Path:
        assert self.folder is not None
        return self.folder / "kafka.log"

    @property
    def pid(self) -> int:
        """The broker's pid; 0 while none was started."""
        return 0 if self.child is None else self.child.pid

    def start(self) -> Self:
        """Fetch Kafka when it is not cached, start it, wait until it answers a metadata request.

        Raises :class:`ExtraMissing`, :class:`DownloadFailed`, :class:`ServerNotReady`.
        """
        if self.child is not None and self.child.running:
            return self
        if self.folder is None:
            self.folder = self._temporary = Path(tempfile.mkdtemp(prefix="holdfast-kafka-"))
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.port:
            self._launch()
            return self
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.port, self._controller_port = free_ports(2)
            try:
                self._launch()
            except ServerNotReady as refusal:
                self.port = 0
                if attempt == PORT_ATTEMPTS or "Address already in use" not in refusal.log_tail:
                    raise
            else:
                return self
        raise AssertionError("unreachable: the last attempt returns or raises")

    def stop(self) -> None:
        """A clean shutdown: the broker closes its logs."""
        if self.child is not None:
            self.child.stop()

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self.child is not None:
            self.child.kill()

    def restart(self) -> None:
        """Stop and start on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the folder if it was a temporary one."""
        if self._temporary is not None:
            self.kill()  # nobody reads its data again
            shutil.rmtree(self._temporary)
            self._temporary = self.folder = None
        else:
            self.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _java(self) -> list[str]:
        assert self.folder is not None
        class_path = os.pathsep.join(str(jar) for jar in jars(self.progress))
        return [
            str(java()),
            f"-Xmx{self.heap_megabytes}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            class_path,
        ]

    def _launch(self) -> None:
        assert self.folder is not None
        command = self._java()
        self.progress(f"starting {TITLE} on {self.bootstrap_servers}")
        (self.folder / "log4j2.properties").write_text(LOG4J)
        properties = self.folder / "server.properties"
        properties.write_text(server_properties(self.folder, self.port, self._controller_port))
        if not (self.folder / "log" / "meta.properties").exists():
            self._format(command, properties)
        self.child = ChildProcess(
            [*command, "kafka.Kafka", properties], log_path=self.log_path, scratch=self._temporary
        ).start()
        self._wait_until_it_answers()

    def _format(self, command: list[str], properties: Path) -> None:
        # an id may begin with "-": only the form with = takes it for a value
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        result = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ServerNotReady(
                TITLE, "its storage could not be formatted", self.log_path, result.stdout + result.stderr
            )

    def _wait_until_it_answers(self) -> None:
        assert self.child is not None
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                if client.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                pass  # not yet: what decides is the deadline and whether it still runs
            if not self.child.running:
                raise self._not_ready("it ended while starting")
            if time.monotonic() > deadline:
                self.child.kill()
                raise self._not_ready(f"it answered no metadata request for {START_TIMEOUT_SECONDS:g} s")

    def _not_ready(self, reason: str) -> ServerNotReady:
        assert self.child is not None
        return ServerNotReady(f"{TITLE} on {self.bootstrap_servers}", reason, self.log_path, self.child.log_tail())
